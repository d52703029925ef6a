//! One TOML file for the whole cluster; each process reads it whole and uses its part.
//!
//! `SLUICE_SECTION__KEY` in the environment overrides `key` of `[section]`, also deeper (`SLUICE_DEPLOYMENTS__MAIN__RPC_URL`).
//! Unknown keys are refused. Everything is checked before a port is bound.

mod deployment;
mod front;
mod route;
mod secret;
mod wallet;
mod watcher;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use serde::Deserialize;

pub use deployment::{Deployment, TermsName};
pub use front::{Front, Limits, Timeouts};
pub use route::{Charge, Goods, Matcher, Price, Route};
pub use secret::Secret;
pub use wallet::{KeyFile, Wallet};
pub use watcher::Watcher;

/// The configuration of a cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The ledger.
    pub database: ledger::Settings,
    /// Where we take payments, by name: chain + contract + token + payee.
    pub deployments: BTreeMap<String, Deployment>,
    /// What the fronts sell, and how.
    #[serde(default)]
    pub front: Front,
    /// How the watcher follows chains.
    #[serde(default)]
    pub watcher: Watcher,
    /// How the wallet acts on them.
    #[serde(default)]
    pub wallet: Wallet,
}

/// Why a configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file, or it cannot be read.
    #[error("cannot read the configuration {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("{}", .0.join("\n"))]
    Syntax(Vec<String>),
    /// Each value is fine, but together they make no sense.
    #[error("{path}: {}", .problems.join("\n"))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// One sentence each, beginning with the key.
        problems: Vec<String>,
    },
}

/// Reads and checks a configuration. Relative paths in it are relative to its folder.
///
/// # Errors
/// [`ConfigError`], naming the file (or variable) and the key of everything that is wrong.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let environment = Env::prefixed("SLUICE_").filter(|key| key.as_str().contains("__")).split("__");
    let mut config: Config = Figment::new()
        .merge(Toml::string(&text))
        .merge(environment)
        .extract()
        .map_err(|error| ConfigError::Syntax(error.into_iter().map(|e| describe(path, &e)).collect()))?;
    config.resolve_paths(path.parent().unwrap_or(Path::new(".")));
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid { path: path.to_owned(), problems }) }
}

fn describe(file: &Path, error: &figment::Error) -> String {
    let from_environment = error.metadata.as_ref().is_some_and(|m| m.name.contains("environment"));
    let key = error.path.join(".");
    match (from_environment, key.is_empty()) {
        (true, _) => {
            let variable = error.path.join("__").to_uppercase();
            format!("SLUICE_{variable}: {}", error.kind)
        }
        (false, true) => format!("{}: {}", file.display(), error.kind),
        (false, false) => format!("{}: {key}: {}", file.display(), error.kind),
    }
}

impl Config {
    fn resolve_paths(&mut self, folder: &Path) {
        for route in &mut self.front.routes {
            route.resolve_paths(folder);
        }
        self.wallet.resolve_paths(folder);
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.deployments.is_empty() {
            problems.push("deployments: at least one is needed".to_owned());
        }
        let mut places = BTreeMap::new();
        for (name, deployment) in &self.deployments {
            deployment.problems(&format!("deployments.{name}"), &mut problems);
            // A channel of both would be one channel in the ledger, and belong to one of them.
            if let Some(first) = places.insert((deployment.chain_id, deployment.contract, deployment.payee), name) {
                problems.push(format!("deployments.{name}: the same chain, contract and payee as deployments.{first}"));
            }
        }
        let mut seen: BTreeMap<_, usize> = BTreeMap::new();
        for (index, route) in self.front.routes.iter().enumerate() {
            let key = format!("front.routes.{index}");
            route.problems(&key, &self.deployments, &mut problems);
            if let Some(first) = seen.insert(&route.matcher, index) {
                problems.push(format!("{key}: the same path as front.routes.{first}"));
            }
        }
        self.front.problems(&mut problems);
        self.wallet.problems(&self.deployments, &mut problems);
        problems
    }

    /// The deployments as the contracts know them.
    pub fn contract_deployments(&self) -> Vec<contracts::Deployment> {
        self.deployments.iter().map(|(name, deployment)| deployment.to_contract(name)).collect()
    }
}
