//! Which jobs are to be rung: due, and not rung since they were. A ring that gets lost is repeated after a while.

use std::time::Duration;

use crate::{Job, JobId, JobKind, Ledger, LedgerError, jobs, rows};

/// A job that is to be rung, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The job.
    pub job: JobId,
    /// Its kind.
    pub kind: JobKind,
    /// The chain of its deployment.
    pub chain_id: u64,
    /// The W3C `traceparent` of who caused it.
    pub trace: Option<String>,
}

/// What waits to be done of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The kind.
    pub kind: JobKind,
    /// Open jobs whose time has come.
    pub due: u64,
    /// For how long the first of them has been due.
    pub oldest: Duration,
    /// Jobs that were given up and not forgotten yet.
    pub failed: u64,
}

impl Ledger {
    /// Jobs whose time has come and that were not rung since, or not for `again`, in the order of their times.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn to_ring(&self, again: Duration, limit: u32) -> Result<Vec<Ring>, LedgerError> {
        let sql = "-- to_ring
            SELECT j.id, j.kind, d.chain_id, j.trace FROM jobs j JOIN deployments d ON d.id = j.deployment
            WHERE j.state = 'open' AND j.run_at <= now()
              AND (j.rung_at IS NULL OR j.rung_at < j.run_at OR j.rung_at < now() - make_interval(secs => $1))
            ORDER BY j.run_at LIMIT $2";
        let found = self.inner.database.read("to_ring", sql, &[&again.as_secs_f64(), &i64::from(limit)]).await?;
        let ring = |row| {
            let (job, kind) = (JobId(rows::get(row, 0)?), JobKind::parse(rows::get(row, 1)?)?);
            Ok(Ring { job, kind, chain_id: rows::unsigned(row, 2)?, trace: rows::get(row, 3)? })
        };
        found.iter().map(ring).collect()
    }

    /// Notes that the broker has rings for these.
    ///
    /// # Errors
    /// When the database is away; then they are rung again, which is harmless.
    pub async fn rung(&self, jobs: &[JobId]) -> Result<(), LedgerError> {
        let sql = "-- rung
            UPDATE jobs SET rung_at = now() WHERE id = ANY($1) AND state = 'open'";
        let ids: Vec<i64> = jobs.iter().map(|job| job.0).collect();
        self.inner.database.write("rung", sql, &[&ids]).await.map(drop)
    }

    /// A job, if it is open, its time has come, and it is of one of these deployments: what somebody who was rung asks.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn due_job(&self, job: JobId, deployments: &[&str]) -> Result<Option<Job>, LedgerError> {
        let sql = "-- due_job
            SELECT id, kind, key, deployment, channel, amount, attempts, trace FROM jobs
            WHERE id = $1 AND deployment = ANY($2) AND state = 'open' AND run_at <= now()";
        let found = self.inner.database.read("due_job", sql, &[&job.0, &deployments]).await?;
        found.first().map(jobs::job).transpose()
    }

    /// What waits to be done, for every kind.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError> {
        let sql = "-- waiting
            SELECT kind,
                   count(*) FILTER (WHERE state = 'open' AND run_at <= now()),
                   coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE state = 'open' AND run_at <= now())), 0)::float8,
                   count(*) FILTER (WHERE state = 'failed')
            FROM jobs WHERE state IN ('open', 'failed') GROUP BY kind";
        let found = self.inner.database.read("waiting", sql, &[]).await?;
        let mut waiting = JobKind::ALL.map(|kind| Waiting { kind, due: 0, oldest: Duration::ZERO, failed: 0 });
        for row in &found {
            let kind = JobKind::parse(rows::get(row, 0)?)?;
            let (due, failed) = (rows::unsigned(row, 1)?, rows::unsigned(row, 3)?);
            let oldest = Duration::try_from_secs_f64(rows::get(row, 2)?).unwrap_or_default();
            for of in waiting.iter_mut().filter(|of| of.kind == kind) {
                *of = Waiting { kind, due, oldest, failed };
            }
        }
        Ok(waiting.to_vec())
    }
}
