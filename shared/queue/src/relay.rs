//! From the ledger to the broker: jobs that are due are rung.
//!
//! NOTIFY wakes the relay, so that a job somebody waits for is rung at once; a look every now and then finds what was
//! put off until now, what was rung but is still due, and everything after a broker lost its memory.

use std::time::Duration;

use ledger::{JobKind, Ledger, LedgerError};
use runtime::{Lease, Shutdown};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Broker, Publisher, QueueError};

/// Whose turn it is to ring.
const LEASE: &str = "relay";
/// Jobs that are rung at a time.
const BATCH: u32 = 500;
/// Between two looks when nothing wakes us.
const SWEEP: Duration = Duration::from_millis(500);
/// How often the dead are counted.
const DEAD: Duration = Duration::from_secs(10);
/// After trouble with the broker.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the ledger did not go along")]
    Ledger(#[from] LedgerError),
    #[error("the broker did not go along")]
    Queue(#[from] QueueError),
}

/// Rings for the jobs of all chains until the shutdown, while this `holder` is the one of all processes that has the lease.
pub async fn relay(ledger: Ledger, broker: Broker, holder: String, ttl: Duration, shutdown: Shutdown) {
    let lease = Lease { name: LEASE.to_owned(), holder, ttl };
    while shutdown.run_until(lease.acquire(&ledger)).await.is_some() {
        tracing::info!(holder = lease.holder, "ringing for jobs");
        let term = CancellationToken::new();
        let end = async {
            tokio::select! {
                () = shutdown.begun() => term.cancel(),
                () = term.cancelled() => {}
            }
        };
        tokio::join!(lease.keep(&ledger, &term), end, ring_what_is_due(&ledger, &broker, &term));
    }
    lease.release(&ledger).await;
}

/// Rings until the term ends. One relay at a time is enough; two do no harm.
pub async fn ring_what_is_due(ledger: &Ledger, broker: &Broker, term: &CancellationToken) {
    let mut publisher = broker.publisher();
    let mut bell = ledger.listen(&JobKind::ALL);
    let mut counted = Instant::now();
    while !term.is_cancelled() {
        match round(ledger, &mut publisher, broker.settings().ring_again).await {
            Ok(rung) if rung == BATCH as usize => {} // there may be more
            Ok(_) => {
                if counted.elapsed() >= DEAD {
                    counted = Instant::now();
                    publisher.dead().await.inspect(|dead| metrics::gauge!("queue_dead_messages").set(*dead));
                }
                term.run_until_cancelled(bell.wait(SWEEP)).await;
            }
            Err(error) => {
                metrics::counter!("relay_failures_total").increment(1);
                tracing::warn!(error = &error as &dyn std::error::Error, "jobs could not be rung; they are looked for");
                term.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            }
        }
    }
    // Whoever rings from now on counts them.
    metrics::gauge!("queue_dead_messages").set(0.0);
}

async fn round(ledger: &Ledger, publisher: &mut Publisher, again: Duration) -> Result<usize, Trouble> {
    let rings = ledger.to_ring(again, BATCH).await?;
    if rings.is_empty() {
        return Ok(0);
    }
    publisher.ring(&rings).await?;
    ledger.rung(&rings.iter().map(|ring| ring.job).collect::<Vec<_>>()).await?;
    metrics::counter!("relay_rings_total").increment(rings.len() as u64);
    Ok(rings.len())
}
