//! A lane that forgets: the same entries and rules as the fast lane, in memory alone. It exists to measure what commits cost.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::books::Books;
use super::entry::Entry;

/// Answers from these books until the queue is closed and empty, or the stop.
pub(super) async fn run(mut books: Books, batch_max: usize, mut queue: mpsc::Receiver<Entry>, stop: CancellationToken) {
    let mut batch = Vec::with_capacity(batch_max);
    while stop.run_until_cancelled(queue.recv_many(&mut batch, batch_max)).await.is_some_and(|taken| taken > 0) {
        for mut entry in batch.drain(..) {
            books.apply(&mut entry);
            entry.deliver();
        }
    }
}
