use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256};
use anyhow::Context;
use evm::Rpc;
use ledger::Ledger;
use runtime::{Config, Lease};
use tokio::sync::Notify;

use crate::keys::Purse;

/// A chain as the wallet works on it: the deployments on it with their keys, a node, the ledger.
pub(crate) struct Desk {
    pub(crate) chain_id: u64,
    pub(crate) ledger: Ledger,
    pub(crate) rpc: Rpc,
    pub(crate) purses: HashMap<String, Purse>,
    /// Seconds between blocks at the fastest, for the margin in seconds.
    pub(crate) block_s: u64,
    /// The most we pay for a unit of gas, in wei.
    pub(crate) max_fee: u128,
    pub(crate) poll: Duration,
    pub(crate) lease: Lease,
    /// When this process last sent a transaction, so that it is not sent all the time. A new process sends at once.
    pub(crate) sent: Mutex<HashMap<B256, Instant>>,
    /// Rings when there may be something new about our transactions.
    pub(crate) look: Notify,
}

impl Desk {
    /// A desk for a chain. The node need not be there yet: signing goes on without one.
    ///
    /// # Errors
    /// When the node's address is none, or differs among the chain's deployments.
    pub(crate) fn new(config: &Config, ledger: Ledger, chain_id: u64, purses: Vec<Purse>) -> anyhow::Result<Desk> {
        const GWEI: u128 = 1_000_000_000;
        let first = purses.first().context("a chain has deployments")?;
        let first = &config.deployments[&first.deployment.name];
        let rpc = Rpc::new(first.rpc_url.expose(), chain_id, config.wallet.rpc_timeout)
            .with_context(|| format!("chain {chain_id}: its rpc_url cannot be used"))?;
        Ok(Desk {
            chain_id,
            ledger,
            rpc,
            block_s: first.fastest_block_s,
            max_fee: u128::from(config.wallet.max_fee_gwei) * GWEI,
            poll: config.wallet.poll,
            lease: Lease {
                name: format!("wallet:{chain_id}"),
                holder: format!("wallet-{}", uuid::Uuid::now_v7()),
                ttl: config.wallet.lease,
            },
            purses: purses.into_iter().map(|purse| (purse.deployment.name.clone(), purse)).collect(),
            sent: Mutex::default(),
            look: Notify::new(),
        })
    }

    /// The deployments on this chain, by name.
    pub(crate) fn deployments(&self) -> Vec<&str> {
        self.purses.keys().map(String::as_str).collect()
    }

    /// The accounts that send on this chain; several deployments may share one.
    pub(crate) fn accounts(&self) -> BTreeSet<Address> {
        self.purses.values().map(|purse| purse.key.address()).collect()
    }
}
