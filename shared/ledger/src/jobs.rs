//! Work for the background. A row is the job, committed with what caused it; a ring only says that there is one.

use std::time::Duration;

use channel::{Amount, ChannelId};
use serde_json::Value;
use tokio::time::Instant;
use tokio_postgres::Row;

use crate::numeric::Numeric;
use crate::{Bell, Ledger, LedgerError, rows, trace};

/// A job's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub i64);

/// What kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Look at the chain now: somebody pays from a channel that we do not know. For the watcher.
    Sync,
    /// Give a closing signature. For the wallet.
    Sign,
    /// Answer a close request below what we hold a voucher for. For the wallet.
    Challenge,
    /// Take what is owed on chain, and leave the channel open. For the wallet.
    Claim,
    /// Close a channel without its payer. For the wallet.
    Close,
    /// End a close whose challenge period is over. For the wallet.
    Settle,
    /// Top up the wallet's gas, or a channel that we pay from. For the wallet.
    Refill,
}

/// A job to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// The kind.
    pub kind: JobKind,
    /// Jobs of one kind and key are one job while it is open.
    pub key: String,
    /// The deployment it is about.
    pub deployment: String,
    /// The channel it is about.
    pub channel: Option<ChannelId>,
    /// The amount it is about.
    pub amount: Option<Amount>,
}

/// An open job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What is to be done.
    pub job: NewJob,
    /// How often it failed so far.
    pub attempts: u32,
    /// The W3C `traceparent` of who caused it.
    pub trace: Option<String>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// Done; the value is for who waits.
    Done(Value),
    /// Given up; the text is for operators.
    Failed(String),
}

/// Open jobs of one kind that clients may cause.
const OPEN_MAX: i64 = 10_000;
/// How often a job is looked at while somebody waits for it, should a ring be lost.
const POLL: Duration = Duration::from_millis(500);

impl Ledger {
    /// Adds a job with its cause ([`crate::traced`]) and rings, or finds the one that is open under this kind and key.
    ///
    /// # Errors
    /// [`LedgerError::Overloaded`] when too many of this kind are open.
    pub async fn enqueue(&self, job: &NewJob) -> Result<JobId, LedgerError> {
        let sql = "-- enqueue
            WITH open AS (
                SELECT id FROM jobs WHERE kind = $1 AND key = $2 AND state = 'open'
            ), added AS (
                INSERT INTO jobs (kind, key, deployment, channel, amount, trace)
                SELECT $1, $2, $3, $4, $5, $7
                WHERE NOT EXISTS (SELECT FROM open)
                  AND (SELECT count(*) FROM (SELECT FROM jobs WHERE kind = $1 AND state = 'open' LIMIT $6) c) < $6
                ON CONFLICT (kind, key) WHERE state = 'open' DO NOTHING
                RETURNING id
            )
            SELECT id, NULL::void FROM open UNION ALL SELECT id, pg_notify('sluice_jobs', $1) FROM added";
        let (kind, channel) = (job.kind.as_str(), job.channel.as_ref().map(|id| id.0.as_slice()));
        let (amount, trace) = (job.amount.map(Numeric), trace::current());
        let params: &crate::database::Params<'_> =
            &[&kind, &job.key, &job.deployment, &channel, &amount, &OPEN_MAX, &trace];
        // Nothing found and nothing added: somebody else just added it, or just ended it, or there are too many.
        for _ in 0..3 {
            let found = self.inner.database.write("enqueue", sql, params).await?;
            if let Some(row) = found.first() {
                return Ok(JobId(rows::get(row, 0)?));
            }
        }
        Err(LedgerError::Overloaded)
    }

    /// Waits until the job has ended, at most `patience`. `None`: it has not.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] when there is no such job.
    pub async fn wait(&self, job: JobId, patience: Duration) -> Result<Option<JobOutcome>, LedgerError> {
        let until = Instant::now() + patience;
        let mut bell = self.inner.listener.bell_of(job);
        loop {
            if let Some(outcome) = self.outcome(job).await? {
                return Ok(Some(outcome));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            bell.wait(left.min(POLL)).await;
        }
    }

    /// How a job ended; `None` while it is open.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] when there is no such job.
    pub async fn outcome(&self, job: JobId) -> Result<Option<JobOutcome>, LedgerError> {
        let sql = "-- outcome
            SELECT state, outcome, error FROM jobs WHERE id = $1";
        let found = self.inner.database.read("outcome", sql, &[&job.0]).await?;
        let row = found.first().ok_or(LedgerError::NotFound("job"))?;
        match rows::get(row, 0)? {
            "open" => Ok(None),
            "done" => Ok(Some(JobOutcome::Done(rows::get::<Option<Value>>(row, 1)?.unwrap_or(Value::Null)))),
            "failed" => Ok(Some(JobOutcome::Failed(rows::get::<Option<String>>(row, 2)?.unwrap_or_default()))),
            state => Err(LedgerError::Corrupt(format!("job state {state}"))),
        }
    }

    /// Open jobs of a kind, of these deployments, whose time has come, oldest first, at most `limit`. Taking them takes
    /// a lease: nothing here keeps two processes from working on the same job.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn due(&self, kind: JobKind, deployments: &[&str], limit: u32) -> Result<Vec<Job>, LedgerError> {
        let sql = "-- due
            SELECT id, kind, key, deployment, channel, amount, attempts, trace FROM jobs
            WHERE kind = $1 AND deployment = ANY($2) AND state = 'open' AND run_at <= now()
            ORDER BY run_at, id LIMIT $3";
        let due = self.inner.database.read("due", sql, &[&kind.as_str(), &deployments, &i64::from(limit)]).await?;
        due.iter().map(job).collect()
    }

