//! Follows chains and keeps the ledger true.
//!
//! One watcher is active per chain, by a lease in the database ([`Lease`]); any number may stand by. The active one goes
//! rounds ([`active`]), and a round is the story of a block ([`follow`]). What to do about a chain that changed is decided
//! in [`reorg`], how much to ask for at once in [`range`], and how to ask so that the answers belong together in [`fetch`].
//! Beside that it counts the payee's own tokens ([`balance`]).
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
mod range;
mod reorg;
mod sync_jobs;
mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use evm::Rpc;
use ledger::{DeploymentRow, JobKind, Ledger};
use runtime::config::Watcher;
use runtime::process::Context;
use runtime::{Check, Config, Lease, Ops, Shutdown};
use tokio::sync::watch;
use tokio::task::JoinSet;

use active::{Surroundings, serve_chain};
use board::Board;
use follow::Follower;
use range::Range;
use trouble::Trouble;

/// How often the ledger is tidied: partitions made and dropped.
const TIDY: Duration = Duration::from_secs(60);

/// The process: connects, opens the ops port, and watches until the shutdown.
///
/// # Errors
/// When the database cannot be used, the ops port is taken, or the configuration names a node that cannot be.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let Context { config, shutdown, metrics, .. } = context;
    let ledger = Ledger::connect(&config.database).await.context("the database")?;
    let board = Board::default();
    let (database, chains) = (ledger.clone(), board.clone());
    let checks = vec![
        Check::required("database", move || {
            let database = database.clone();
            async move { database.healthy().await.map_err(|error| error.to_string()) }
        }),
        Check::informative("chains", move || std::future::ready(chains.check())),
    ];
    let listen = config.watcher.ops_listen;
    let (address, ops) = Ops::serve(listen, metrics, checks, shutdown.clone())
        .await
        .with_context(|| format!("the ops port {listen}"))?;
    tracing::info!(%address, "health and metrics");
    watch_with(&config, ledger, board, shutdown, || ops.started()).await
}

/// Watches until the shutdown.
///
/// # Errors
/// When the deployments cannot be registered, or the configuration names a node that cannot be.
pub async fn watch(config: &Config, ledger: Ledger, shutdown: Shutdown) -> anyhow::Result<()> {
    watch_with(config, ledger, Board::default(), shutdown, || ()).await
}

async fn watch_with(
    config: &Config,
    ledger: Ledger,
    board: Board,
    shutdown: Shutdown,
    started: impl FnOnce(),
) -> anyhow::Result<()> {
    let mut chains: BTreeMap<u64, Vec<Follower>> = BTreeMap::new();
    for name in config.deployments.keys() {
        let follower = follower(config, name, &ledger)?;
        register(&ledger, &follower.deployment).await.with_context(|| format!("deployment {name}"))?;
        chains.entry(follower.deployment.chain_id).or_default().push(follower);
    }
    let Watcher { poll, balance_poll, lease: ttl, .. } = config.watcher;
    let (ring, bell) = watch::channel(());
    let holder = format!("watcher-{}", uuid::Uuid::now_v7());
    let surroundings = Surroundings { ledger: ledger.clone(), bell, board, poll, balance_poll };
    let mut tasks = JoinSet::new();
    for (chain_id, followers) in chains {
        let lease = Lease { name: format!("watch:{chain_id}"), holder: holder.clone(), ttl };
        tasks.spawn(serve_chain(chain_id, lease, followers, surroundings.clone(), shutdown.clone()));
    }
    tasks.spawn(listen(ledger.clone(), ring, shutdown.clone()));
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
    let rpc = Rpc::new(deployment.rpc_url.expose(), deployment.chain_id, watcher.rpc_timeout)
        .with_context(|| format!("deployments.{name}.rpc_url"))?;
    Ok(Follower {
        deployment: deployment.to_contract(name),
        freshness: deployment.freshness(),
        reorg_depth: watcher.reorg_depth,
        rpc,
        ledger: ledger.clone(),
        range: Range::new(watcher.max_range),
        doubts: 0,
        inspected: false,
    })
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

/// Rings the followers' bell for every `sync` job. Only a shortcut: whatever is missed here is found by the next poll.
async fn listen(ledger: Ledger, ring: watch::Sender<()>, shutdown: Shutdown) {
    let mut bell = ledger.listen(&[JobKind::Sync]);
    while shutdown.run_until(bell.wait(TIDY)).await.is_some() {
        ring.send_replace(());
    }
}

/// Whichever process does it, and how often, does not matter.
async fn tidy(ledger: Ledger, shutdown: Shutdown) {
    while shutdown.run_until(tokio::time::sleep(TIDY)).await.is_some() {
        if let Err(error) = ledger.maintain().await {
            tracing::warn!(%error, "cannot tidy the ledger");
        }
    }
}
