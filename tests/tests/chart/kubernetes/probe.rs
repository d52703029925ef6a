//! What a kubelet asks a container, how often, and how long it believes the last answer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde_json::Value;
use testkit::cluster::Service;
use testkit::http;
use tokio::sync::watch;
use tokio::time::{Interval, interval};

/// A probe as it stands in a container's specification, with Kubernetes' own defaults.
pub struct Probe {
    client: Client,
    url: String,
    period: Duration,
    timeout: Duration,
    /// So many answers in a row have to be bad.
    failures: u64,
}

impl Probe {
    /// One of a container's probes, by its key, asked where the container's ports are on this machine.
    pub fn of(container: &Value, key: &str, service: &Service) -> Result<Probe> {
        let probe = &container[key];
        let port = match probe["httpGet"]["port"].as_str() {
            Some("ops") => service.health,
            Some("http") => service.listen,
            other => anyhow::bail!("{key}: no port is called {other:?}"),
        };
        let path = probe["httpGet"]["path"].as_str().with_context(|| format!("{key} asks over HTTP"))?;
        let seconds = |key: &str, default| Duration::from_secs(probe[key].as_u64().unwrap_or(default));
        Ok(Probe {
            client: http::client()?,
            url: format!("http://{port}{path}"),
            period: seconds("periodSeconds", 10),
            timeout: seconds("timeoutSeconds", 1),
            failures: probe["failureThreshold"].as_u64().unwrap_or(3),
        })
    }

    fn times(&self) -> Interval {
        interval(self.period)
    }

    async fn is_well(&self) -> bool {
        let answer = self.client.get(&self.url).timeout(self.timeout).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Waits until a container has started.
    pub async fn started(&self) -> Result<()> {
        let mut times = self.times();
        for _ in 0..self.failures {
            times.tick().await;
            if self.is_well().await {
                return Ok(());
            }
        }
        anyhow::bail!("it does not start: {}", self.url)
    }

    /// Says whether a container is to get requests; goes on for ever.
    pub async fn tell(&self, ready: &watch::Sender<bool>) -> Result<()> {
        let mut times = self.times();
        let mut failed = 0;
        loop {
            times.tick().await;
            failed = if self.is_well().await { 0 } else { failed + 1 };
            if failed == 0 || failed >= self.failures {
                ready.send_if_modified(|ready| std::mem::replace(ready, failed == 0) != (failed == 0));
            }
        }
    }

    /// Goes on for ever, while every answer is good: sooner than a kubelet, which would start the container again.
    pub async fn lives(&self) -> Result<()> {
        let mut times = self.times();
        loop {
            times.tick().await;
            ensure!(self.is_well().await, "no life at {}", self.url);
        }
    }
}
