//! The audit trail: all that is money or explains it, of one moment, a record at a time.
//!
//! ```text
//! head ─ deployments ─ (channel ─ its events …)… ─ sales ─ transactions ─ end
//! ```
//! It is read in pages within one snapshot, and whoever receives it sets the pace, so it takes the same memory for ten
//! channels and for ten million. While it is read, the server keeps what is deleted meanwhile: not more than
//! [`IDLE_MAX`] may pass between two pages.

mod pages;
mod record;

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::database::{Params, timed};
use crate::{Ledger, LedgerError, rows};

pub use record::{
    ChannelRecord, Counts, DeploymentRecord, EpochRecord, EventRecord, Head, Record, SaleRecord, SignedAmount,
    TransactionRecord,
};

/// Of the format. A reader refuses another one.
pub const TRAIL_VERSION: u32 = 1;
/// Records that wait for the receiver.
const AHEAD: usize = 1_000;
/// How long the receiver may take for a page; then the server gives the snapshot up.
const IDLE_MAX: &str = "10min";
/// How long one page may take to read.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Records, and the error that ended them early.
pub type Trail = mpsc::Receiver<Result<Record, LedgerError>>;

impl Ledger {
    /// Reads the audit trail as it is now; with `since`, without channels that had ended by then and what was sold and sent
    /// before. It ends with [`Record::End`], or with an error.
    pub fn trail(&self, since: Option<Timestamp>) -> Trail {
        let (records, trail) = mpsc::channel(AHEAD);
        let ledger = self.clone();
        tokio::spawn(async move {
            let failed = records.clone();
            if let Err(error) = walk(&ledger, since, records).await {
                // Nobody listens any more: nobody is to be told.
                let _ = failed.send(Err(error)).await;
            }
        });
        trail
    }
}

async fn walk(
    ledger: &Ledger,
    since: Option<Timestamp>,
    records: mpsc::Sender<Result<Record, LedgerError>>,
) -> Result<(), LedgerError> {
    let snapshot = Snapshot::take(ledger).await?;
    let mut out = Out { records, counts: Counts::default() };
    let sql = "-- taken_at
        SELECT now()";
    let now = snapshot.read("taken_at", sql, &[]).await?;
    let taken_at = rows::get(now.first().ok_or(LedgerError::NotFound("moment"))?, 0)?;
    out.give(Record::Trail(Head { version: TRAIL_VERSION, taken_at, since })).await?;
    pages::deployments(&snapshot, &mut out).await?;
    pages::channels(&snapshot, since, &mut out).await?;
    pages::sales(&snapshot, since, &mut out).await?;
    pages::unfolded(&snapshot, since, &mut out).await?;
    pages::transactions(&snapshot, since, &mut out).await?;
    let counts = out.counts;
    out.give(Record::End(counts)).await
}

/// A connection of its own, inside a transaction that sees one moment. Dropped, it is closed.
struct Snapshot {
    client: ClientWrapper,
}

impl Snapshot {
    async fn take(ledger: &Ledger) -> Result<Snapshot, LedgerError> {
        let client = Object::take(ledger.inner.database.client().await?);
        let sql = format!(
            "-- snapshot
            SET idle_in_transaction_session_timeout = '{IDLE_MAX}';
            BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        );
        client.batch_execute(&sql).await.map_err(LedgerError::before_commit)?;
        Ok(Snapshot { client })
    }

    async fn read(&self, name: &'static str, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, LedgerError> {
        let read = async {
            let statement = self.client.prepare_cached(sql).await?;
            self.client.query(&statement, params).await
        };
        let late = || LedgerError::unavailable("the database is too slow");
        let read = timeout(PAGE_TIMEOUT, timed(name, read)).await;
        read.map_err(|_| late())?.map_err(LedgerError::before_commit)
    }
}

/// Where the records go.
struct Out {
    records: mpsc::Sender<Result<Record, LedgerError>>,
    counts: Counts,
}

impl Out {
    async fn give(&mut self, record: Record) -> Result<(), LedgerError> {
        self.counts.count(&record);
        let gone = |_| LedgerError::unavailable("nobody reads the trail any more");
        self.records.send(Ok(record)).await.map_err(gone)
    }
}
