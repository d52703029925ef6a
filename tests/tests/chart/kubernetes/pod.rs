//! One Pod, from its start to its end.
//!
//! ```text
//! started ─► startup probe ─► readiness, liveness ─► deleted ─┬─► preStop ─► SIGTERM ─► ended, before the grace period is over
//!                                 └ endpoint: soon            └─► no endpoint: soon
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::cluster::Service;
use testkit::wait;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::network::Network;
use super::node::Node;
use super::probe::Probe;

/// Longer than anything of ours takes to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Pod {
    pub service: Service,
    pre_stop: Duration,
    grace: Duration,
    ready: watch::Sender<bool>,
    probes: JoinHandle<Result<()>>,
    endpoint: Option<JoinHandle<Result<()>>>,
}

impl Pod {
    /// Starts one of a Deployment's; `network` hears when it is ready.
    pub fn start(node: &Node, component: &str, number: usize, network: Option<&Arc<Network>>) -> Result<Pod> {
        let template = node.template(component)?;
        let container = &template["containers"][0];
        let service = node.start(component, number)?;
        let ready = watch::Sender::new(false);
        let probe = |key| Probe::of(container, key, &service);
        let probes = ask(probe("startupProbe")?, probe("readinessProbe")?, probe("livenessProbe")?, ready.clone());
        let endpoint = network.map(|network| {
            tokio::spawn(network.clone().follow(service.name.clone(), service.listen, ready.subscribe()))
        });
        let seconds = |value: &Value| value.as_u64().map(Duration::from_secs);
        Ok(Pod {
            pre_stop: seconds(&container["lifecycle"]["preStop"]["sleep"]["seconds"]).unwrap_or_default(),
            grace: seconds(&template["terminationGracePeriodSeconds"]).context("no grace period")?,
            probes: tokio::spawn(probes),
            service,
            ready,
            endpoint,
        })
    }

    /// Waits until it is; fails when it has ended, or a probe of it failed.
    pub async fn ready(&mut self) -> Result<()> {
        wait::until("the Pod to be ready, or to fail", PATIENCE, async || {
            let is_over = self.probes.is_finished() || !self.service.is_running();
            ensure!(is_over || *self.ready.borrow(), "it is neither");
            Ok(())
        })
        .await?;
        self.service.check_running()?;
        if self.probes.is_finished() {
            (&mut self.probes).await?.with_context(|| self.service.name.clone())?;
        }
        Ok(())
    }

    /// Deletes it; gives how long its end took. Fails when it needs SIGKILL for that, or has failed.
    pub async fn end(mut self) -> Result<Duration> {
        let began = Instant::now();
        self.probes.abort();
        match self.probes.await {
            Err(aborted) if aborted.is_cancelled() => {}
            failed => failed?.with_context(|| self.service.name.clone())?,
        }
        self.ready.send_replace(false);
        tokio::time::sleep(self.pre_stop).await;
        self.service.ends(self.grace.saturating_sub(began.elapsed())).await?;
        let took = began.elapsed();
        drop(self.ready);
        if let Some(endpoint) = self.endpoint {
            endpoint.await??;
        }
        Ok(took)
    }
}

async fn ask(startup: Probe, readiness: Probe, liveness: Probe, ready: watch::Sender<bool>) -> Result<()> {
    startup.started().await?;
    tokio::try_join!(readiness.tell(&ready), liveness.lives()).map(drop)
}
