//! What each client gets for nothing, counted in the ledger across all fronts.
//!
//! ```text
//! no payment ─► known to have had all? ──yes──────────────────────────► 402, from memory
//!                   │ no
//!                   ▼
//!               ledger counts one ─► one was left ─► served, `Sluice-Free-Remaining`
//!                   │        └──► none: remembered until the window ends ─► 402
//!                   └──► away, or slow ─► 402, and it is not asked for a moment
//! ```
//! A client is an IPv4 address, or the /64 of an IPv6 one. *Invariant:* a call that was not counted is not free.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderName;
use ledger::{FreeCall, Ledger};
use moka::Expiry;
use moka::future::Cache;
use runtime::config::FreeQuota;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::metrics;
use crate::rates::network;

/// How many free calls the client has left in this hour or day.
pub(crate) const REMAINING: HeaderName = HeaderName::from_static("sluice-free-remaining");
/// Clients who had all, remembered at a time. Who is forgotten costs a look into the ledger.
const MAX_EXHAUSTED: u64 = 65_536;
/// Calls that are counted at a time, so that most of the ledger's connections are there for others.
const COUNTING: usize = 4;
/// How long a client without a payment waits for its call to be counted.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the ledger is left alone after it gave no answer.
const REST: Duration = Duration::from_secs(1);

/// Counts free calls.
pub(crate) struct Quotas {
    ledger: Ledger,
    exhausted: Cache<Client, Duration>,
    places: Arc<Semaphore>,
    resting_until: Mutex<Option<Instant>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Client {
    route: Arc<str>,
    quota: FreeQuota,
    network: IpAddr,
}

/// Who had all is remembered for as long as the ledger says.
struct UntilTheWindowEnds;

impl Expiry<Client, Duration> for UntilTheWindowEnds {
    fn expire_after_create(&self, _: &Client, ends_in: &Duration, _: Instant) -> Option<Duration> {
        Some(*ends_in)
    }

    fn expire_after_update(&self, _: &Client, ends_in: &Duration, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(*ends_in)
    }
}

impl Quotas {
    pub(crate) fn new(ledger: Ledger) -> Quotas {
        Quotas {
            ledger,
            exhausted: Cache::builder().max_capacity(MAX_EXHAUSTED).expire_after(UntilTheWindowEnds).build(),
            places: Arc::new(Semaphore::new(COUNTING)),
            resting_until: Mutex::default(),
        }
    }

    /// Takes a free call of a route. What is left after it, or `None` if it is not free.
    pub(crate) async fn take(&self, route: &Arc<str>, quota: FreeQuota, client: IpAddr) -> Option<u32> {
        let client = Client { route: route.clone(), quota, network: network(client) };
        if self.exhausted.contains_key(&client) || self.rests() {
            return None;
        }
        let place = timeout(PATIENCE, self.places.clone().acquire_owned()).await.ok()?.ok()?;
        // Those who waited with this one may have had the last.
        if self.exhausted.contains_key(&client) || self.rests() {
            return None;
        }
        let (ledger, counted) = (self.ledger.clone(), client.clone());
        // A statement is not broken off: its connection would be lost. It ends by itself, in its place.
        let counting = tokio::spawn(async move {
            let _place = place;
            ledger.take_free_call(&counted.route, counted.network, quota.per, quota.requests).await
        });
        match timeout(PATIENCE, counting).await {
            Ok(Ok(Ok(FreeCall::Granted { left }))) => Some(left),
            Ok(Ok(Ok(FreeCall::Exhausted { ends_in }))) => {
                self.exhausted.insert(client, ends_in).await;
                None
            }
            Ok(Ok(Err(error))) => {
                metrics::ledger_error(&error);
                self.rest()
            }
            Ok(Err(_)) | Err(_) => self.rest(),
        }
    }

    fn rests(&self) -> bool {
        let until = *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn rest(&self) -> Option<u32> {
        *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
        None
    }
}
