use std::time::Duration;

use ledger::{Ledger, Waiting};

use crate::metric;

/// How often it is counted.
const INTERVAL: Duration = Duration::from_secs(5);

/// Shows what waits to be done in gauges, by kind, for ever.
pub async fn show_backlog(ledger: Ledger) {
    metric::describe_backlog();
    loop {
        match ledger.waiting().await {
            Ok(kinds) => kinds.iter().for_each(show),
            Err(error) => tracing::debug!(%error, "cannot count what waits to be done"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; nobody has 2^53 jobs")]
fn show(waiting: &Waiting) {
    let kind = waiting.kind.as_str();
    metrics::gauge!("jobs_due", "kind" => kind).set(waiting.due as f64);
    metrics::gauge!("jobs_oldest_due_seconds", "kind" => kind).set(waiting.oldest.as_secs_f64());
    metrics::gauge!("jobs_dead", "kind" => kind).set(waiting.failed as f64);
}
