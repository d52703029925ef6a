//! Which of several watchers or wallets is the active one: each says so in its metrics.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Cluster, Service};
use crate::{http, wait};

/// Two leases, and a little.
const TAKEN_OVER: Duration = Duration::from_secs(15);

impl Service {
    /// The sum of a metric over all its labels; 0 where it was never set.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let answer = http::client()?.get(format!("http://{}/metrics", self.health)).send().await?;
        let text = answer.error_for_status()?.text().await?;
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        text.lines().filter(is_it).map(|line| value(line).with_context(|| format!("not a number: {line}"))).sum()
    }
}

impl Cluster {
    /// The watcher that follows the chain; waits until there is one.
    pub async fn active_watcher(&mut self) -> Result<&mut Service> {
        let active = active(&self.watchers, "watcher_active").await?;
        Ok(&mut self.watchers[active])
    }

    /// The wallet that works; waits until there is one.
    pub async fn active_wallet(&mut self) -> Result<&mut Service> {
        let active = active(&self.wallets, "wallet_active").await?;
        Ok(&mut self.wallets[active])
    }
}

async fn active(of: &[Service], metric: &str) -> Result<usize> {
    wait::until("one of them to be active", TAKEN_OVER, async || {
        for (number, service) in of.iter().enumerate().filter(|(_, service)| service.process().is_ok()) {
            if service.metric(metric).await.is_ok_and(|active| active > 0.0) {
                return Ok(number);
            }
        }
        anyhow::bail!("none is")
    })
    .await
}
