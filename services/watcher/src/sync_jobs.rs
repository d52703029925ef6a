//! Fronts that meet a channel they do not know ask for a round now: a `sync` job. It is done by any round that began
//! after it was asked for and read up to the head.

use ledger::{JobId, JobKind, Ledger};
use serde_json::Value;

use crate::Trouble;
use crate::follow::Round;

/// How many jobs one round answers. There is one per channel at most; the rest waits for the next round.
const MOST: u32 = 1_000;
/// How many rounds in a row may fail before the jobs are given up: nobody waits longer than a few seconds.
const FAILURES: u32 = 3;

/// The jobs that were asked for before now. None when the ledger does not say: they wait for the next round.
pub(crate) async fn due(ledger: &Ledger, deployment: &str) -> Vec<JobId> {
    match ledger.due(JobKind::Sync, &[deployment], MOST).await {
        Ok(jobs) => jobs.into_iter().map(|job| job.id).collect(),
        Err(error) => {
            tracing::warn!(deployment, %error, "cannot look for sync jobs");
            Vec::new()
        }
    }
}

/// Ends the jobs if the round answered them; otherwise they stay for the next one. `failures` counts rounds in a row.
pub(crate) async fn end(ledger: &Ledger, jobs: Vec<JobId>, result: &Result<Round, Trouble>, failures: u32) {
    for job in jobs {
        let ended = match result {
            Ok(Round::Current) => ledger.finish(job, &Value::Null).await,
            Ok(Round::Halted) => ledger.fail(job, "the deployment is halted").await,
            Err(trouble) if failures >= FAILURES => ledger.fail(job, &trouble.to_string()).await,
            Ok(Round::More | Round::Waiting) | Err(_) => return,
        };
        if let Err(error) = ended {
            tracing::warn!(job.id = job.0, %error, "cannot end a sync job");
        }
    }
}
