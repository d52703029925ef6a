//! Takes due jobs, one after the other, and writes down what became of them.
//!
//! ```text
//! ring of the broker ─▶ the job's row: open, due, ours? ─┐
//! nothing rang ───────▶ all that are due ────────────────┴─▶ attempt ─▶ done | put off | tried again | failed ─▶ ack
//! ```
//! What is away (the ledger, a node, gas) costs a job no attempt: it waits until it is back. What is refused is tried again
//! with growing pauses, and given up in the end; then its row says why. An answer to a dishonest close is never given up.

use std::time::Duration;

use ledger::{Job, JobKind, LedgerError};
use queue::{Call, Rings, Rung};
use runtime::telemetry::with_causes;
use runtime::trace::{Kind, Span};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::desk::Desk;
use crate::error::WalletError;
use crate::points::reach;

/// How many jobs are taken from the ledger at a time.
const BATCH: u32 = 32;
/// The longest pause between two attempts at a job.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Attempts in a row that may begin without ending, as when they bring the whole process down.
const DEATHS_MAX: u32 = 10;
/// How long a job waits for what is away.
const AWAY: Duration = Duration::from_secs(5);

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
    let mut rings = Rings::new(desk.broker.as_ref(), &desk.ledger, desk.chain_id, W::KINDS);
    let mut room = desk.room.subscribe();
    let mut call = Some(Call::Look);
    while let Some(now) = call {
        match now {
            Call::Rung(rung) => answer(desk, work, rung, term).await,
            Call::Look => look(desk, work, term).await,
        }
        let next = async {
            tokio::select! {
                call = rings.next(desk.poll) => call,
                // A new head: what found the line of transactions full tries again at once.
                _ = room.changed() => Call::Look,
            }
        };
        call = term.run_until_cancelled(next).await;
    }
}

/// The job that rang. Without the ledger there is nothing to be done and nothing to be said to the broker.
async fn answer<W: Work>(desk: &Desk, work: &W, rung: Rung, term: &CancellationToken) {
    while !term.is_cancelled() {
        match answer_once(desk, work, &rung).await {
            Ok(()) => {
                reach("after_outcome_before_ack");
                return rung.done().await;
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(chain = desk.chain_id, job.id = rung.job.0, error, "a job had to wait");
                term.run_until_cancelled(tokio::time::sleep(desk.poll)).await;
            }
        }
    }
}

/// A ring that is late, doubled or somebody else's leads to nothing.
async fn answer_once<W: Work>(desk: &Desk, work: &W, rung: &Rung) -> Result<(), LedgerError> {
    match desk.ledger.due_job(rung.job, &desk.deployments()).await? {
        Some(job) if W::KINDS.contains(&job.job.kind) => attempt(desk, work, &job, rung.trace.as_deref()).await,
        _ => Ok(()),
    }
}

async fn look<W: Work>(desk: &Desk, work: &W, term: &CancellationToken) {
    for kind in W::KINDS {
        if let Err(error) = round(desk, work, *kind, term).await {
            let error = with_causes(&error);
            tracing::warn!(chain = desk.chain_id, job.kind = kind.as_str(), error, "jobs had to wait");
        }
    }
}

async fn round<W: Work>(desk: &Desk, work: &W, kind: JobKind, term: &CancellationToken) -> Result<(), LedgerError> {
    for job in desk.ledger.due(kind, &desk.deployments(), BATCH).await? {
        if term.is_cancelled() {
            return Ok(());
        }
        attempt(desk, work, &job, job.trace.as_deref()).await?;
    }
    Ok(())
}

/// What is logged on the way says which job it was for, and whose request caused it; a trace goes on from `cause`.
async fn attempt<W: Work>(desk: &Desk, work: &W, job: &Job, cause: Option<&str>) -> Result<(), LedgerError> {
    let (kind, trace) = (job.job.kind.as_str(), job.trace.as_deref());
    let log = tracing::info_span!("job", job.id = job.id.0, job.kind = kind, traceparent = trace);
    let span = Span::caused(cause, Kind::Consumer, format!("job {kind}"));
    // Boxed: it is large, and would stand once more in each future that waits for it, and on the stack for each.
    span.around(Box::pin(attempt_once(desk, work, job, &span)).instrument(log)).await
}

