//! The only holder of the payee's key: turns jobs of the ledger into signatures and mined transactions.
//!
//! ```text
//! sign       the ledger agrees to the final amount (nothing is sold from here on) → signature → stored → outcome
//! challenge  planned again → the ledger agrees → simulated → published → journalled → broadcast → … → closed in the ledger
//! close      likewise, for an operator, or because the payer does not use our closing signature
//! settle     likewise, because the payer does not end the close that it asked for
//! claim      planned again → simulated → the newest voucher published → journalled → broadcast → … → claimed in the ledger
//! refill     planned again → the decision stored → simulated → journalled → broadcast → … → deep in the chain
//! ```
//!
//! There is one [`desk::Desk`] a chain. Of several wallets the one with the chain's lease works, the others stand by
//! ([`active`]). The lease only saves work: what keeps two wallets from doing something twice are the row locks behind
//! `agree_close`, deterministic signatures, and the journal's UNIQUE nonces. A wallet that dies at any point is
//! continued from the ledger by itself or another.
//!
//! *Invariants:* an amount is agreed to in the ledger before it is signed; a transaction is in the journal before it is
//! sent, and of two with one nonce only one ever is; a job about money is done when the ledger says so, which only
//! the watcher makes it say.

mod active;
mod challenge;
mod claim;
mod clear;
mod close;
mod desk;
mod error;
mod jobs;
mod keys;
mod margins;
mod metric;
mod points;
mod refill;
mod sending;
mod settle;
mod sign;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use ledger::Ledger;
use queue::Broker;
use runtime::process::Context;
use runtime::{Check, Config, Ops, Shutdown};
use tokio::task::JoinSet;

use desk::Desk;

/// Runs until the shutdown begins.
///
/// # Errors
/// When a key is missing, readable by others or not the payee's; when the ledger is not to be had or not to be trusted.
pub async fn run(context: Context) -> anyhow::Result<()> {
    #[cfg(feature = "failpoints")]
    let _armed = points::arm();
    let Context { config, shutdown, metrics, .. } = context;
    metric::describe();
    keys::guard_memory().context("cannot keep the key out of core dumps")?;
    let keys = keys::load(&config)?;
    let ledger = Ledger::connect(&config.database).await.context("cannot use the ledger")?;
    let broker = config.queue.as_ref().map(Broker::new).transpose().context("cannot use [queue]")?;
    let desks = desks(&config, keys, &ledger, broker.as_ref())?;
    for desk in &desks {
        desk.rpc.refuse_other_chains().await.with_context(|| format!("chain {}", desk.chain_id))?;
    }
    let mut checks = vec![database_check(&ledger)];
    checks.extend(desks.iter().map(node_check));
    checks.extend(desks.iter().map(clear_check));
    checks.extend(broker.as_ref().map(Broker::readiness));
    let (address, ops) = Ops::serve(config.wallet.ops_listen, metrics, checks, shutdown.clone())
        .await
        .with_context(|| format!("wallet.ops_listen: cannot listen on {}", config.wallet.ops_listen))?;
    ops.started();
    tracing::info!(%address, chains = desks.len(), "the wallet is running");
    let holder = format!("wallet-{}", uuid::Uuid::now_v7());
    let relay = broker.map(|broker| queue::relay(ledger, broker, holder, config.wallet.lease, shutdown.clone()));
    work(desks, relay, &shutdown).await
}

/// One desk a chain, with all deployments on it.
fn desks(
    config: &Config,
    keys: Vec<keys::Purse>,
    ledger: &Ledger,
    broker: Option<&Broker>,
) -> anyhow::Result<Vec<Arc<Desk>>> {
    let mut chains: BTreeMap<u64, Vec<keys::Purse>> = BTreeMap::new();
    for purse in keys {
        chains.entry(purse.deployment.chain_id).or_default().push(purse);
    }
    let desk = |(chain_id, purses)| Desk::new(config, ledger.clone(), broker.cloned(), chain_id, purses).map(Arc::new);
    chains.into_iter().map(desk).collect()
}

async fn work(
    desks: Vec<Arc<Desk>>,
    relay: Option<impl Future<Output = ()> + Send + 'static>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let mut running: JoinSet<()> = desks.into_iter().map(|desk| active::run(desk, shutdown.clone())).collect();
    if let Some(relay) = relay {
        running.spawn(relay);
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a chain's desk failed")?;
    }
    Ok(())
}

fn database_check(ledger: &Ledger) -> Check {
    let ledger = ledger.clone();
    Check::required("database", move || {
        let ledger = ledger.clone();
        async move { ledger.healthy().await.map_err(|error| error.to_string()) }
    })
}

fn node_check(desk: &Arc<Desk>) -> Check {
    let desk = desk.clone();
    Check::informative("node", move || {
        let desk = desk.clone();
        async move { desk.rpc.head().await.map(drop).map_err(|error| format!("chain {}: {error}", desk.chain_id)) }
    })
}

/// Whether fronts may go on selling, as far as it is up to us.
fn clear_check(desk: &Arc<Desk>) -> Check {
    let desk = desk.clone();
    Check::informative(format!("all clear on chain {}", desk.chain_id), move || {
        std::future::ready(desk.clearing.verdict())
    })
}
