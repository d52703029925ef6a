use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::Address;
use anyhow::Context;
use channel::Key;
use evm::Rpc;
use ledger::{Fence, Ledger};
use queue::Broker;
use runtime::{Config, Lease, config};
use tokio::sync::{Notify, watch};

use crate::clear::Clearing;
use crate::keys::Purse;
use crate::refill::Kept;
use crate::transactions::{Memory, Policy};

/// A chain as the wallet works on it: the deployments on it with their keys, its nodes, the ledger.
pub(crate) struct Desk {
    pub(crate) chain_id: u64,
    pub(crate) ledger: Ledger,
    pub(crate) broker: Option<Broker>,
    pub(crate) rpc: Rpc,
    pub(crate) purses: HashMap<String, Purse>,
    /// Seconds between blocks at the fastest, for the margin in seconds.
    pub(crate) block_s: u64,
    /// The limits for what is sent.
    pub(crate) policy: Policy,
    pub(crate) poll: Duration,
    pub(crate) lease: Lease,
    /// The lease again, for the journal to ask for.
    pub(crate) fence: Fence,
    /// What is kept filled.
    pub(crate) kept: Kept,
    /// Whether fronts may sell, as far as it is up to us.
    pub(crate) clearing: Clearing,
    memory: Mutex<Memory>,
    /// Whoever takes a place in the line of nonces has it.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Rings when there may be something new about our transactions.
    pub(crate) look: Notify,
    /// Changes with each new head: there may be room for more.
    pub(crate) room: watch::Sender<()>,
}

impl Desk {
    /// A desk for a chain. Its nodes need not be there yet: signing goes on without one.
    ///
    /// # Errors
    /// When the address of a node is none, or a key of what is kept filled cannot be used.
    pub(crate) fn new(
        config: &Config,
        ledger: Ledger,
        broker: Option<Broker>,
        chain_id: u64,
        purses: Vec<Purse>,
    ) -> anyhow::Result<Desk> {
        let first = purses.first().context("a chain has deployments")?;
        let first = &config.deployments[&first.deployment.name];
        let nodes = config.nodes_of(chain_id);
        let rpc = Rpc::over(&nodes, chain_id, config.wallet.rpc_timeout, first.max_node_lag)
            .with_context(|| format!("chain {chain_id}: one of its rpc_url and rpc_urls cannot be used"))?;
        let lease = Lease {
            name: format!("wallet:{chain_id}"),
            holder: format!("wallet-{}", uuid::Uuid::now_v7()),
            ttl: config.wallet.lease,
        };
        let kept = Kept::load(config, chain_id, &purses)?;
        Ok(Desk {
            chain_id,
            ledger,
            broker,
            rpc,
            block_s: first.fastest_block_s,
            policy: policy(&config.wallet),
            poll: config.wallet.poll,
            fence: Fence { lease: lease.name.clone(), holder: lease.holder.clone() },
            lease,
            purses: purses.into_iter().map(|purse| (purse.deployment.name.clone(), purse)).collect(),
            kept,
            clearing: Clearing::new(config),
            memory: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            look: Notify::new(),
            room: watch::Sender::new(()),
        })
    }

    /// The deployments on this chain, by name.
    pub(crate) fn deployments(&self) -> Vec<&str> {
        self.purses.keys().map(String::as_str).collect()
    }

    /// The payees' accounts on this chain, which answer closes, with their keys; several deployments may share one.
    pub(crate) fn accounts(&self) -> BTreeMap<Address, &Key> {
        self.purses.values().map(|purse| (purse.key.address(), &purse.key)).collect()
    }

    /// All accounts that send on this chain.
    pub(crate) fn senders(&self) -> BTreeMap<Address, &Key> {
        let mut senders = self.accounts();
        senders.extend(self.kept.keys().map(|key| (key.address(), key)));
        senders
    }

    /// What is remembered about what was sent.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a change of an intent.
    pub(crate) fn count(&self, state: &'static str) {
        let chain = self.chain_id.to_string();
        metrics::counter!("wallet_transactions_total", "chain" => chain, "state" => state).increment(1);
    }
}

fn policy(wallet: &config::Wallet) -> Policy {
    Policy {
        noop_cap: wallet.max_fee(),
        urgent_cap: wallet.max_urgent_fee(),
        normal_cap: wallet.max_normal_fee(),
        bump_after: wallet.bump,
        resend_after: wallet.resend,
        confirmations: wallet.confirmations,
        unmined_max: wallet.unmined_max,
    }
}
