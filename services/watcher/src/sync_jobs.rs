//! Fronts that meet a channel they do not know ask for a round now: a `sync` job. It is done by any round that began
//! after it was asked for and read up to the head. What rings only makes that round come sooner.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ledger::{Job, JobId, JobKind, Ledger, LedgerError};
use queue::{Call, Rings, Rung};
use runtime::trace::{Kind, Span};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Trouble;
use crate::active::Surroundings;
use crate::follow::Round;

/// How many jobs one round answers. There is one per channel at most; the rest waits for the next round.
const MOST: u32 = 1_000;
/// How many rounds in a row may fail before the jobs are given up: nobody waits longer than a few seconds.
const FAILURES: u32 = 3;

/// How often a job is looked at that a ring is held for.
const LOOK: Duration = Duration::from_secs(5);

/// Asks the followers of a chain for a round whenever a job rings. Its ring is held until the job has ended: who dies
/// before that leaves it to the next watcher. Nobody holds more of them than `[queue]` says.
pub(crate) async fn listen(
    surroundings: &Surroundings,
    chain_id: u64,
    deployments: &[String],
    ring: watch::Sender<()>,
    term: &CancellationToken,
) {
    let Surroundings { ledger, broker, poll, .. } = surroundings;
    let deployments: Vec<&str> = deployments.iter().map(String::as_str).collect();
    let mut rings = Rings::new(broker.as_ref(), ledger, chain_id, &[JobKind::Sync]);
    let mut held = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = term.cancelled() => return,
            Some(()) = held.next() => {}
            call = rings.next(*poll) => match call {
                Call::Rung(rung) => {
                    held.push(hold(ledger, &deployments, rung));
                    ring.send_replace(());
                }
                Call::Look => {
                    if is_asked_for(ledger, &deployments).await {
                        ring.send_replace(());
                    }
                }
            },
        }
    }
}

async fn is_asked_for(ledger: &Ledger, deployments: &[&str]) -> bool {
    // Rounds go on by themselves, and look for themselves.
    ledger.due(JobKind::Sync, deployments, 1).await.is_ok_and(|jobs| !jobs.is_empty())
}

async fn hold(ledger: &Ledger, deployments: &[&str], rung: Rung) {
    loop {
        let ended = match ledger.due_job(rung.job, deployments).await {
            Ok(Some(_)) => ledger.wait(rung.job, LOOK).await.map(|outcome| outcome.is_some()),
            // It has ended, or is none of ours.
            Ok(None) => Ok(true),
            Err(error) => Err(error),
        };
        match ended {
            Ok(true) | Err(LedgerError::NotFound(_)) => return rung.done().await,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(job.id = rung.job.0, %error, "cannot see whether a sync job has ended");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// A job that a round may answer. In the trace of who asked it lasts as long as the round.
pub(crate) struct Asked {
    job: JobId,
    span: Span,
}

/// The jobs that were asked for before now. None when the ledger does not say: they wait for the next round.
pub(crate) async fn due(ledger: &Ledger, deployment: &str) -> Vec<Asked> {
    match ledger.due(JobKind::Sync, &[deployment], MOST).await {
        Ok(jobs) => jobs.into_iter().map(asked).collect(),
        Err(error) => {
            tracing::warn!(deployment, %error, "cannot look for sync jobs");
            Vec::new()
        }
    }
}

fn asked(job: Job) -> Asked {
    let span = Span::caused(job.trace.as_deref(), Kind::Consumer, "job sync");
    span.note("sluice.job", job.id.0);
    Asked { job: job.id, span }
}

/// Ends the jobs if the round answered them; otherwise they stay for the next one. `failures` counts rounds in a row.
pub(crate) async fn end(ledger: &Ledger, jobs: Vec<Asked>, result: &Result<Round, Trouble>, failures: u32) {
    for Asked { job, span } in jobs {
        let ended = match result {
            Ok(Round::Current) => ledger.finish(job, &Value::Null).await,
            Ok(Round::Halted) => ledger.fail(job, "the deployment is halted").await,
            Err(trouble) if failures >= FAILURES => ledger.fail(job, &trouble.to_string()).await,
            Ok(Round::More | Round::Waiting) | Err(_) => return,
        };
        drop(span);
        if let Err(error) = ended {
            tracing::warn!(job.id = job.0, %error, "cannot end a sync job");
        }
    }
}
