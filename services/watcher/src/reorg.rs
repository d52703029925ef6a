use std::cmp::Ordering;

use alloy_primitives::B256;
use channel::BlockRef;

/// What to do next about a deployment, given how far it was read and what the node says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything is read.
    Rest,
    /// The node does not (any more) have what we read: it lags, or its chain is about to change. Ask again.
    Wait,
    /// What we read still stands: go on after it.
    Extend,
    /// The chain changed: read again from after the anchor.
    Rewind,
    /// The chain changed below the anchor, which was never to happen.
    Halt,
}

/// How far a deployment was read, and the newest block that must never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The last block read.
    pub cursor: BlockRef,
    /// The anchor.
    pub anchor: BlockRef,
}

/// Decides. `at_cursor` and `at_anchor` are the hashes of the canonical blocks of those heights, `None` for what the
/// node does not have.
pub fn next(read: &Read, head: BlockRef, at_cursor: Option<B256>, at_anchor: Option<B256>) -> Step {
    match (at_cursor, at_anchor) {
        // Our block stands, and with it everything below.
        (Some(hash), _) if hash == read.cursor.hash => match head.number.cmp(&read.cursor.number) {
            Ordering::Greater => Step::Extend,
            Ordering::Equal if head == read.cursor => Step::Rest,
            _ => Step::Wait,
        },
        (_, Some(hash)) if hash != read.anchor.hash => Step::Halt,
        (Some(_), Some(_)) => Step::Rewind,
        _ => Step::Wait,
    }
}

/// Where the anchor should be after reading up to `to`: `depth` blocks below the head, and not above what the chain
/// calls final. It moves in strides (a quarter of the depth), since every move costs calls to the node; `None` leaves it.
pub fn anchor(old: Option<u64>, to: u64, head: u64, depth: u64, finalized: Option<u64>) -> Option<u64> {
    let target = head.saturating_sub(depth).min(finalized.unwrap_or(u64::MAX)).min(to);
    match old {
        Some(old) if target < old.saturating_add((depth / 4).max(1)) => None,
        _ => Some(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, fork: u8) -> BlockRef {
        BlockRef { number, hash: hash(fork) }
    }

    fn hash(fork: u8) -> B256 {
        B256::repeat_byte(fork)
    }

    const A: u8 = 0xa;
    const B: u8 = 0xb;

    fn read() -> Read {
        Read { cursor: block(100, A), anchor: block(50, A) }
    }

    #[test]
    fn rests_at_the_head_and_extends_below_it() {
        assert_eq!(next(&read(), block(100, A), Some(hash(A)), Some(hash(A))), Step::Rest);
        assert_eq!(next(&read(), block(101, A), Some(hash(A)), Some(hash(A))), Step::Extend);
        assert_eq!(next(&read(), block(101, A), Some(hash(A)), None), Step::Extend);
    }

    #[test]
    fn rewinds_when_what_was_read_is_no_longer_canonical() {
        assert_eq!(next(&read(), block(100, B), Some(hash(B)), Some(hash(A))), Step::Rewind);
        assert_eq!(next(&read(), block(105, B), Some(hash(B)), Some(hash(A))), Step::Rewind);
    }

    #[test]
    fn halts_when_the_anchor_changed_even_on_a_shorter_chain() {
        assert_eq!(next(&read(), block(105, B), Some(hash(B)), Some(hash(B))), Step::Halt);
        assert_eq!(next(&read(), block(60, B), None, Some(hash(B))), Step::Halt);
    }

    #[test]
    fn waits_for_a_node_that_is_behind() {
        assert_eq!(next(&read(), block(99, A), None, Some(hash(A))), Step::Wait);
        assert_eq!(next(&read(), block(10, A), None, None), Step::Wait);
        // Two answers of two backends: the head of one that is ahead, the blocks of one that is behind.
        assert_eq!(next(&read(), block(101, A), None, Some(hash(A))), Step::Wait);
        assert_eq!(next(&read(), block(99, A), Some(hash(A)), Some(hash(A))), Step::Wait);
        assert_eq!(next(&read(), block(101, B), Some(hash(B)), None), Step::Wait);
    }

    #[test]
    fn the_anchor_follows_in_strides_and_never_moves_down() {
        assert_eq!(anchor(None, 500, 500, 128, None), Some(372));
        assert_eq!(anchor(None, 5, 5, 128, None), Some(0));
        assert_eq!(anchor(Some(372), 503, 503, 128, None), None);
        assert_eq!(anchor(Some(372), 532, 532, 128, None), Some(404));
        assert_eq!(anchor(Some(372), 600, 600, 128, Some(380)), None);
        assert_eq!(anchor(Some(372), 600, 600, 128, Some(410)), Some(410));
        assert_eq!(anchor(Some(372), 600, 600, 128, Some(100)), None);
    }

    #[test]
    fn the_anchor_stays_within_what_was_read() {
        assert_eq!(anchor(Some(0), 1_000, 1_000_000, 128, None), Some(1_000));
        assert_eq!(anchor(None, 7, 9, 0, None), Some(7));
    }
}
