//! What a front consists of, made from the configuration before a port is bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use channel::{ChannelId, Refusal, must_be_open};
use ledger::{Ledger, LedgerError};
use runtime::config::{Config, Limits, Matcher, Timeouts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::body::Bounds;
use crate::forwarded::{Peer, Trust};
use crate::goods::Caller;
use crate::holds::Holds;
use crate::route::Route;
use crate::router::Router;
use crate::till::Till;
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
    pub(crate) router: Router,
    pub(crate) tills: Vec<Arc<Till>>,
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
        let tills = config
            .deployments
            .iter()
            .map(|(name, deployment)| Ok((name.clone(), Arc::new(Till::open(name, deployment)?))))
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let front = &config.front;
        let hold_ttl = ledger.hold_ttl();
        Ok(Front {
            holds: Holds::new(ledger.clone(), hold_ttl),
            newcomers: Newcomers::new(front.limits.waiting_for_sync, front.timeouts.sync),
            router: routes(config, &tills)?,
            tills: tills.into_values().collect(),
            trust: Trust { proxies: front.trusted_proxies.clone(), proxy_protocol: front.proxy_protocol },
            limits: front.limits.clone(),
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

fn routes(config: &Config, tills: &BTreeMap<String, Arc<Till>>) -> anyhow::Result<Router> {
    let caller = Caller::new(&config.front.timeouts);
    let mut router = Router::default();
    for route in &config.front.routes {
        let path = route.matcher.path();
        if let Some(till) = tills.values().find(|till| till.protocol.owns(path)) {
            anyhow::bail!("the route `{}` is at a path that the protocol {} answers", route.name, till.protocol.name());
        }
        let sold = Arc::new(Route::new(route, tills, &caller)?);
        match &route.matcher {
            Matcher::Exact(path) => router.add_exact(path, sold),
            Matcher::Prefix(prefix) => router.add_prefix(prefix, sold),
        }
    }
    Ok(router)
}
