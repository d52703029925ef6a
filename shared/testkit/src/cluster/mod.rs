//! The whole cluster: PostgreSQL, a chain with our contracts, an upstream, watchers, wallets, fronts, HAProxy.
//!
//! [`Cluster::start`] starts all of it. A test that wants something between two parts starts them one by one:
//! [`Cluster::prepare`], then [`Cluster::add_front`] and its like with an environment of their own, such as a
//! `SLUICE_DATABASE__URL` that leads through a [`crate::cut::Cut`].

mod active;
mod config;
mod deployment;
mod service;
mod standing;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

pub use self::deployment::{Contracts, Source};
pub use self::service::Service;
pub use self::standing::{down, is_up, up};

use crate::anvil::{self, Anvil};
use crate::haproxy::{Backend, Client, Haproxy};
use crate::postgres::{self, Postgres};
use crate::rabbit::{self, Rabbit};
use crate::scratch::Scratch;
use crate::{http, ports, rpc, wait};

/// Of the chain's [`anvil::KEYS`]: who deploys the contracts.
pub const DEPLOYER: usize = 0;
/// Of the chain's [`anvil::KEYS`]: who is paid, and whose key the wallet holds.
pub const PAYEE: usize = 1;
/// Of the chain's [`anvil::KEYS`]: who pays. Those after it are free for further payers; all have tokens.
pub const PAYER: usize = 2;
/// The broker's virtual host.
const HOST: &str = "%2f";
/// How long the cluster may take to sell its first request.
const READY: Duration = Duration::from_secs(30);

/// What the cluster consists of.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many fronts.
    pub fronts: usize,
    /// How many watchers, of which one is active.
    pub watchers: usize,
    /// How many wallets, of which one is active.
    pub wallets: usize,
    /// How many nodes of RabbitMQ; with none there is no broker. A node takes several seconds to start.
    pub rabbit: u32,
    /// How the chain runs.
    pub chain: anvil::Options,
    /// Whose contracts are deployed.
    pub source: Source,
    /// How many blocks must follow on a deposit before it counts.
    pub confirmations: u64,
    /// `exact` or `credit`.
    pub terms: &'static str,
    /// How fronts learn the client's address.
    pub client: Client,
    /// TOML that goes at the end of the configuration, such as further `[[front.routes]]`.
    pub more: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fronts: 2,
            watchers: 1,
            wallets: 1,
            rabbit: 0,
            chain: anvil::Options { block_time: Some(1), ..anvil::Options::default() },
            source: Source::Ours,
            confirmations: 1,
            terms: "exact",
            client: Client::ForwardedFor,
            more: String::new(),
        }
    }
}

/// A running cluster. Dropped, it is gone.
#[derive(Debug)]
pub struct Cluster {
    /// The load balancer, once [`Cluster::balance`] has started it.
    pub balancer: Option<Haproxy>,
    /// The fronts.
    pub fronts: Vec<Service>,
    /// The watchers.
    pub watchers: Vec<Service>,
    /// The wallets.
    pub wallets: Vec<Service>,
    /// What is sold.
    pub upstream: Service,
    /// The broker, if there is one.
    pub rabbit: Option<Rabbit>,
    /// The chain.
    pub chain: Anvil,
    /// The database server.
    pub postgres: Postgres,
    /// The ledger's address.
    pub database: String,
    /// What is deployed.
    pub contracts: Contracts,
    /// The cluster's configuration file.
    pub config: PathBuf,
    options: Options,
    scratch: Scratch,
}

