//! The ledger on PostgreSQL: what was paid, what the chain says, what is to be done.
//!
//! The rules are [`channel`]'s; this crate locks rows, reads, applies them, writes and commits. One batch of payments:
//!
//! ```text
//!  sell sell settle sell …            callers, each waiting for its own answer
//!    │    │    │     │
//!    ▼    ▼    ▼     ▼
//!  ┌───────────────────┐  full: Overloaded, nothing happened
//!  │   bounded queue   │
//!  └─────────┬─────────┘  whatever came while the last batch committed
//!            ▼
//!  BEGIN ─ lock and read epochs in key order, SKIP LOCKED ─ read freshness, holds, new channels  1st round trip
//!            │                    └── locked by others: the patient lane, bounded waiting
//!            ▼
//!  channel::{hold, charge, capture, release} in the order of arrival, on rows in memory
//!            │
//!            ▼
//!  UPDATE epochs ─ INSERT holds ─ UPDATE holds ─ note what was charged ─ COMMIT                   2nd round trip
//!            │
//!            ├── committed ────────────▶ every caller gets its answer: a receipt, or a refusal with numbers
//!            ├── rolled back ──────────▶ once more, one by one: the entry at fault gets the error, alone
//!            └── nobody knows ─────────▶ OutcomeUnknown for all: nothing may be served on it
//! ```
//!
//! *Invariants:* an answer is given after its commit, never before. `spent + held ≤ authorised` (in Rust, and as the
//! CHECK `sound`). Whoever writes a channel or its holds locks its epochs first, in key order, ≤ 500 rows a
//! transaction, and reads the rest in a later statement. Times that decide anything are the database's.
//!
//! *Absent by design:* traits for storage, RPC, AMQP, keys.

mod address;
mod advance;
mod backup;
mod chain;
mod channels;
mod claims;
mod closings;
mod database;
mod error;
mod free_calls;
mod guard;
mod intents;
mod job_list;
mod jobs;
mod leases;
mod lenient;
mod maintain;
mod metric;
mod migrate;
mod notify;
mod numeric;
mod overview;
mod payments;
mod planning;
mod refills;
mod rings;
mod rows;
mod safety;
mod sales;
mod session;
mod settings;
mod tls;
mod trace;
mod trail;
mod transactions;
mod writer;

use std::sync::Arc;
use std::time::Duration;

pub use advance::{Advance, NewEvent};
pub use backup::{Backup, backup, restore};
pub use chain::{Cursor, DeploymentRow};
pub use channels::ChannelFilter;
pub use claims::{Claim, ClaimFilter};
pub use error::LedgerError;
pub use free_calls::{FreeCall, Window};
pub use intents::{Intent, IntentId, IntentState, Lane, Signed, Slot};
pub use job_list::{JobFilter, JobRow, JobState};
pub use jobs::{Job, JobId, JobKind, JobOutcome, NewJob};
pub use migrate::migrate;
pub use notify::Bell;
pub use overview::{Particulars, Standing};
pub use payments::{Order, Receipt, Refused, Settlement, When};
pub use planning::{ClaimCause, Prospect};
pub use refills::{Fate, OutboundRow, Refills};
pub use rings::{Ring, Waiting};
pub use safety::Safety;
pub use sales::{SALES_MAX, Sales, SalesQuery};
pub use settings::Settings;
pub use trace::traced;
pub use trail::{
    ChannelRecord, Counts, DeploymentRecord, EpochRecord, EventRecord, Head, Record, SaleRecord, SignedAmount,
    TRAIL_VERSION, Trail, TransactionRecord,
};
pub use transactions::{Fence, Mark, NewIntent, NewTransaction};

use database::Database;
use notify::Listener;
use writer::{Calm, Writer};

/// The ledger. Cheap to clone; all clones share one queue, one pool and one listener.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    database: Database,
    writer: Writer,
    listener: Listener,
    calm: Arc<Calm>,
}

/// How long [`Ledger::healthy`] waits.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

impl Ledger {
    /// A ledger that answers payments from memory, from what the database holds now, and writes none of them down: to measure
    /// what commits cost. None of our programs is built with it.
    ///
    /// # Errors
    /// As [`Ledger::connect`].
    #[cfg(feature = "forgetful")]
    pub async fn forgetful(settings: &Settings) -> Result<Ledger, LedgerError> {
        let honest = Ledger::connect(settings).await?;
        let rows = honest.inner.database.read("accounts", rows::accounts!("accounts", ""), &[]).await?;
        let account = |row| rows::account(row).map(|(channel, epoch)| (Arc::new(channel), epoch));
        let accounts = rows.iter().map(account).collect::<Result<_, _>>()?;
        honest.close().await;
        let (database, calm) = (Database::new(settings)?, Arc::new(Calm::new()));
        let (writer, listener) = (Writer::forgetful(settings, accounts)?, Listener::start(settings)?);
        Ok(Ledger { inner: Arc::new(Inner { settings: settings.clone(), database, writer, listener, calm }) })
    }

    /// Connects, once the server proved that it can hold money and has our schema.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] by the start guard, [`LedgerError::Schema`] for another schema version,
    /// [`LedgerError::Unavailable`] when the database is away.
    pub async fn connect(settings: &Settings) -> Result<Ledger, LedgerError> {
        settings.check()?;
        metric::describe();
        let database = Database::new(settings)?;
        let client = database.client().await?;
        guard::check(&client, settings.single_node).await?;
        migrate::check(&client).await?;
        drop(client);

        let calm = Arc::new(Calm::new());
        let writer = Writer::start(settings, calm.clone())?;
        let listener = Listener::start(settings)?;
        let inner = Inner { settings: settings.clone(), database, writer, listener, calm };
        let ledger = Ledger { inner: Arc::new(inner) };
        ledger.maintain().await?;
        Ok(ledger)
    }

    /// Proves within a second that the database answers, is a writable primary and still passes the start guard.
    ///
    /// # Errors
    /// As [`Ledger::connect`].
    pub async fn healthy(&self) -> Result<(), LedgerError> {
        let check = async {
            let client = self.inner.database.client().await?;
            guard::check(&client, self.inner.settings.single_node).await
        };
        let late = || LedgerError::unavailable("the database did not answer within a second");
        tokio::time::timeout(HEALTH_TIMEOUT, check).await.unwrap_or_else(|_| Err(late()))
    }

    /// What encrypts the connections, such as `TLSv1.3, TLS_AES_256_GCM_SHA384`; `None` if nothing does.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn encryption(&self) -> Result<Option<String>, LedgerError> {
        let sql = "-- encryption
            SELECT version || ', ' || cipher FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()";
        let rows = self.inner.database.read("encryption", sql, &[]).await?;
        rows.first().map(|row| rows::get(row, 0)).transpose()
    }

    /// Answers what waits, refuses the rest, and ends the ledger's tasks.
    pub async fn close(&self) {
        self.inner.writer.close().await;
        self.inner.listener.close().await;
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
