//! Waits until jobs have ended, and says how far they are.

use std::time::{Duration, Instant};

use ledger::{JobId, JobOutcome, Ledger};

/// How often progress is shown.
const SHOWN_EVERY: Duration = Duration::from_secs(2);

/// How the jobs ended, in their order; `None` for those that are still open when `patience` is over. Progress goes to stderr.
pub(crate) async fn wait(
    ledger: &Ledger,
    jobs: &[JobId],
    patience: Duration,
) -> anyhow::Result<Vec<Option<JobOutcome>>> {
    let begun = Instant::now();
    let mut shown = begun;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for (number, job) in jobs.iter().enumerate() {
        let outcome = loop {
            let left = patience.saturating_sub(begun.elapsed());
            if let Some(outcome) = ledger.wait(*job, left.min(SHOWN_EVERY)).await? {
                break Some(outcome);
            }
            if begun.elapsed() >= patience {
                break None;
            }
            if shown.elapsed() >= SHOWN_EVERY {
                shown = Instant::now();
                eprintln!("waiting for the wallet: {number} of {} done", jobs.len());
            }
        };
        outcomes.push(outcome);
    }
    Ok(outcomes)
}