    /// Notes that an attempt at an open job begins. Says how many began, this one included, since one last ended: whoever
    /// made the others died of it, or beside it. 0: the job is not open.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin(&self, job: JobId) -> Result<u32, LedgerError> {
        let sql = "-- begin
            UPDATE jobs SET begun = begun + 1 WHERE id = $1 AND state = 'open' RETURNING begun";
        let begun = self.inner.database.write("begin", sql, &[&job.0]).await?;
        let Some(row) = begun.first() else { return Ok(0) };
        u32::try_from(rows::get::<i32>(row, 0)?).map_err(|error| LedgerError::corrupt(&error))
    }

    /// Ends a job well, and tells who waits. A job that ended before stays as it ended.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn finish(&self, job: JobId, outcome: &Value) -> Result<(), LedgerError> {
        let sql = "-- finish
            WITH ended AS (
                UPDATE jobs SET state = 'done', outcome = $2, ended_at = now()
                WHERE id = $1 AND state = 'open' RETURNING id
            )
            SELECT pg_notify('sluice_done', id::text) FROM ended";
        self.inner.database.write("finish", sql, &[&job.0, outcome]).await.map(drop)
    }

    /// Gives a job up, and tells who waits.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn fail(&self, job: JobId, error: &str) -> Result<(), LedgerError> {
        let sql = "-- fail
            WITH ended AS (
                UPDATE jobs SET state = 'failed', error = $2, attempts = attempts + 1, ended_at = now()
                WHERE id = $1 AND state = 'open' RETURNING id
            )
            SELECT pg_notify('sluice_done', id::text) FROM ended";
        self.inner.database.write("fail", sql, &[&job.0, &error]).await.map(drop)
    }

    /// Puts a job off that failed: it is due again after `delay`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn retry(&self, job: JobId, error: &str, delay: Duration) -> Result<(), LedgerError> {
        let sql = "-- retry
            UPDATE jobs SET error = $2, attempts = attempts + 1, begun = 0, run_at = now() + make_interval(secs => $3)
            WHERE id = $1 AND state = 'open'";
        self.inner.database.write("retry", sql, &[&job.0, &error, &delay.as_secs_f64()]).await.map(drop)
    }

    /// Puts a job off that could not be done yet, by no fault of its own: it counts as no attempt.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn put_off(&self, job: JobId, reason: &str, delay: Duration) -> Result<(), LedgerError> {
        let sql = "-- put_off
            UPDATE jobs SET error = $2, begun = 0, run_at = now() + make_interval(secs => $3)
            WHERE id = $1 AND state = 'open'";
        self.inner.database.write("put_off", sql, &[&job.0, &reason, &delay.as_secs_f64()]).await.map(drop)
    }

    /// A bell that rings when a job of these kinds is added.
    pub fn listen(&self, kinds: &[JobKind]) -> Bell {
        self.inner.listener.bell_for(kinds)
    }
}

pub(crate) fn job(row: &Row) -> Result<Job, LedgerError> {
    let kind = JobKind::parse(rows::get(row, 1)?)?;
    let channel = rows::get::<Option<&[u8]>>(row, 4)?.map(|_| rows::channel_id(row, 4)).transpose()?;
    let (key, deployment, amount) = (rows::get(row, 2)?, rows::get(row, 3)?, rows::optional_amount(row, 5)?);
    let attempts = u32::try_from(rows::get::<i32>(row, 6)?).map_err(|error| LedgerError::corrupt(&error))?;
    let (id, trace) = (JobId(rows::get(row, 0)?), rows::get(row, 7)?);
    Ok(Job { id, job: NewJob { kind, key, deployment, channel, amount }, attempts, trace })
}

impl JobKind {
    /// Every kind.
    pub const ALL: [JobKind; 7] = [
        JobKind::Sync,
        JobKind::Sign,
        JobKind::Challenge,
        JobKind::Claim,
        JobKind::Close,
        JobKind::Settle,
        JobKind::Refill,
    ];

    /// The word for it in rows, rings and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobKind::Sync => "sync",
            JobKind::Sign => "sign",
            JobKind::Challenge => "challenge",
            JobKind::Claim => "claim",
            JobKind::Close => "close",
            JobKind::Settle => "settle",
            JobKind::Refill => "refill",
        }
    }

    pub(crate) fn parse(word: &str) -> Result<JobKind, LedgerError> {
        let known = JobKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| LedgerError::Corrupt(format!("job kind {word}")))
    }
}
