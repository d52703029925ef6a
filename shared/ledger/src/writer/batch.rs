//! One batch, one transaction, two round trips (three when a voucher was seen before, or a channel is no longer as we know it).
//!
//! ```text
//! BEGIN · lock · read freshness, holds, new channels  rules, in memory      write epochs, holds · COMMIT      answer
//! └───────────── one round trip ──────────────┘                             └───── one round trip ─────┘
//! ```
//! Statements are pipelined: when one fails, those behind it fail with it, and COMMIT rolls back.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use channel::ChannelId;
use tokio::time::timeout;
use tokio_postgres::Error;
use tokio_postgres::error::Severity;

use super::connection::Connection;
use super::entry::Entry;
use super::totals::Lately;
use super::{read, write};
use crate::LedgerError;
use crate::error::is_of_the_statement;

/// What to do about rows that somebody else has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// Leave them out.
    Free,
    /// Wait a moment (50 ms), then leave them out.
    Wait,
}

/// Limits of a batch.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) step: Duration,
    pub(super) hold_ttl: Duration,
}

/// Why no entry of a batch got its answer.
pub(super) enum Failure {
    /// Rolled back because of something that one of the entries may have brought in. The connection is fine.
    Entry(LedgerError),
    /// It was none of the entries. The connection must go.
    Connection(LedgerError),
}

/// Runs the entries in one transaction and leaves each its answer. Returns the channels that were left out.
pub(super) async fn run(
    connection: &mut Connection,
    entries: &mut [Entry],
    lock: Lock,
    limits: &Limits,
    lately: &Lately,
) -> Result<HashSet<ChannelId>, Failure> {
    let too_slow = || Failure::Connection(LedgerError::unavailable("the database is too slow"));
    let reading = timeout(limits.step, read::read(connection, entries, lock, lately)).await;
    let (mut books, locked_elsewhere) = reading.map_err(|_| too_slow())??;
    for entry in entries.iter_mut().filter(|entry| !locked_elsewhere.contains(&entry.channel())) {
        books.apply(entry);
    }
    let changes = books.changes();
    if changes.is_empty() {
        // Refusals alone: there is nothing to make durable.
        timeout(limits.step, rollback(connection)).await.map_err(|_| too_slow())??;
    } else {
        // A commit is never cancelled: giving up on it drops the connection, and what became of it is unknown.
        let commit = timeout(limits.step, write::write_and_commit(connection, &changes, limits.hold_ttl)).await;
        commit.map_err(|_| Failure::Connection(LedgerError::OutcomeUnknown))??;
        books.rises().for_each(|(deployment, amount)| lately.note(deployment, amount, Instant::now()));
    }
    Ok(locked_elsewhere)
}

/// Gives the locks back.
pub(super) async fn rollback(connection: &Connection) -> Result<(), Failure> {
    let done = connection.batch_execute("ROLLBACK").await;
    done.map_err(|error| Failure::Connection(LedgerError::before_commit(error)))
}

impl Failure {
    /// Whose fault an error is. The server's own trouble and a lost connection are nobody's.
    pub(super) fn of(error: Error, kind: fn(Error) -> LedgerError) -> Failure {
        let said = error.as_db_error().filter(|db| db.parsed_severity() == Some(Severity::Error));
        let of_an_entry = said.is_some_and(|db| is_of_the_statement(db.code()));
        match kind(error) {
            // What may have happened must not be done again.
            error @ LedgerError::OutcomeUnknown => Failure::Connection(error),
            error if of_an_entry => Failure::Entry(error),
            error => Failure::Connection(error),
        }
    }
}
