//! Where a new transaction goes in the line of an account's nonces. One that is not mined holds up all behind it, so the
//! line is kept short, and what is urgent takes the place of what is not.

use evm::Fees;
use ledger::Lane;

use super::fees::{capped, raised};
use super::machine::Policy;

/// A nonce of ours that the chain has not used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) nonce: u64,
    /// What its newest transaction is for; one that does nothing is not urgent.
    pub(crate) lane: Lane,
    /// How many transactions were signed for it.
    pub(crate) signed: u32,
    /// What the newest offers.
    pub(crate) fees: Fees,
}

/// Where a new transaction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) nonce: u64,
    /// How many transactions were signed for the nonce before it.
    pub(crate) number: u32,
    /// What it must offer.
    pub(crate) fees: Fees,
}

/// The place for a new transaction; `None` while the line is full. `free` is the nonce after all that are taken.
pub(crate) fn place(line: &[Waiting], free: u64, lane: Lane, market: Fees, policy: &Policy) -> Option<Place> {
    let cap = policy.cap(lane);
    let displaced = line.iter().filter(|waiting| lane == Lane::Urgent && waiting.lane == Lane::Normal);
    let over = |waiting: &Waiting| {
        let fees = raised(waiting.fees, market, cap)?;
        Some(Place { nonce: waiting.nonce, number: waiting.signed, fees })
    };
    let fresh =
        || (line.len() < policy.unmined_max).then(|| Place { nonce: free, number: 0, fees: capped(market, cap) });
    displaced.filter_map(over).next().or_else(fresh)
}

/// The first nonce that neither the chain (which counts `mined`, and `pending` with those that wait) nor we have used.
pub(crate) fn free_nonce(mined: u64, pending: u64, ours: &[u64]) -> u64 {
    let mut free = mined.max(pending);
    while ours.contains(&free) {
        free = free.saturating_add(1);
    }
    free
}

/// A nonce that nobody uses, in front of one of ours that waits for it.
pub(crate) fn gap(mined: u64, pending: u64, ours: &[u64]) -> Option<u64> {
    let free = free_nonce(mined, pending, ours);
    ours.iter().any(|nonce| *nonce > free).then_some(free)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const POLICY: Policy = Policy {
        noop_cap: 600,
        urgent_cap: 500,
        normal_cap: 400,
        bump_after: Duration::from_secs(30),
        resend_after: Duration::from_secs(15),
        confirmations: 3,
        unmined_max: 2,
    };

    const fn fees(max_fee: u128) -> Fees {
        Fees { max_fee, max_priority_fee: 1 }
    }

    fn waiting(nonce: u64, lane: Lane, max_fee: u128) -> Waiting {
        Waiting { nonce, lane, signed: 1, fees: fees(max_fee) }
    }

    fn placed(line: &[Waiting], lane: Lane) -> Option<(u64, u32, u128)> {
        place(line, 9, lane, fees(100), &POLICY).map(|place| (place.nonce, place.number, place.fees.max_fee))
    }

    #[test]
    fn what_is_urgent_takes_the_first_place_of_what_is_not() {
        let line = [waiting(5, Lane::Urgent, 100), waiting(6, Lane::Normal, 100), waiting(7, Lane::Normal, 100)];
        assert_eq!(placed(&line, Lane::Urgent), Some((6, 1, 113)));
        assert_eq!(placed(&line[..1], Lane::Urgent), Some((9, 0, 100)));
        let dear = [waiting(5, Lane::Normal, 450), waiting(6, Lane::Normal, 100)];
        assert_eq!(placed(&dear, Lane::Urgent), Some((6, 1, 113)), "the first would cost more than the cap");
    }

    #[test]
    fn what_is_not_urgent_queues_and_nothing_does_when_the_line_is_full() {
        assert_eq!(placed(&[waiting(5, Lane::Normal, 100)], Lane::Normal), Some((9, 0, 100)));
        let full = [waiting(5, Lane::Urgent, 100), waiting(6, Lane::Urgent, 100)];
        assert_eq!((placed(&full, Lane::Normal), placed(&full, Lane::Urgent)), (None, None));
    }

    #[test]
    fn a_new_nonce_is_the_first_that_nobody_uses() {
        assert_eq!(free_nonce(5, 5, &[]), 5);
        assert_eq!(free_nonce(5, 5, &[5, 6]), 7);
        assert_eq!(free_nonce(5, 7, &[5, 7]), 8);
        assert_eq!(free_nonce(5, 5, &[6]), 5, "a gap is used first");
    }

    #[test]
    fn a_gap_is_a_nonce_that_ours_wait_for_and_nobody_uses() {
        assert_eq!(gap(5, 5, &[5, 6]), None);
        assert_eq!(gap(5, 5, &[6]), Some(5));
        assert_eq!(gap(5, 6, &[6]), None, "somebody's transaction waits there");
        assert_eq!(gap(5, 5, &[]), None);
    }
}
