//! The fast lane, and what both lanes share: a connection that comes back, and what to do when a batch fails.

use std::collections::HashSet;
use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, Instant};

use channel::ChannelId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Calm;
use super::batch::{self, Failure, Limits, Lock};
use super::connection::Connection;
use super::entry::Entry;
use super::totals::Lately;
use crate::address::Address;
use crate::{LedgerError, Settings};

/// Between two attempts to connect. In between, everything asked fails at once.
const RECONNECT_AFTER: Duration = Duration::from_millis(250);

/// A connection, and how batches run on it.
pub(super) struct Lane {
    address: Address,
    purpose: &'static str,
    single_node: bool,
    limits: Limits,
    pub(super) batch_max: usize,
    calm: Arc<Calm>,
    lately: Arc<Lately>,
    connection: Option<Connection>,
    failed: Option<(Instant, LedgerError)>,
}

/// Runs the fast lane until the queue is closed and empty.
pub(super) async fn run(
    mut lane: Lane,
    mut queue: mpsc::Receiver<Entry>,
    skipped: mpsc::Sender<Entry>,
    stop: CancellationToken,
) {
    let mut batch = Vec::with_capacity(lane.batch_max);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !queue.is_closed() => queue.close(),
            taken = queue.recv_many(&mut batch, lane.batch_max) => {
                if taken == 0 {
                    return;
                }
                metrics::gauge!("ledger_queue_length").set(count(queue.len()));
                batch.retain(|entry| !entry.is_abandoned());
                for entry in lane.run(take(&mut batch), Lock::Free).await {
                    metrics::counter!("ledger_entries_skipped_total").increment(1);
                    if let Err(unsent) = skipped.try_send(entry) {
                        unsent.into_inner().fail(LedgerError::Overloaded);
                    }
                }
            }
        }
    }
}

impl Lane {
    pub(super) fn new(
        settings: &Settings,
        purpose: &'static str,
        calm: Arc<Calm>,
        lately: Arc<Lately>,
    ) -> Result<Lane, LedgerError> {
        Ok(Lane {
            address: settings.address()?,
            purpose,
            single_node: settings.single_node,
            limits: Limits { step: settings.commit_timeout(), hold_ttl: settings.hold_ttl() },
            batch_max: settings.batch_max,
            calm,
            lately,
            connection: None,
            failed: None,
        })
    }

    /// Runs the entries and answers them, all but those whose channel somebody else has locked: they are returned.
    pub(super) async fn run(&mut self, mut entries: Vec<Entry>, lock: Lock) -> Vec<Entry> {
        if entries.is_empty() {
            return entries;
        }
        match self.commit(&mut entries, lock).await {
            Ok(locked_elsewhere) => deliver(entries, &locked_elsewhere),
            Err(Failure::Entry(_)) if entries.len() > 1 => self.run_one_by_one(entries, lock).await,
            Err(Failure::Entry(error) | Failure::Connection(error)) => {
                fail(entries, &error);
                Vec::new()
            }
        }
    }

    /// A batch was rolled back for what may be the fault of one entry: it alone shall fail.
    async fn run_one_by_one(&mut self, entries: Vec<Entry>, lock: Lock) -> Vec<Entry> {
        metrics::counter!("ledger_batches_rerun_total").increment(1);
        let mut skipped = Vec::new();
        for entry in entries {
            let mut alone = vec![entry];
            match self.commit(&mut alone, lock).await {
                Ok(locked_elsewhere) => skipped.extend(deliver(alone, &locked_elsewhere)),
                Err(Failure::Entry(error) | Failure::Connection(error)) => fail(alone, &error),
            }
        }
        skipped
    }

    async fn commit(&mut self, entries: &mut [Entry], lock: Lock) -> Result<HashSet<ChannelId>, Failure> {
        let (limits, lately) = (self.limits, self.lately.clone());
        let connection = self.connection().await.map_err(Failure::Connection)?;
        let started = Instant::now();
        let done = batch::run(connection, entries, lock, &limits, &lately).await;
        metrics::histogram!("ledger_tx_seconds", "tx" => "payments").record(started.elapsed().as_secs_f64());
        metrics::histogram!("ledger_batch_entries").record(count(entries.len()));
        if let Err(Failure::Connection(error)) = &done {
            self.lose(error);
        }
        done
    }

    /// The connection, made anew when it was lost; not more often than every [`RECONNECT_AFTER`].
    async fn connection(&mut self) -> Result<&mut Connection, LedgerError> {
        if self.connection.as_ref().is_some_and(|connection| connection.is_closed()) {
            self.connection = None;
            self.calm.disturb();
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn connect(&mut self) -> Result<Connection, LedgerError> {
        if let Some((at, error)) = &self.failed
            && at.elapsed() < RECONNECT_AFTER
        {
            return Err(error.clone());
        }
        let opened = Connection::open(&self.address, self.purpose, self.single_node);
        let opened = tokio::time::timeout(self.limits.step, opened).await;
        let opened = opened.unwrap_or_else(|_| Err(LedgerError::unavailable("the database is too slow to connect")));
        if let Err(error) = &opened {
            self.calm.disturb();
            // What refuses us now may be repaired: to the callers it is the same as a database that is away.
            let away = match error {
                LedgerError::Refused(_) => LedgerError::Unavailable(Arc::new(error.clone())),
                _ => error.clone(),
            };
            tracing::warn!(
                error = error as &dyn std::error::Error,
                purpose = self.purpose,
                "no connection for payments"
            );
            self.failed = Some((Instant::now(), away.clone()));
            return Err(away);
        }
        self.failed = None;
        opened
    }

    /// Drops the connection, and a commit under way with it.
    fn lose(&mut self, error: &LedgerError) {
        self.connection = None;
        self.calm.disturb();
        if matches!(error, LedgerError::OutcomeUnknown) {
            metrics::counter!("ledger_outcome_unknown_total").increment(1);
        }
        tracing::warn!(error = error as &dyn std::error::Error, purpose = self.purpose, "a batch of payments failed");
    }
}

fn deliver(entries: Vec<Entry>, locked_elsewhere: &HashSet<ChannelId>) -> Vec<Entry> {
    let mut skipped = Vec::new();
    for entry in entries {
        if locked_elsewhere.contains(&entry.channel()) {
            skipped.push(entry);
        } else {
            entry.deliver();
        }
    }
    skipped
}

fn fail(entries: Vec<Entry>, error: &LedgerError) {
    for entry in entries {
        entry.fail(error.clone());
    }
}

/// A number as metrics want it.
pub(super) fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}
