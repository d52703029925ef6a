//! Takes due jobs, one after the other, and writes down what became of them.

use std::time::Duration;

use ledger::{Job, JobKind};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::error::{WalletError, chain_of};

/// How many jobs are taken from the ledger at a time.
const BATCH: u32 = 32;
/// The longest pause between two attempts at a job.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What an attempt at a job led to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is done; this is for who waits.
    Done(Value),
    /// Something is under way; look again after this long.
    Wait(Duration),
    /// It makes no sense and never will.
    Failed(String),
}

/// How jobs of some kinds are done: never two of them at once.
pub(crate) trait Work {
    /// Which, the most urgent first.
    const KINDS: &'static [JobKind];

    /// Attempts a job.
    async fn attempt(&self, desk: &Desk, job: &Job) -> Result<Verdict, WalletError>;
}

/// Works until the term ends.
pub(crate) async fn work<W: Work>(desk: &Desk, work: &W, term: &CancellationToken) {
    let mut bell = desk.ledger.listen(W::KINDS);
    while !term.is_cancelled() {
        for kind in W::KINDS {
            if let Err(error) = round(desk, work, *kind, term).await {
                let error = chain_of(&error);
                tracing::warn!(chain = desk.chain_id, job.kind = kind.as_str(), error, "jobs had to wait");
            }
        }
        term.run_until_cancelled(bell.wait(desk.poll)).await;
    }
}

async fn round<W: Work>(desk: &Desk, work: &W, kind: JobKind, term: &CancellationToken) -> Result<(), WalletError> {
    for job in desk.ledger.due(kind, &desk.deployments(), BATCH).await? {
        if term.is_cancelled() {
            return Ok(());
        }
        attempt(desk, work, &job).await?;
    }
    Ok(())
}

async fn attempt<W: Work>(desk: &Desk, work: &W, job: &Job) -> Result<(), WalletError> {
    let kind = job.job.kind.as_str();
    let outcome = match work.attempt(desk, job).await {
        Ok(Verdict::Done(outcome)) => {
            desk.ledger.finish(job.id, &outcome).await?;
            "done"
        }
        Ok(Verdict::Wait(pause)) => {
            desk.ledger.retry(job.id, "under way", pause).await?;
            return Ok(());
        }
        Ok(Verdict::Failed(reason)) => {
            tracing::error!(job.id = job.id.0, job.kind = kind, reason, "a job failed for good");
            desk.ledger.fail(job.id, &reason).await?;
            "failed"
        }
        Err(error) => {
            let reason = chain_of(&error);
            tracing::warn!(
                job.id = job.id.0,
                job.kind = kind,
                attempts = job.attempts,
                reason,
                "a job will be tried again"
            );
            desk.ledger.retry(job.id, &reason, pause(job.attempts)).await?;
            "retried"
        }
    };
    metrics::counter!("wallet_jobs_total", "kind" => kind, "outcome" => outcome).increment(1);
    Ok(())
}

/// Half a second, doubled with each attempt.
fn pause(attempts: u32) -> Duration {
    Duration::from_millis(500).saturating_mul(1 << attempts.min(8)).min(LONGEST_PAUSE)
}
