//! As many Pods as there are to be, and their exchange.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::cluster::Service;
use tokio::task::JoinSet;

use super::network::Network;
use super::node::Node;
use super::pod::Pod;

pub struct Deployment<'a> {
    node: &'a Node,
    component: &'static str,
    network: Option<Arc<Network>>,
    replicas: usize,
    surge: usize,
    unavailable: usize,
    pods: Vec<Pod>,
    /// Of those that were exchanged: how long their ends took.
    ends: JoinSet<Result<Duration>>,
    started: usize,
}

impl<'a> Deployment<'a> {
    /// Starts it, and waits until it is complete.
    pub async fn start(node: &'a Node, component: &'static str, network: Option<&Arc<Network>>) -> Result<Self> {
        let spec = &node.rendering.find("Deployment", component).context("no Deployment")?["spec"];
        let rollout = &spec["strategy"]["rollingUpdate"];
        let number = |value: &Value| value.as_u64().and_then(|value| usize::try_from(value).ok());
        let scaler = node.rendering.find("HorizontalPodAutoscaler", component);
        let least = scaler.and_then(|scaler| number(&scaler["spec"]["minReplicas"]));
        let mut deployment = Deployment {
            node,
            component,
            network: network.cloned(),
            replicas: number(&spec["replicas"]).or(least).context("how many?")?,
            surge: number(&rollout["maxSurge"]).context("no maxSurge")?,
            unavailable: number(&rollout["maxUnavailable"]).context("no maxUnavailable")?,
            pods: Vec::new(),
            ends: JoinSet::new(),
            started: 0,
        };
        deployment.pods = deployment.add(deployment.replicas).await?;
        Ok(deployment)
    }

    /// Exchanges every Pod, with so many more and so many fewer than usual as the strategy allows. What ends is not waited for:
    /// see [`Deployment::ends`].
    pub async fn roll(&mut self) -> Result<()> {
        let mut old = std::mem::take(&mut self.pods);
        while !old.is_empty() {
            let room = self.replicas + self.surge - old.len() - self.pods.len();
            self.grow(room.min(self.replicas - self.pods.len())).await?;
            let spare = old.len() + self.pods.len() - (self.replicas - self.unavailable);
            for pod in old.drain(..spare.min(old.len())) {
                self.ends.spawn(pod.end());
            }
        }
        self.grow(self.replicas - self.pods.len()).await
    }

    /// Waits for all ends that have begun; the first that failed fails.
    pub async fn ends(&mut self) -> Result<Vec<Duration>> {
        let mut took = Vec::new();
        while let Some(end) = self.ends.join_next().await {
            took.push(end??);
        }
        Ok(took)
    }

    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.pods.iter().map(|pod| &pod.service)
    }

    async fn grow(&mut self, by: usize) -> Result<()> {
        let added = self.add(by).await?;
        self.pods.extend(added);
        Ok(())
    }

    /// So many new ones, ready.
    async fn add(&mut self, count: usize) -> Result<Vec<Pod>> {
        let mut pods = Vec::new();
        for _ in 0..count {
            pods.push(Pod::start(self.node, self.component, self.started, self.network.as_ref())?);
            self.started += 1;
        }
        for pod in &mut pods {
            pod.ready().await?;
        }
        Ok(pods)
    }
}
