//! Follows chains and keeps the ledger true.
//!
//! One watcher is active per chain, by a lease in the database ([`Lease`]); any number may stand by. The active one goes
//! rounds ([`active`]), and a round is the story of a block ([`follow`]). What to do about a chain that changed is decided
//! in [`reorg`], how much to ask for at once in [`range`], and how to ask so that the answers belong together in [`fetch`].
//! Beside that it counts the payee's own tokens ([`balance`]), and plans what is to be claimed, closed or ended ([`planner`]).
//!
//! *Invariant:* nothing is remembered but in the ledger. A watcher that is killed at any moment, or a node that is away
//! for any time, loses no event: the next round begins at the cursor.

mod active;
mod balance;
mod board;
mod fetch;
mod follow;
mod gauges;
mod inspect;
mod planner;
mod range;
mod reorg;
mod stall;
mod sync_jobs;
mod trouble;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use evm::Rpc;
use futures::future::join_all;
use ledger::{DeploymentRow, Ledger};
use queue::Broker;
use runtime::config::Watcher;
use runtime::process::Context;
use runtime::{Check, Config, Lease, Ops, Shutdown};
use tokio::task::JoinSet;

use active::{Surroundings, serve_chain};
use board::Board;
use follow::Follower;
use range::Range;
use stall::Stall;
use trouble::Trouble;

/// How often the ledger is tidied: partitions made and dropped.
const TIDY: Duration = Duration::from_secs(60);

/// The process: connects, opens the ops port, and watches until the shutdown.
///
/// # Errors
/// When the database cannot be used, the ops port is taken, or the configuration names a node that cannot be or serves
/// another chain.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let Context { config, shutdown, metrics, .. } = context;
    gauges::describe();
    let ledger = Ledger::connect(&config.database).await.context("the database")?;
    let board = Board::default();
    let (database, chains) = (ledger.clone(), board.clone());
    let broker = config.queue.as_ref().map(Broker::new).transpose().context("cannot use [queue]")?;
    let mut checks = vec![
        Check::required("database", move || {
            let database = database.clone();
            async move { database.healthy().await.map_err(|error| error.to_string()) }
        }),
        Check::informative("chains", move || std::future::ready(chains.check())),
    ];
    checks.extend(broker.as_ref().map(Broker::readiness));
    let listen = config.watcher.ops_listen;
    let (address, ops) = Ops::serve(listen, metrics, checks, shutdown.clone())
        .await
        .with_context(|| format!("the ops port {listen}"))?;
    tracing::info!(%address, "health and metrics");
    watch_with(&config, ledger, broker, board, shutdown, || ops.started()).await
}

/// Watches until the shutdown.
///
/// # Errors
/// When the deployments cannot be registered, or the configuration names a node that cannot be or serves another chain.
pub async fn watch(config: &Config, ledger: Ledger, shutdown: Shutdown) -> anyhow::Result<()> {
    let broker = config.queue.as_ref().map(Broker::new).transpose().context("cannot use [queue]")?;
    watch_with(config, ledger, broker, Board::default(), shutdown, || ()).await
}

async fn watch_with(
    config: &Config,
    ledger: Ledger,
    broker: Option<Broker>,
    board: Board,
    shutdown: Shutdown,
    started: impl FnOnce(),
) -> anyhow::Result<()> {
    let followers = config.deployments.keys().map(|name| follower(config, name, &ledger));
    let followers = followers.collect::<anyhow::Result<Vec<Follower>>>()?;
    refuse_other_chains(&followers).await?;
    let mut chains: BTreeMap<u64, Vec<Follower>> = BTreeMap::new();
    for follower in followers {
        let name = &follower.deployment.name;
        register(&ledger, &follower.deployment).await.with_context(|| format!("deployment {name}"))?;
        chains.entry(follower.deployment.chain_id).or_default().push(follower);
    }
    let Watcher { poll, balance_poll, head_stalled, plan, lease: ttl, .. } = config.watcher;
    let holder = format!("watcher-{}", uuid::Uuid::now_v7());
    let surroundings =
        Surroundings { ledger: ledger.clone(), broker: broker.clone(), board, poll, balance_poll, head_stalled, plan };
    let mut tasks = JoinSet::new();
    for (chain_id, followers) in chains {
        let lease = Lease { name: format!("watch:{chain_id}"), holder: holder.clone(), ttl };
        tasks.spawn(serve_chain(chain_id, lease, followers, surroundings.clone(), shutdown.clone()));
    }
    if let Some(broker) = broker {
        tasks.spawn(queue::relay(ledger.clone(), broker, holder, ttl, shutdown.clone()));
    }
    let backlog = queue::show_backlog(ledger.clone());
    tasks.spawn({
        let shutdown = shutdown.clone();
        async move { shutdown.run_until(backlog).await.unwrap_or_default() }
    });
    tasks.spawn(tidy(ledger, shutdown));
    started();
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task of the watcher")?;
    }
    Ok(())
}

fn follower(config: &Config, name: &str, ledger: &Ledger) -> anyhow::Result<Follower> {
    let deployment = &config.deployments[name];
    let watcher = &config.watcher;
    let rpc = Rpc::over(&deployment.nodes(), deployment.chain_id, watcher.rpc_timeout, deployment.max_node_lag)
        .with_context(|| format!("deployments.{name}: one of rpc_url and rpc_urls cannot be used"))?;
    Ok(Follower {
        deployment: deployment.to_contract(name),
        freshness: deployment.freshness(),
        policy: deployment.policy(),
        reorg_depth: watcher.reorg_depth,
        rpc,
        ledger: ledger.clone(),
        range: Range::new(watcher.max_range),
        doubts: 0,
        stall: Stall::new(Instant::now()),
        inspected: false,
    })
}

/// Nodes that are away are not waited for: they are asked again before anything they say is believed.
async fn refuse_other_chains(followers: &[Follower]) -> anyhow::Result<()> {
    let asked = join_all(followers.iter().map(|follower| follower.rpc.refuse_other_chains())).await;
    for (follower, asked) in followers.iter().zip(asked) {
        asked.with_context(|| format!("deployments.{}", follower.deployment.name))?;
    }
    Ok(())
}

async fn register(ledger: &Ledger, deployment: &contracts::Deployment) -> anyhow::Result<()> {
    let row = DeploymentRow {
        id: deployment.name.clone(),
        chain_id: deployment.chain_id,
        contract: deployment.contract,
        token: deployment.token,
        payee: deployment.payee,
    };
    Ok(ledger.register(&row).await?)
}

/// Whichever process does it, and how often, does not matter.
async fn tidy(ledger: Ledger, shutdown: Shutdown) {
    while shutdown.run_until(tokio::time::sleep(TIDY)).await.is_some() {
        if let Err(error) = ledger.maintain().await {
            tracing::warn!(%error, "cannot tidy the ledger");
        }
    }
}
