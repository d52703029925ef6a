//! What this front does on each deployment, and for how long: looked at again and again, for operators alone. What decides a
//! sale is asked in the sale's own transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use channel::{Horizon, Mode};
use ledger::{Ledger, Safety};
use runtime::{Check, Config};
use tokio::time::{Instant, MissedTickBehavior};

use crate::metrics;

/// How often.
const LOOK: Duration = Duration::from_secs(1);
/// After so long without an answer the ledger is away.
const PATIENCE: Duration = Duration::from_secs(3);
/// What a front does without the ledger: nothing is sold on any deployment.
const AWAY: &str = "ledger_away";

/// What is known of each deployment.
pub(crate) struct Modes(Mutex<BTreeMap<String, Option<Seen>>>);

#[derive(Clone)]
struct Seen {
    /// What the front does, in one word.
    mode: &'static str,
    horizon: Horizon,
    halted: Option<String>,
    at: Instant,
}

impl Modes {
    /// Of these deployments nothing is known yet.
    pub(crate) fn of(config: &Config) -> Arc<Modes> {
        for (name, deployment) in &config.deployments {
            metrics::safe_window(name, deployment.freshness().usable());
        }
        Arc::new(Modes(Mutex::new(config.deployments.keys().map(|name| (name.clone(), None)).collect())))
    }

    /// A line for each deployment in `/readyz?verbose`. None of them makes a front unready: other deployments sell on.
    pub(crate) fn checks(self: &Arc<Modes>) -> Vec<Check> {
        let check = |name: &String| {
            let (modes, name) = (self.clone(), name.clone());
            Check::telling(format!("deployment {name}"), move || std::future::ready(modes.describe(&name)))
        };
        self.seen().keys().map(check).collect()
    }

    /// Looks at them until it is dropped.
    pub(crate) async fn watch(self: Arc<Modes>, ledger: Ledger) {
        let mut turns = tokio::time::interval(LOOK);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let answer = tokio::time::timeout(PATIENCE, ledger.safety()).await;
            self.note(answer.ok().and_then(Result::ok).as_deref());
        }
    }

    /// Notes what the ledger says; `None` when it is away.
    fn note(&self, answer: Option<&[Safety]>) {
        for (name, seen) in self.seen().iter_mut() {
            let found = answer.map(|safeties| safeties.iter().find(|safety| safety.deployment == *name));
            let (mode, horizon) = match found {
                Some(found) => {
                    let horizon = found.map(|safety| safety.horizon).unwrap_or_default();
                    (horizon.mode().as_str(), horizon)
                }
                // What was said before goes on running out.
                None => (AWAY, seen.as_ref().map(Seen::horizon_now).unwrap_or_default()),
            };
            let halted = found.flatten().and_then(|safety| safety.halted.clone());
            if let Some(Some(safety)) = found {
                metrics::safe_until(name, "watcher", since_1970(safety.safe_until));
                metrics::safe_until(name, "wallet", since_1970(safety.clear_until));
                if let Some(exposure) = safety.exposure {
                    metrics::exposure(name, exposure);
                }
            }
            let before = seen.replace(Seen { mode, horizon, halted, at: Instant::now() }).map(|seen| seen.mode);
            if before != Some(mode) {
                changed(name, before, mode, &horizon);
            }
        }
    }

    fn describe(&self, deployment: &str) -> Result<String, String> {
        let seen = self.seen().get(deployment).cloned().flatten().ok_or("not looked at yet")?;
        let Horizon { watcher, wallet, .. } = seen.horizon_now();
        let says = |left: Option<i64>| match left {
            None => "nothing".to_owned(),
            Some(left) if left > 0 => format!("{left} s left"),
            Some(left) => format!("over since {} s", left.unsigned_abs()),
        };
        let bounds = format!("watcher: {}, wallet: {}", says(watcher), says(wallet));
        match (seen.mode, seen.halted) {
            (mode, _) if mode == Mode::Selling.as_str() => Ok(format!("ok: {bounds}")),
            (mode, Some(why)) if mode == Mode::Halted.as_str() => Err(format!("stale: halted: {why}")),
            (mode, _) => Err(format!("stale: {mode}: {bounds}")),
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Option<Seen>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// What is left by now.
    fn horizon_now(&self) -> Horizon {
        let passed = i64::try_from(self.at.elapsed().as_secs()).unwrap_or(i64::MAX);
        let left = |left: Option<i64>| left.map(|left| left.saturating_sub(passed));
        Horizon { watcher: left(self.horizon.watcher), wallet: left(self.horizon.wallet), ..self.horizon }
    }
}

/// Said once at each change, and kept in a metric.
fn changed(deployment: &str, before: Option<&str>, mode: &'static str, horizon: &Horizon) {
    for known in Mode::ALL.map(Mode::as_str).into_iter().chain([AWAY]) {
        metrics::mode(deployment, known, known == mode);
    }
    let Horizon { watcher, wallet, .. } = horizon;
    match before {
        None if mode == Mode::Selling.as_str() => tracing::info!(deployment, mode, "for sale"),
        _ => tracing::warn!(deployment, mode, before, watcher, wallet, "what is done on a deployment changed"),
    }
}

/// Seconds since 1970; 0 where there is no such moment.
fn since_1970(moment: Option<SystemTime>) -> f64 {
    let since = moment.and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0.0, |since| since.as_secs_f64())
}