impl Cluster {
    /// The cluster that all tests of this process share, as the first of them wants it; it ends with the process.
    pub async fn shared(options: Options) -> Result<&'static Cluster> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Cluster::start(options)).await
    }

    /// Starts everything, and waits until a request can be paid.
    pub async fn start(options: Options) -> Result<Cluster> {
        Self::start_in(Scratch::new("cluster")?, options).await
    }

    /// Likewise, in a given directory, which must be empty.
    pub async fn start_in(scratch: Scratch, options: Options) -> Result<Cluster> {
        let (fronts, watchers, wallets) = (options.fronts, options.watchers, options.wallets);
        let mut cluster = Self::prepare_in(scratch, options).await?;
        for _ in 0..watchers {
            cluster.add_watcher(&[])?;
        }
        for _ in 0..wallets {
            cluster.add_wallet(&[])?;
        }
        for _ in 0..fronts {
            cluster.add_front(&[])?;
        }
        cluster.ready().await?;
        if watchers > 0 && wallets > 0 {
            cluster.sells().await?;
        }
        cluster.balance().await?;
        Ok(cluster)
    }

    /// Starts what our programs need, and writes their configuration, but none of them.
    pub async fn prepare(options: Options) -> Result<Cluster> {
        Self::prepare_in(Scratch::new("cluster")?, options).await
    }

    /// Likewise, in a given directory.
    pub async fn prepare_in(scratch: Scratch, options: Options) -> Result<Cluster> {
        let dir = scratch.path();
        let (postgres, chain, upstream, rabbit) = tokio::try_join!(
            async { Postgres::start_in(part(dir, "postgres")?, ports::free()?, postgres::Options::default()).await },
            async { Anvil::start_in(part(dir, "anvil")?, ports::free()?, options.chain).await },
            async { Service::upstream(dir) },
            broker(dir, options.rabbit),
        )?;
        let (database, contracts) =
            tokio::try_join!(postgres.database("sluice"), Contracts::deploy(&chain, options.source))?;
        secret(&dir.join("payee.key"), anvil::KEYS[PAYEE])?;
        secret(&dir.join("payer.key"), anvil::KEYS[PAYER])?;
        fs::write(dir.join("file.txt"), "A file worth paying for.\n")?;
        let config = dir.join("sluice.toml");
        let text = config::text(&options, &database, &chain, &contracts, upstream.listen, rabbit.as_ref());
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let (fronts, watchers, wallets) = (Vec::new(), Vec::new(), Vec::new());
        let balancer = None;
        Ok(Cluster {
            balancer,
            fronts,
            watchers,
            wallets,
            upstream,
            rabbit,
            chain,
            postgres,
            database,
            contracts,
            config,
            options,
            scratch,
        })
    }

    /// Starts another front; variables such as `SLUICE_DATABASE__URL` change its configuration. It is not waited for.
    pub fn add_front(&mut self, env: &[(&str, &str)]) -> Result<()> {
        let front = Service::program("front", self.fronts.len(), &self.config, env)?;
        self.fronts.push(front);
        Ok(())
    }

    /// Starts another watcher, as [`Cluster::add_front`] starts a front.
    pub fn add_watcher(&mut self, env: &[(&str, &str)]) -> Result<()> {
        let watcher = Service::program("watcher", self.watchers.len(), &self.config, env)?;
        self.watchers.push(watcher);
        Ok(())
    }

    /// Starts another wallet, as [`Cluster::add_front`] starts a front.
    pub fn add_wallet(&mut self, env: &[(&str, &str)]) -> Result<()> {
        let wallet = Service::program("wallet", self.wallets.len(), &self.config, env)?;
        self.wallets.push(wallet);
        Ok(())
    }

    /// Waits until every one of our programs says that it is ready.
    pub async fn ready(&mut self) -> Result<()> {
        for service in self.services() {
            service.ready().await?;
        }
        Ok(())
    }

    /// Waits until every front sells on every deployment: it takes a watcher and a wallet.
    pub async fn sells(&self) -> Result<()> {
        for front in &self.fronts {
            front.sells().await?;
        }
        Ok(())
    }

    /// Puts the load balancer in front of the fronts there are.
    pub async fn balance(&mut self) -> Result<()> {
        let backends: Vec<Backend> =
            self.fronts.iter().map(|front| Backend { listen: front.listen, health: front.health }).collect();
        let scratch = part(self.scratch.path(), "haproxy")?;
        let balancer = Haproxy::start_in(scratch, ports::free()?, &backends, self.options.client).await?;
        let (client, url) = (http::client()?, format!("{}/free", balancer.url()));
        wait::until("the first answer through the load balancer", READY, async || {
            Ok(client.get(&url).send().await?.error_for_status()?)
        })
        .await?;
        self.balancer = Some(balancer);
        Ok(())
    }

    /// The public address: the load balancer's, or the first front's while there is none.
    pub fn url(&self) -> String {
        match (&self.balancer, self.fronts.first()) {
            (Some(balancer), _) => balancer.url(),
            (None, Some(front)) => front.url(),
            (None, None) => String::new(),
        }
    }

    /// The directory with the configuration, the keys and all logs.
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// The file that holds the payer's key.
    pub fn payer_key_file(&self) -> PathBuf {
        self.dir().join("payer.key")
    }

    /// How often the upstream was called, for this path or, without one, for any.
    pub async fn upstream_calls(&self, path: Option<&str>) -> Result<u64> {
        let calls: std::collections::BTreeMap<String, u64> =
            http::client()?.get(format!("{}/_calls", self.upstream.url())).send().await?.json().await?;
        Ok(path.map_or_else(|| calls.values().sum(), |path| calls.get(path).copied().unwrap_or(0)))
    }

    /// The chain's head, as the node says it.
    pub async fn head(&self) -> Result<u64> {
        rpc::quantity(&self.chain.rpc("eth_blockNumber", serde_json::json!([])).await?)
    }

    /// Stops everything as an operator does: what takes requests first, the database last.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.balancer.take());
        for service in self.services().filter(|service| service.process().is_ok()) {
            service.stop().await?;
        }
        self.upstream.stop().await?;
        if let Some(rabbit) = &mut self.rabbit {
            rabbit.stop().await?;
        }
        self.chain.stop().await?;
        self.postgres.stop().await
    }

    /// Where everything is, for people.
    pub fn addresses(&self) -> String {
        let ops = |service: &Service| format!("(health and metrics: http://{})", service.health);
        let mut lines = vec![("fronts, through HAProxy".to_owned(), self.url())];
        lines.extend(self.fronts.iter().map(|front| (front.name.clone(), format!("{}  {}", front.url(), ops(front)))));
        lines.extend(self.watchers.iter().chain(&self.wallets).map(|service| (service.name.clone(), ops(service))));
        let Contracts { channels, token, .. } = &self.contracts;
        lines.extend([
            ("upstream".to_owned(), self.upstream.url()),
            ("node".to_owned(), format!("{}  (chain {})", self.chain.url(), self.chain.chain_id())),
            ("channel contract".to_owned(), channels.to_string()),
            ("token".to_owned(), token.to_string()),
            ("ledger".to_owned(), self.database.clone()),
            (
                "broker".to_owned(),
                self.rabbit.as_ref().map_or_else(|| "none".to_owned(), |rabbit| rabbit.node(0).url(HOST)),
            ),
            ("configuration and logs".to_owned(), self.dir().display().to_string()),
            ("a payer's key".to_owned(), self.payer_key_file().display().to_string()),
        ]);
        lines.iter().map(|(what, place)| format!("    {what:<24} {place}\n")).collect()
    }

    /// Our programs, in the order in which they are stopped.
    pub fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        self.fronts.iter_mut().chain(&mut self.wallets).chain(&mut self.watchers)
    }
}

async fn broker(dir: &Path, nodes: u32) -> Result<Option<Rabbit>> {
    if nodes == 0 {
        return Ok(None);
    }
    // As is right for a cluster: of two parts the smaller one stops, and comes back by itself.
    let more = if nodes > 1 { "cluster_partition_handling = pause_minority\n" } else { "" }.to_owned();
    Rabbit::start_in(dir, rabbit::Options { nodes, more }).await.map(Some)
}

fn part(dir: &Path, name: &str) -> Result<Scratch> {
    Scratch::lasting(&dir.join(name))
}

/// A file that only we can read, as the wallet demands of its key.
fn secret(file: &Path, text: &str) -> Result<()> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut opened = opened.with_context(|| format!("cannot create {}", file.display()))?;
    Ok(writeln!(opened, "{text}")?)
}
