//! Housekeeping: room for tomorrow's holds, and an end to yesterday's.

use crate::{Ledger, LedgerError};

/// Ended jobs that one call of [`Ledger::maintain`] removes.
const JOBS_MAX: i64 = 10_000;
/// For how long failed jobs are kept that no client waits for: a person may want to look.
const FAILED_DAYS: i32 = 30;
/// Counts of free calls, whose window is over, that one call removes.
const FREE_CALLS_MAX: i64 = 100_000;

impl Ledger {
    /// Makes the partitions of the next days and removes what is older than the idempotency window. To be called at
    /// least daily, by any process and by several at once; connecting calls it.
    ///
    /// # Errors
    /// When the database is away. Holds have room for two more days.
    pub async fn maintain(&self) -> Result<(), LedgerError> {
        let window = self.inner.settings.idempotency_window().as_secs_f64();
        let sql = "-- maintain_holds
            SELECT maintain_holds(make_interval(secs => $1))";
        self.inner.database.write("maintain_holds", sql, &[&window]).await?;
        let sql = "-- forget_jobs
            DELETE FROM jobs WHERE id IN (
                SELECT id FROM jobs j
                WHERE state <> 'open'
                  AND ended_at < now() - CASE WHEN state = 'failed' AND kind NOT IN ('sync', 'sign')
                                              THEN make_interval(days => $3) ELSE make_interval(secs => $1) END
                  AND NOT EXISTS (SELECT FROM intents i WHERE i.job = j.id)
                LIMIT $2
            )";
        self.inner.database.write("forget_jobs", sql, &[&window, &JOBS_MAX, &FAILED_DAYS]).await?;
        let sql = "-- forget_free_calls
            DELETE FROM free_calls WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM free_calls WHERE ends_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED
            ))";
        self.inner.database.write("forget_free_calls", sql, &[&FREE_CALLS_MAX]).await?;
        Ok(())
    }
}
