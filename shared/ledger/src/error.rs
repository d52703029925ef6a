use std::error::Error;
use std::sync::Arc;

use tokio_postgres::error::{Severity, SqlState};

/// Why the ledger gave no answer. The variants tell the caller what may have happened and what to do.
///
/// A refused payment is no error: it is a [`crate::Refused`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database is away, busy or read-only. Nothing happened; try again later.
    #[error("the database is away; nothing happened")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// A commit was sent and its answer never came, or said that the standby may not have it.
    #[error("the database did not say whether it committed")]
    OutcomeUnknown,
    /// A queue is full. Nothing happened; try again later.
    #[error("too much is waiting for the database; nothing happened")]
    Overloaded,
    /// The start guard: this server or this configuration is not to be trusted with money.
    #[error("this database cannot hold money: {0}")]
    Refused(String),
    /// The schema is older than what this program was built for; run the migrations.
    #[error("the database has schema version {found}, this program needs {wanted}: run `sluice migrate`")]
    Schema {
        /// What the database has; 0 when it was never migrated.
        found: i64,
        /// What this program needs.
        wanted: i64,
    },
    /// A migration failed.
    #[error("migration {version} failed and left nothing behind")]
    Migration {
        /// Which.
        version: i64,
        /// What the server said.
        source: Arc<tokio_postgres::Error>,
    },
    /// Somebody else was first, or says otherwise. Nothing happened.
    #[error("{0}")]
    Conflict(String),
    /// Another watcher moved the cursor, or the deployment was halted. Nothing more was written.
    #[error("the cursor is no longer where this watcher left it")]
    Fenced,
    /// There is no such row.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The database refused this change. Nothing happened, and trying again will not help.
    #[error("the database refused the change; nothing happened")]
    Rejected(#[source] Arc<tokio_postgres::Error>),
    /// There is more to read than one answer holds. Ask for less at once.
    #[error("there are more than {most} lines; ask for less at once")]
    TooMuch {
        /// How many one answer holds.
        most: usize,
    },
    /// One of PostgreSQL's programs is missing, too old for the server, or failed.
    #[error("{0}")]
    Tool(String),
    /// A row says what cannot be.
    #[error("the ledger holds what cannot be: {0}")]
    Corrupt(String),
}

impl LedgerError {
    /// An error met before anything was to be committed: whatever it is, nothing happened.
    pub(crate) fn before_commit(error: tokio_postgres::Error) -> LedgerError {
        match error.code() {
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => {
                LedgerError::Conflict("somebody else was first".into())
            }
            Some(code) if is_of_the_statement(code) && !is_for_others_sake(code) => {
                LedgerError::Rejected(Arc::new(error))
            }
            _ => LedgerError::Unavailable(Arc::new(error)),
        }
    }

    /// An error met while a commit was under way. Only an error that the server itself reports and survives says that
    /// the transaction was rolled back.
    pub(crate) fn in_commit(error: tokio_postgres::Error) -> LedgerError {
        let rolled_back = error.as_db_error().is_some_and(|db| {
            let code = db.code().code();
            db.parsed_severity() == Some(Severity::Error) && !code.starts_with("08") && code != "40003"
        });
        if rolled_back { LedgerError::before_commit(error) } else { LedgerError::OutcomeUnknown }
    }

    /// The same, without an error of the driver at hand.
    pub(crate) fn unavailable(reason: &'static str) -> LedgerError {
        LedgerError::Unavailable(Arc::from(Box::<dyn Error + Send + Sync>::from(reason)))
    }

    /// A column that does not hold what it must.
    pub(crate) fn corrupt(error: &dyn std::fmt::Display) -> LedgerError {
        LedgerError::Corrupt(error.to_string())
    }
}

/// True where the server objects to what it was asked, rather than being in trouble itself: connections (08), resources
/// (53), locks (55), operators (57), the system (58), a standby or a primary turned one (25006).
pub(crate) fn is_of_the_statement(code: &SqlState) -> bool {
    let code = code.code();
    code != "25006" && !["08", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
}

/// A transaction that was rolled back so that others can go on. The same again may well succeed.
fn is_for_others_sake(code: &SqlState) -> bool {
    code.code().starts_with("40")
}
