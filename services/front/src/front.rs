//! What a front consists of, made from the configuration before a port is bound.

use std::sync::Arc;

use arc_swap::ArcSwap;
use channel::{ChannelId, Refusal, must_be_open};
use ledger::{Ledger, LedgerError};
use runtime::config::{Config, Limits, Timeouts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::body::Bounds;
use crate::forwarded::{Peer, Trust};
use crate::goods::Caller;
use crate::holds::Holds;
use crate::shop::Shop;
use crate::unknown::Newcomers;

/// Bad signatures that are looked into at a time; the others are answered without a look at the ledger.
const LOOKING_INTO: usize = 32;

/// Requests that wait for the wallet at a time.
const SIGNING: usize = 64;

/// Everything that answers requests.
pub(crate) struct Front {
    pub(crate) ledger: Ledger,
    pub(crate) holds: Holds,
    pub(crate) newcomers: Newcomers,
    /// What a reload replaces. A request keeps the one it began with.
    pub(crate) shop: ArcSwap<Shop>,
    pub(crate) trust: Trust,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    /// Calls whose holds are not settled yet.
    pub(crate) calls: TaskTracker,
    /// Requests that wait for the wallet.
    pub(crate) signing: Semaphore,
    looking_into: Semaphore,
}

/// One request's way through the house.
pub(crate) struct Visit {
    pub(crate) peer: Peer,
    /// Its place among the requests in flight; kept until both the answer and the call are over.
    pub(crate) admitted: Arc<OwnedSemaphorePermit>,
}

impl Front {
    pub(crate) fn new(config: &Config, ledger: Ledger) -> anyhow::Result<Front> {
        let caller = Caller::new(&config.front.timeouts);
        let front = &config.front;
        let hold_ttl = ledger.hold_ttl();
        Ok(Front {
            holds: Holds::new(ledger.clone(), hold_ttl),
            newcomers: Newcomers::new(front.limits.waiting_for_sync, front.timeouts.sync),
            shop: ArcSwap::from_pointee(Shop::new(config, &caller)?),
            trust: Trust { proxies: front.trusted_proxies.clone(), proxy_protocol: front.proxy_protocol },
            limits: front.limits,
            timeouts: front.timeouts.clone(),
            calls: TaskTracker::new(),
            signing: Semaphore::new(SIGNING),
            looking_into: Semaphore::new(LOOKING_INTO),
            ledger,
        })
    }

    /// What clients may send.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { limit: self.limits.body_bytes, idle: self.timeouts.body_idle }
    }

    /// What else is wrong with a payment whose signature is bad: a client must hear first that its channel is not there,
    /// or not yet. `None` if nothing, or if too many ask.
    pub(crate) async fn why_not(&self, channel: ChannelId) -> Result<Option<Refusal>, LedgerError> {
        let Ok(_place) = self.looking_into.try_acquire() else { return Ok(None) };
        Ok(match self.ledger.view(channel).await? {
            None => Some(Refusal::Unknown),
            Some((channel, _)) => must_be_open(&channel).err(),
        })
    }
}
