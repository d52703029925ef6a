//! What an operator asks about jobs and rings. Each metric is set where its number is known.

use ledger::JobKind;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

/// Tells the registry what the metrics about the broker mean.
pub(crate) fn describe() {
    describe_gauge!("queue_connected", "1 while a connection to the broker works that should be there.");
    describe_gauge!("queue_dead_messages", "Messages that nobody could read or answer.");
    describe_counter!("queue_unreadable_total", "Messages that made no sense, by the kind of job of their queue.");
    describe_histogram!("queue_confirm_seconds", "How long the broker took to confirm a batch of rings.");
    describe_counter!("relay_rings_total", "Rings that the broker confirmed.");
    describe_counter!("relay_failures_total", "Rounds of ringing that came to nothing.");
    begin();
}

/// What alerts wait for begins at 0: Prometheus sees no increase in a counter that was not there before.
fn begin() {
    ["relay_rings_total", "relay_failures_total"].into_iter().for_each(|name| counter!(name).increment(0));
    for kind in JobKind::ALL {
        counter!("queue_unreadable_total", "kind" => kind.as_str()).increment(0);
    }
}

/// Tells the registry what the metrics about jobs mean.
pub(crate) fn describe_backlog() {
    describe_gauge!("jobs_due", "Jobs whose time has come and that are not done.");
    describe_gauge!("jobs_oldest_due_seconds", "For how long the oldest of them has been due.");
    describe_gauge!("jobs_dead", "Jobs that failed for good, and that nobody has looked at.");
}
