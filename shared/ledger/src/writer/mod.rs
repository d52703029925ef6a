//! Group commit: everything that moves a channel's counters goes through here.
//!
//! ```text
//! sell settle agree_close publish
//!        │ entries, each with the place where its answer is awaited
//!        ▼
//! bounded queue ──▶ fast lane: all that waits, ≤ batch_max, is one transaction; rows are taken SKIP LOCKED
//!                     │ what somebody else has locked
//!                     ▼
//!                   patient lane: its own connection, bounded waiting; one stalled channel stalls only itself
//! ```
//! While a transaction commits, the queue fills: the slower the disk, the larger the batch. Both lanes have a thread of
//! their own.

mod batch;
mod books;
mod connection;
mod debts;
mod entry;
#[cfg(feature = "forgetful")]
mod forgetful;
mod holds;
mod known;
mod lane;
mod patient;
mod read;
mod takings;
mod totals;
mod wanted;
mod write;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{LedgerError, Settings};
use lane::Lane;

pub(crate) use entry::{Agree, Ask, Ending, Entry, Publish, Settle, Which};

/// The queue's end that callers hold.
pub(crate) struct Writer {
    queue: mpsc::Sender<Entry>,
    send_timeout: Duration,
    stop: CancellationToken,
    /// Cancelled when both lanes have ended.
    ended: CancellationToken,
}

impl Writer {
    /// Starts both lanes. They connect when they have something to do.
    pub(crate) fn start(settings: &Settings, calm: Arc<Calm>) -> Result<Writer, LedgerError> {
        let (queue, entries) = mpsc::channel(settings.queue_max);
        let (skipped, to_wait_for) = mpsc::channel(settings.queue_max);
        let stop = CancellationToken::new();
        let lately = Arc::new(totals::Lately::default());
        let fast = Lane::new(settings, "sluice payments", calm.clone(), lately.clone())?;
        let patient = Lane::new(settings, "sluice payments, patient", calm, lately)?;
        let fast = lane::run(fast, entries, skipped, stop.clone());
        let patient = patient::run(patient, to_wait_for, settings.lock_timeout(), settings.queue_max);
        let ended = on_their_own_thread(async { futures::join!(fast, patient) })?;
        Ok(Writer { queue, send_timeout: settings.commit_timeout(), stop, ended })
    }

    /// Starts a lane that answers from memory, from these accounts on, and writes nothing.
    #[cfg(feature = "forgetful")]
    pub(crate) fn forgetful(
        settings: &Settings,
        accounts: Vec<(Arc<channel::Channel>, channel::Epoch)>,
    ) -> Result<Writer, LedgerError> {
        let (queue, entries) = mpsc::channel(settings.queue_max);
        let stop = CancellationToken::new();
        let may_sell =
            accounts.iter().map(|(channel, _)| (channel.deployment.clone(), channel::Amount::ZERO)).collect();
        let books = books::Books::open(accounts, may_sell, holds::Holds::default(), debts::Debts::default());
        let ended = on_their_own_thread(forgetful::run(books, settings.batch_max, entries, stop.clone()))?;
        Ok(Writer { queue, send_timeout: settings.commit_timeout(), stop, ended })
    }

    /// Asks at once or not at all: what a client waits for is better refused than late.
    pub(crate) async fn ask<Q, A>(&self, entry: fn(Box<Ask<Q, A>>) -> Entry, question: Q) -> Result<A, LedgerError> {
        let (ask, answer) = Ask::new(question);
        self.queue.try_send(entry(ask)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        answered(answer).await
    }

    /// Asks, and waits for a place in the queue: for what must not be refused because others sell.
    pub(crate) async fn insist<Q, A>(&self, entry: fn(Box<Ask<Q, A>>) -> Entry, question: Q) -> Result<A, LedgerError> {
        let (ask, answer) = Ask::new(question);
        let sent = self.queue.send_timeout(entry(ask), self.send_timeout).await;
        sent.map_err(|error| match error {
            mpsc::error::SendTimeoutError::Timeout(_) => LedgerError::Overloaded,
            mpsc::error::SendTimeoutError::Closed(_) => closed(),
        })?;
        answered(answer).await
    }

    /// Takes nothing more, answers what waits, and ends both lanes.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
    }
}

/// Runs the lanes beside the runtime of their process: in it, each step of a batch would wait behind all the requests whose
/// signatures are to be checked. Cancels what it returns when they have ended.
fn on_their_own_thread<T>(lanes: impl Future<Output = T> + Send + 'static) -> Result<CancellationToken, LedgerError> {
    let ended = CancellationToken::new();
    let end = ended.clone().drop_guard();
    let refused = |error: std::io::Error| LedgerError::Refused(format!("no thread for payments: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
    let run = move || {
        let _end = end;
        runtime.block_on(lanes);
    };
    std::thread::Builder::new().name("payments".to_owned()).spawn(run).map_err(refused)?;
    Ok(ended)
}

fn closed() -> LedgerError {
    LedgerError::unavailable("the ledger is closed")
}

/// A lane that ended without an answer may have been in the middle of a commit.
async fn answered<A>(answer: entry::Answer<A>) -> Result<A, LedgerError> {
    answer.await.unwrap_or(Err(LedgerError::OutcomeUnknown))
}

/// How long the database has been answering. While it did not, fronts could not renew their holds.
pub(crate) struct Calm(Mutex<Instant>);

impl Calm {
    /// A process that just started knows nothing about the past: it begins disturbed.
    pub(crate) fn new() -> Calm {
        Calm(Mutex::new(Instant::now()))
    }

    /// Notes an error of the database.
    pub(crate) fn disturb(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// True when there was no error for this long.
    pub(crate) fn lasts(&self, time: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= time
    }
}
