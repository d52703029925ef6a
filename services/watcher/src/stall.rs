//! Whether a chain's head moves. A node that is stuck answers every question, and no round fails.

use std::time::{Duration, Instant};

use channel::BlockRef;
use contracts::Deployment;

use crate::gauges;

/// The newest block that was heard of, and since when there was no other.
#[derive(Debug)]
pub(crate) struct Stall {
    head: Option<BlockRef>,
    since: Instant,
    is_told: bool,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Stalled,
    Moves,
}

impl Stall {
    pub(crate) fn new(now: Instant) -> Stall {
        Stall { head: None, since: now, is_told: false }
    }

    /// Notes the head that a node named.
    pub(crate) fn heard(&mut self, head: BlockRef, now: Instant) {
        if self.head != Some(head) {
            (self.head, self.since) = (Some(head), now);
        }
    }

    /// Tells when the head has not moved for `limit`, and when it moves again. To be called after every round, also one
    /// that came to nothing.
    pub(crate) fn tell(&mut self, deployment: &Deployment, limit: Duration, now: Instant) {
        let news = self.news(limit, now);
        gauges::stalled(deployment, self.is_told);
        let (name, block) = (&deployment.name, self.head.map(|head| head.number));
        match news {
            Some(News::Stalled) => {
                tracing::error!(deployment = name, block, for_s = limit.as_secs(), "the head does not move");
            }
            Some(News::Moves) => tracing::info!(deployment = name, block, "the head moves again"),
            None => {}
        }
    }

    fn news(&mut self, limit: Duration, now: Instant) -> Option<News> {
        let is_stalled = now.saturating_duration_since(self.since) >= limit;
        let before = std::mem::replace(&mut self.is_told, is_stalled);
        match (before, is_stalled) {
            (false, true) => Some(News::Stalled),
            (true, false) => Some(News::Moves),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    #[test]
    fn a_head_that_stays_is_told_once_and_so_is_that_it_moves_again() {
        let (start, limit) = (Instant::now(), Duration::from_secs(45));
        let at = |seconds| start + Duration::from_secs(seconds);
        let head = |number| BlockRef { number, hash: B256::ZERO };
        let mut stall = Stall::new(start);
        assert_eq!(stall.news(limit, at(44)), None, "it was not heard of yet");
        stall.heard(head(1), at(44));
        stall.heard(head(1), at(80));
        assert_eq!(stall.news(limit, at(88)), None);
        assert_eq!(stall.news(limit, at(89)), Some(News::Stalled));
        assert_eq!(stall.news(limit, at(99)), None);
        stall.heard(head(2), at(100));
        assert_eq!(stall.news(limit, at(100)), Some(News::Moves));
        assert_eq!(stall.news(limit, at(101)), None);
    }

    #[test]
    fn somebody_is_told_within_a_minute_unless_it_is_configured_otherwise() {
        let runtime::config::Watcher { head_stalled, rpc_timeout, .. } = runtime::config::Watcher::default();
        assert!(head_stalled + rpc_timeout + crate::active::LONGEST_PAUSE < Duration::from_secs(60));
    }

    #[test]
    fn a_head_that_was_never_heard_of_does_not_move_either() {
        let start = Instant::now();
        let mut stall = Stall::new(start);
        assert_eq!(stall.news(Duration::from_secs(1), start + Duration::from_secs(1)), Some(News::Stalled));
    }
}
