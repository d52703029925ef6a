//! A new configuration without a restart: on SIGHUP, or by `POST /reload` on the second port.
//!
//! It is loaded and checked whole, with the certificate if there is one; what is wrong with it, or cannot change while we
//! run, is said, and nothing changes.
//! Calls in flight keep the shop that they began in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::config::ConfigError;
use runtime::{Config, Ops, config};
use serde_json::json;
use tokio::signal::unix::Signal;
use tokio::sync::Mutex;

use crate::front::Front;
use crate::metrics;
use crate::shop::Shop;

/// The sections and keys that a front takes over; `*` stands for any name. All others of its own need a restart.
const RELOADABLE: &[&str] = &[
    "front.routes",
    "front.paywall",
    "front.access",
    "deployments.*.token_symbol",
    "deployments.*.token_decimals",
    "deployments.*.terms",
    "deployments.*.min_delta",
    "deployments.*.min_deposit",
    "deployments.*.max_exposure",
    "deployments.*.max_exposure_per_payer",
    "deployments.*.max_exposure_total",
    "deployments.*.max_held",
];
/// Sections that are none of a front's business.
const FOREIGN: [&str; 4] = ["queue", "watcher", "wallet", "deployments.*.claim"];

/// Reads the configuration again.
pub(crate) struct Reloader {
    front: Arc<Front>,
    file: PathBuf,
    /// What we run on. Its lock lets one reload at a time through.
    current: Mutex<Config>,
}

impl Reloader {
    /// Offers a reload of `file`, which `config` was read from, on the second port.
    pub(crate) fn offer(front: Arc<Front>, file: PathBuf, config: Config, ops: &Ops) -> Arc<Reloader> {
        let reloader = Arc::new(Reloader { front, file, current: Mutex::new(config) });
        let asked = reloader.clone();
        ops.add_action("reload", move || {
            let reloader = asked.clone();
            async move {
                match reloader.reload().await {
                    Ok(changed) => Ok(json!({ "changed": changed })),
                    Err(problems) => Err(json!({ "problems": problems })),
                }
            }
        });
        reloader
    }

    /// Reloads at every SIGHUP, until it is dropped.
    pub(crate) async fn listen(self: Arc<Reloader>, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            if let Some(log) = &self.front.access_log {
                log.reopen();
            }
            // What comes of it is logged.
            let _ = self.reload().await;
        }
    }

    /// The keys that changed, or everything that is wrong.
    async fn reload(&self) -> Result<Vec<String>, Vec<String>> {
        let mut current = self.current.lock().await;
        let (front, file, before) = (self.front.clone(), self.file.clone(), current.clone());
        let reload = tokio::task::spawn_blocking(move || replace(&front, &file, &before));
        let outcome = reload.await.unwrap_or_else(|_| Err(vec!["the reload broke off".to_owned()]));
        metrics::reloaded(outcome.is_ok());
        match outcome {
            Ok(config) => {
                let changed = current.changed_keys(&config);
                tracing::info!(?changed, "the configuration was reloaded");
                *current = config;
                Ok(changed)
            }
            Err(problems) => {
                tracing::error!(?problems, "the configuration was not reloaded");
                Err(problems)
            }
        }
    }
}

fn replace(front: &Front, file: &Path, before: &Config) -> Result<Config, Vec<String>> {
    let config = config::load(file).map_err(problems)?;
    let changed = before.changed_keys(&config);
    let fixed: Vec<_> =
        changed.iter().filter(|key| needs_restart(key)).map(|key| format!("needs a restart: {key}")).collect();
    if !fixed.is_empty() {
        return Err(fixed);
    }
    let shop = Shop::new(&config, &front.caller, Some(&front.shop.load()));
    let shop = shop.map_err(|error| vec![format!("{error:#}")])?;
    if let Some(tls) = &front.tls {
        tls.look().map_err(|error| vec![format!("{error:#}")])?;
    }
    front.shop.store(Arc::new(shop));
    Ok(config)
}

fn problems(error: ConfigError) -> Vec<String> {
    match error {
        ConfigError::Syntax(problems) | ConfigError::Invalid { problems, .. } => problems,
        ConfigError::Unreadable { .. } => vec![format!("{:#}", anyhow::Error::from(error))],
    }
}

fn needs_restart(key: &str) -> bool {
    !RELOADABLE.iter().chain(&FOREIGN).any(|pattern| is_in(key, pattern))
}

/// Whether a key is this one, or below it.
fn is_in(key: &str, pattern: &str) -> bool {
    let mut names = key.split(['.', '[']);
    pattern.split('.').all(|part| names.next().is_some_and(|name| part == "*" || name == part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sizes_or_places_things_needs_a_restart() {
        for key in ["front.listen", "front.limits.in_flight", "database.url", "deployments.main.contract", "front"] {
            assert!(needs_restart(key), "{key}");
        }
        let free = [
            "front.routes",
            "front.routes[/a.b].price",
            "deployments.main.terms",
            "watcher.poll_ms",
            "wallet.lease_ms",
        ];
        for key in free {
            assert!(!needs_restart(key), "{key}");
        }
    }
}
