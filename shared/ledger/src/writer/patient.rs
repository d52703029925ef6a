//! The patient lane: entries whose channel somebody else has locked.
//!
//! Each round tries all of them, again without waiting. Only when that moves nothing does it wait for a lock, for one
//! channel and a moment, so that a row that is locked back to back is got in the end, and a row that is locked for good
//! delays the others by that moment at most.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;

use super::batch::Lock;
use super::entry::Entry;
use super::lane::Lane;
use crate::LedgerError;

/// Runs the patient lane until the fast lane has ended and nothing waits. An entry waits `patience` from when it was
/// asked.
pub(super) async fn run(mut lane: Lane, mut skipped: mpsc::Receiver<Entry>, patience: Duration, waiting_max: usize) {
    let mut waiting: VecDeque<Entry> = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Some(entry) = skipped.recv().await else { return };
            waiting.push_back(entry);
        }
        while waiting.len() < waiting_max
            && let Ok(entry) = skipped.try_recv()
        {
            waiting.push_back(entry);
        }
        give_up(&mut waiting, patience);
        if !try_all(&mut lane, &mut waiting).await {
            wait_for_one(&mut lane, &mut waiting).await;
        }
    }
}

fn give_up(waiting: &mut VecDeque<Entry>, patience: Duration) {
    let (late, rest): (Vec<_>, _) = waiting.drain(..).partition(|entry| entry.asked().elapsed() >= patience);
    *waiting = rest.into();
    for entry in late {
        entry.fail(LedgerError::unavailable("the channel is locked by somebody else"));
    }
}

/// Tries as many as fit in a batch, oldest first; those still locked go to the end. True when at least one got through.
async fn try_all(lane: &mut Lane, waiting: &mut VecDeque<Entry>) -> bool {
    let size = waiting.len().min(lane.batch_max);
    let still_locked = lane.run(waiting.drain(..size).collect(), Lock::Free).await;
    let progress = still_locked.len() < size;
    waiting.extend(still_locked);
    progress
}

/// Waits a moment for the channel of the oldest entry.
async fn wait_for_one(lane: &mut Lane, waiting: &mut VecDeque<Entry>) {
    let Some(channel) = waiting.front().map(Entry::channel) else { return };
    let (mut tried, rest): (Vec<_>, Vec<_>) = waiting.drain(..).partition(|entry| entry.channel() == channel);
    *waiting = rest.into();
    let beyond = tried.split_off(tried.len().min(lane.batch_max));
    waiting.extend(lane.run(tried, Lock::Wait).await);
    waiting.extend(beyond);
}
