//! What a front consists of, made from the configuration before a port is bound.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use channel::{ChannelId, Refusal, must_be_open};
use ledger::{Ledger, LedgerError};
use runtime::config::{Config, Limits, Timeouts};
use runtime::trace::Span;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::access_log::{AccessLog, Notes};
use crate::body::Bounds;
use crate::budget::Budget;
use crate::checkers::Checkers;
use crate::cors::Cors;
use crate::desk::Desk;
use crate::forwarded::{Peer, Trust};
use crate::goods::Caller;
use crate::guests::Guests;
use crate::holds::Holds;
use crate::metrics;
use crate::modes::Modes;
use crate::quota::Quotas;
use crate::shop::Shop;
use crate::tally;
use crate::tls::Tls;
use crate::unknown::Newcomers;

/// Bad signatures that are looked into at a time; the others are answered without a look at the ledger.
const LOOKING_INTO: usize = 32;

/// Everything that answers requests.
pub(crate) struct Front {
    pub(crate) ledger: Ledger,
    pub(crate) holds: Holds,
    /// What is done on each deployment.
    pub(crate) modes: Arc<Modes>,
    pub(crate) newcomers: Newcomers,
    pub(crate) quotas: Quotas,
    /// What a reload replaces. A request keeps the one it began with.
    pub(crate) shop: ArcSwap<Shop>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) trust: Trust,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) tls: Option<Arc<Tls>>,
    /// Places for connections, by client.
    pub(crate) guests: Arc<Guests>,
    /// What clients may spend of our time.
    pub(crate) budget: Budget,
    /// Places for requests.
    pub(crate) in_flight: Arc<Semaphore>,
    /// Where signatures are checked.
    pub(crate) checkers: Checkers,
    /// Calls whose holds are not settled yet.
    pub(crate) calls: TaskTracker,
    /// Where questions are answered.
    pub(crate) desk: Desk,
    /// Which web pages may read our answers.
    pub(crate) cors: Cors,
    pub(crate) access_log: Option<AccessLog>,
    looking_into: Semaphore,
}

/// One request's way through the house.
pub(crate) struct Visit {
    /// The other end of the connection.
    pub(crate) peer: Peer,
    /// Who asks, as far as we believe what trusted proxies say.
    pub(crate) client: IpAddr,
    /// Its place among the requests in flight; kept until both the answer and the call are over.
    pub(crate) admitted: Arc<OwnedSemaphorePermit>,
    /// What is found out about it, for its line in the access log.
    pub(crate) notes: Notes,
    /// Its place in a trace, if it has one.
    pub(crate) span: Span,
}

impl Visit {
    /// What became of a request for something priced, and why.
    pub(crate) fn decided(&self, route: &Arc<str>, decision: &'static str, reason: &'static str) {
        metrics::decided(route, decision, reason);
        self.notes.decided(decision, reason);
    }
}

impl Front {
    pub(crate) fn new(
        config: &Config,
        ledger: Ledger,
        tls: Option<Arc<Tls>>,
        modes: Arc<Modes>,
    ) -> anyhow::Result<Front> {
        let caller = Caller::new(&config.front)?;
        let front = &config.front;
        let hold_ttl = ledger.hold_ttl();
        Ok(Front {
            holds: Holds::new(ledger.clone(), hold_ttl),
            modes,
            quotas: Quotas::new(ledger.clone()),
            newcomers: Newcomers::new(front.limits.waiting_for_sync, front.timeouts.sync),
            shop: ArcSwap::from_pointee(Shop::new(config, &caller, None)?),
            caller,
            trust: Trust { proxies: front.trusted_proxies.clone(), proxy_protocol: front.proxy_protocol },
            limits: front.limits,
            timeouts: front.timeouts.clone(),
            tls,
            guests: Guests::new(front.limits.connections_per_client),
            budget: Budget::new(front.budget),
            in_flight: Arc::new(Semaphore::new(front.limits.in_flight)),
            checkers: Checkers::start(front.limits.waiting_for_check)?,
            calls: TaskTracker::new(),
            desk: Desk::open(front)?,
            cors: Cors::new(&front.cors),
            access_log: front.access_log.as_deref().map(AccessLog::open).transpose()?,
            looking_into: Semaphore::new(LOOKING_INTO),
            ledger,
        })
    }

    /// What goes on beside the requests, until it is dropped.
    pub(crate) async fn care(self: Arc<Front>) {
        let (holds, modes) = (self.holds.clone(), self.modes.clone());
        tokio::join!(holds.care(), modes.watch(self.ledger.clone()), tally::keep(self));
    }

    /// What clients may send.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { limit: self.limits.body_bytes, idle: self.timeouts.body_idle }
    }

    /// Waits until every call in flight is settled. New ones may still come; to keep them away is the caller's part.
    pub(crate) async fn settled(&self) {
        self.calls.close();
        self.calls.wait().await;
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
