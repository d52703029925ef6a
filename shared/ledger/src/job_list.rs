//! Jobs as an operator sees them, open and ended, and what an operator may do about one.

use std::time::SystemTime;

use serde_json::Value;
use tokio_postgres::Row;

use crate::database::Params;
use crate::{Job, JobId, JobKind, Ledger, LedgerError, jobs, rows};

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// To be done.
    Open,
    /// Done.
    Done,
    /// Given up.
    Failed,
}

/// Which jobs [`Ledger::jobs`] lists.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Of this kind only.
    pub kind: Option<JobKind>,
    /// In this state only.
    pub state: Option<JobState>,
    /// Of this deployment only.
    pub deployment: Option<String>,
    /// Only those before this one: the last of the page before.
    pub before: Option<JobId>,
    /// At most this many, at most 1 000.
    pub limit: u32,
}

/// A job, with all that is known of it. Those that ended are kept for the idempotency window, and as long as something was
/// sent for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// What is to be done, and how often it was tried.
    pub job: Job,
    /// Where it is.
    pub state: JobState,
    /// When it is due, while it is open.
    pub run_at: SystemTime,
    /// When the broker last confirmed a ring for it.
    pub rung_at: Option<SystemTime>,
    /// What it led to.
    pub outcome: Option<Value>,
    /// Why it failed, or had to wait the last time.
    pub error: Option<String>,
    /// When it was added.
    pub created_at: SystemTime,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
}

/// `SELECT` of jobs, in the order that [`job_row`] reads.
macro_rules! job_rows {
    ($name:literal, $which:literal) => {
        concat!(
            "-- ",
            $name,
            "
            SELECT id, kind, key, deployment, channel, amount, attempts, trace, state, run_at, rung_at, outcome, error,
                   created_at, ended_at
            FROM jobs ",
            $which
        )
    };
}

impl Ledger {
    /// Jobs, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRow>, LedgerError> {
        let sql = job_rows!(
            "jobs",
            "WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR state = $2)
               AND ($3::text IS NULL OR deployment = $3) AND ($4::bigint IS NULL OR id < $4)
             ORDER BY id DESC LIMIT $5"
        );
        let JobFilter { kind, state, deployment, before, limit } = filter;
        let (kind, state) = (kind.map(JobKind::as_str), state.map(JobState::as_str));
        let params: &Params<'_> =
            &[&kind, &state, deployment, &before.map(|job| job.0), &i64::from((*limit).min(1_000))];
        self.inner.database.read("jobs", sql, params).await?.iter().map(job_row).collect()
    }

    /// A job, open or ended; `None` when there is none, or no longer.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn job(&self, job: JobId) -> Result<Option<JobRow>, LedgerError> {
        let sql = job_rows!("job", "WHERE id = $1");
        self.inner.database.read("job", sql, &[&job.0]).await?.first().map(job_row).transpose()
    }

    /// Makes a job due now, and rings. One that failed is open again, as if it had never been tried. False when it is done,
    /// or there is none.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] when another job of its kind and key is open by now.
    pub async fn make_due(&self, job: JobId) -> Result<bool, LedgerError> {
        let sql = "-- make_due
            WITH due AS (
                UPDATE jobs SET begun = 0, attempts = CASE state WHEN 'failed' THEN 0 ELSE attempts END,
                                state = 'open', run_at = now(), rung_at = NULL, ended_at = NULL
                WHERE id = $1 AND state IN ('open', 'failed') RETURNING kind
            )
            SELECT pg_notify('sluice_jobs', kind) FROM due";
        Ok(!self.inner.database.write("make_due", sql, &[&job.0]).await?.is_empty())
    }
}

fn job_row(row: &Row) -> Result<JobRow, LedgerError> {
    Ok(JobRow {
        job: jobs::job(row)?,
        state: JobState::parse(rows::get(row, 8)?)?,
        run_at: rows::get(row, 9)?,
        rung_at: rows::get(row, 10)?,
        outcome: rows::get(row, 11)?,
        error: rows::get(row, 12)?,
        created_at: rows::get(row, 13)?,
        ended_at: rows::get(row, 14)?,
    })
}

impl JobState {
    /// The word for it in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Open => "open",
            JobState::Done => "done",
            JobState::Failed => "failed",
        }
    }

    fn parse(word: &str) -> Result<JobState, LedgerError> {
        let known = [JobState::Open, JobState::Done, JobState::Failed].into_iter().find(|state| state.as_str() == word);
        known.ok_or_else(|| LedgerError::Corrupt(format!("job state {word}")))
    }
}
