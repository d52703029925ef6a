//! Holds of calls in flight: renewed while the call runs, captured or released when it is known how it went.
//!
//! A hold that nobody renews expires, and any front releases it: that is what becomes of the holds of a front that died.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use channel::{Hold, HoldId};
use ledger::{Ledger, LedgerError, Settlement};
use tokio::time::MissedTickBehavior;

use crate::metrics;

/// The first and the longest wait between two attempts to settle.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// After this long without the ledger's word, a hold is left to expire.
const GIVE_UP: Duration = Duration::from_secs(3600);
/// How often expired holds of any front are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How often what was sold is added to the sums.
const FOLD: Duration = Duration::from_secs(30);
/// How often the holds' partitions are made and dropped.
const MAINTAIN: Duration = Duration::from_secs(3600);

/// The holds of this front.
#[derive(Clone)]
pub(crate) struct Holds {
    ledger: Ledger,
    live: Arc<Mutex<HashSet<HoldId>>>,
    renew_every: Duration,
}

/// A hold that waits for its call. Dropped without being settled, it is no longer renewed, and expires.
pub(crate) struct Live {
    holds: Holds,
    hold: Hold,
}

impl Holds {
    pub(crate) fn new(ledger: Ledger, hold_ttl: Duration) -> Holds {
        Holds { ledger, live: Arc::default(), renew_every: hold_ttl / 3 }
    }

    /// Takes a new hold into care.
    pub(crate) fn keep(&self, hold: Hold) -> Live {
        metrics::held();
        self.with(|live| live.insert(hold.id));
        Live { holds: self.clone(), hold }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashSet<HoldId>) -> T) -> T {
        act(&mut self.live.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Renews this front's holds, sweeps up everybody's expired ones, and sums up what was sold, until it is dropped.
    pub(crate) async fn care(self) {
        let (renewer, sweeper, folder, keeper) = (self.clone(), self.ledger.clone(), self.ledger.clone(), self.ledger);
        tokio::join!(
            every(renewer.renew_every, "renew", || {
                let holds = renewer.clone();
                async move { holds.renew().await }
            }),
            every(SWEEP, "sweep", || {
                let ledger = sweeper.clone();
                async move { ledger.release_expired().await.map(|_| ()) }
            }),
            every(FOLD, "fold", || {
                let ledger = folder.clone();
                async move { ledger.fold_sales().await.map(|_| ()) }
            }),
            every(MAINTAIN, "maintain", || {
                let ledger = keeper.clone();
                async move { ledger.maintain().await }
            }),
        );
    }

    async fn renew(&self) -> Result<(), LedgerError> {
        let live = self.with(|live| live.iter().copied().collect::<Vec<_>>());
        if live.is_empty() { Ok(()) } else { self.ledger.renew(&live).await.map(|_| ()) }
    }
}

/// Acts again and again. What fails is tried at the next turn.
async fn every<F>(period: Duration, what: &'static str, act: impl Fn() -> F)
where
    F: Future<Output = Result<(), LedgerError>>,
{
    let mut turns = tokio::time::interval(period);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        if let Err(error) = act().await {
            metrics::ledger_error(&error);
            tracing::warn!(what, error = &error as &dyn std::error::Error, "the holds could not be cared for");
        }
    }
}

impl Live {
    /// The hold.
    pub(crate) fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Charges or gives back, and tries again until the ledger says that it is done.
    pub(crate) async fn settle(self, settlement: Settlement) {
        let began = Instant::now();
        let mut wait = BACK_OFF.0;
        loop {
            match self.holds.ledger.settle(&self.hold, settlement).await {
                Ok(capture) => return self.settled(settlement, &capture),
                Err(error) if !matches!(error, LedgerError::NotFound(_)) && began.elapsed() < GIVE_UP => {
                    metrics::ledger_error(&error);
                    tracing::debug!(hold.id = %self.hold.id, error = &error as &dyn std::error::Error, "not settled yet");
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    return tracing::error!(hold.id = %self.hold.id, error, "a hold was never settled");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACK_OFF.1);
        }
    }

    fn settled(&self, settlement: Settlement, capture: &channel::Capture) {
        match settlement {
            Settlement::Capture(_) => metrics::captured(capture),
            Settlement::Release => metrics::released(),
        }
        if !capture.lost.is_zero() {
            let (channel, lost) = (self.hold.channel, capture.lost);
            tracing::warn!(channel.id = %channel, hold.id = %self.hold.id, %lost, "captured too late");
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let id = self.hold.id;
        self.holds.with(|live| live.remove(&id));
    }
}