async fn attempt_once<W: Work>(desk: &Desk, work: &W, job: &Job, span: &Span) -> Result<(), LedgerError> {
    let begun = desk.ledger.begin(job.id).await?;
    let verdict = match begun {
        0 => return Ok(()), // it ended meanwhile
        1..=DEATHS_MAX => work.attempt(desk, job).await,
        _ if attempts_max(job.job.kind).is_none() => work.attempt(desk, job).await,
        _ => Ok(Verdict::Failed(format!("{DEATHS_MAX} attempts in a row began and none of them ended"))),
    };
    reach("after_attempt_before_outcome");
    let outcome = conclude(desk, job, verdict).await?;
    metrics::counter!("wallet_jobs_total", "kind" => job.job.kind.as_str(), "outcome" => outcome).increment(1);
    span.note("sluice.job", job.id.0);
    span.note("sluice.outcome", outcome);
    if matches!(outcome, "failed" | "retried") {
        span.failed();
    }
    Ok(())
}

/// Writes down what became of an attempt; gives the word for it.
async fn conclude(desk: &Desk, job: &Job, verdict: Result<Verdict, WalletError>) -> Result<&'static str, LedgerError> {
    match verdict {
        Ok(Verdict::Done(outcome)) => {
            desk.ledger.finish(job.id, &outcome).await?;
            tracing::debug!("done");
            Ok("done")
        }
        Ok(Verdict::Wait(pause)) => {
            desk.ledger.put_off(job.id, "under way", pause).await?;
            Ok("under_way")
        }
        Ok(Verdict::Failed(reason)) => give_up(desk, job, &reason).await,
        Err(error) if is_away(&error) => {
            let reason = with_causes(&error);
            tracing::warn!(reason, "a job waits for what is away");
            desk.ledger.put_off(job.id, &reason, AWAY).await?;
            Ok("waits")
        }
        Err(error) => {
            let (reason, attempts) = (with_causes(&error), job.attempts.saturating_add(1));
            if attempts_max(job.job.kind).is_some_and(|most| attempts >= most) {
                return give_up(desk, job, &reason).await;
            }
            tracing::warn!(attempts, reason, "a job will be tried again");
            desk.ledger.retry(job.id, &reason, pause(job.attempts)).await?;
            Ok("retried")
        }
    }
}

async fn give_up(desk: &Desk, job: &Job, reason: &str) -> Result<&'static str, LedgerError> {
    tracing::error!(reason, "a job failed for good");
    desk.ledger.fail(job.id, reason).await?;
    Ok("failed")
}

/// What a job has no part in, and what ends without it.
fn is_away(error: &WalletError) -> bool {
    match error {
        WalletError::Ledger(error) => {
            !matches!(error, LedgerError::Rejected(_) | LedgerError::Corrupt(_) | LedgerError::NotFound(_))
        }
        WalletError::OutOfGas { .. } | WalletError::Full { .. } | WalletError::Behind { .. } => true,
        WalletError::Chain(error) => error.is_transient() || matches!(error, evm::EvmError::WrongChain { .. }),
        _ => false,
    }
}

/// How often a job is refused before it is given up: after about six minutes. What the planner wants it adds anew.
fn attempts_max(kind: JobKind) -> Option<u32> {
    match kind {
        // As long as the channel is not closed there is something to lose.
        JobKind::Challenge => None,
        _ => Some(20),
    }
}

/// Half a second, doubled with each attempt.
fn pause(attempts: u32) -> Duration {
    Duration::from_millis(500).saturating_mul(1 << attempts.min(8)).min(LONGEST_PAUSE)
}
