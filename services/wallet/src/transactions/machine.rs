//! What is to be done next about a nonce of ours: a function of what we signed and what the chain says.
//!
//! ```text
//!              ┌──── a reorganisation took it back ────────────────────────┐
//!              ▼                                                           │
//! sign ─▶ the nonce is free ── send again every `resend_after`             │
//!              │            ── an eighth dearer every `bump_after`         │
//!              │            ── a no-op once the intent cannot succeed      │
//!              ▼                                                           │
//!         the nonce is used ── by ours: mined | reverted | cancelled ──────┤
//!              │            ── by a stranger, or another of ours: replaced ┘
//!              ▼ `confirmations` blocks on top
//!          confirmed
//! ```
//!
//! *Invariant:* what an intent was signed with keeps its nonce for ever, so the chain itself lets at most one of them happen.

use std::time::Duration;

use evm::{Fees, Submission};
use ledger::{IntentId, Lane};

use super::fees::raised;

/// Looks in a row that must find a nonce used up and no receipt of ours before a stranger is believed to have used it:
/// behind one address, a node that has the receipt may answer after one that has not.
pub(crate) const LOOKS_OF_DOUBT: u32 = 3;
/// Heads in a row at which an intent must fail before it is given up: a reorganisation may be under way.
pub(crate) const HEADS_OF_DOUBT: u32 = 3;

/// The limits that an operator sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// The most that is offered for a unit of gas, in wei: for a no-op, which must be able to take any place,
    pub(crate) noop_cap: u128,
    /// for what is urgent,
    pub(crate) urgent_cap: u128,
    /// and for what is not, whose place what is urgent must be able to take.
    pub(crate) normal_cap: u128,
    /// How long one that is next to be mined waits before it offers more.
    pub(crate) bump_after: Duration,
    /// How long a transaction is left to the network before it is handed in again.
    pub(crate) resend_after: Duration,
    /// Blocks on top of the one that used a nonce up, after which that stays.
    pub(crate) confirmations: u64,
    /// The most nonces of an account that wait to be used up.
    pub(crate) unmined_max: usize,
}

impl Policy {
    pub(crate) const fn cap(&self, lane: Lane) -> u128 {
        match lane {
            Lane::Urgent => self.urgent_cap,
            Lane::Normal => self.normal_cap,
        }
    }
}

/// A nonce of ours, as the ledger knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ours {
    pub(crate) nonce: u64,
    /// Urgent also when one behind it is: that one waits for it.
    pub(crate) lane: Lane,
    /// False when what it is for need not happen any more.
    pub(crate) wanted: bool,
    /// What the newest transaction offers,
    pub(crate) fees: Fees,
    /// whether it does nothing but use the nonce up,
    pub(crate) noop: bool,
    /// and how long ago it was signed.
    pub(crate) age: Duration,
    /// The block at which a stranger was found to have used it.
    pub(crate) strangers_since: Option<u64>,
}

/// What the chain says.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The number of the newest block,
    pub(crate) head: u64,
    /// what a unit of gas costs there at least,
    pub(crate) base_fee: u128,
    /// and what gets a transaction into one of the next blocks.
    pub(crate) market: Fees,
    /// How many nonces of the account are used up,
    pub(crate) mined: u64,
    /// and how many were `confirmations` blocks ago.
    pub(crate) settled: u64,
    /// Which of ours used this one up, and in which block.
    pub(crate) receipt: Option<(By, u64)>,
    /// How many looks in a row found it used up and no receipt, this one included.
    pub(crate) missed: u32,
    /// How many heads in a row the intent would fail at.
    pub(crate) failing: u32,
    /// How long ago this process handed in the newest transaction, and what the nodes said.
    pub(crate) sent: Option<(Duration, Submission)>,
    /// How long it has been the next to be mined; zero when it is not.
    pub(crate) next_for: Duration,
}

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing yet.
    Free,
    /// It was used up.
    Used { by: By, block: u64, confirmed: bool },
}

/// What used a nonce up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// What was wanted; it may have failed.
    Intent { id: IntentId, succeeded: bool },
    /// A transaction of ours that does nothing, signed for this intent.
    Noop(IntentId),
    /// A transaction that we did not sign here.
    Stranger,
}

/// What is to be done about a nonce that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing now.
    Wait,
    /// Hand in the newest transaction.
    Send,
    /// Sign another one that offers more, for the same, and hand it in.
    Raise(Fees),
    /// Sign one that does nothing, and hand it in.
    Cancel(Fees),
}

/// What became of the nonce; `None` when that cannot be told yet.
pub(crate) fn outcome(ours: &Ours, seen: &Seen) -> Option<Outcome> {
    if ours.nonce >= seen.mined {
        return Some(Outcome::Free);
    }
    let (by, block) = match (seen.receipt, ours.strangers_since) {
        (Some(receipt), _) => receipt,
        (None, _) if seen.missed < LOOKS_OF_DOUBT => return None,
        (None, since) => (By::Stranger, since.unwrap_or(seen.head)),
    };
    Some(Outcome::Used { by, block, confirmed: ours.nonce < seen.settled })
}

/// What is to be done about a nonce that is free.
pub(crate) fn step(ours: &Ours, seen: &Seen, policy: &Policy) -> Step {
    let cannot_succeed = !ours.wanted || seen.failing >= HEADS_OF_DOUBT;
    if cannot_succeed
        && !ours.noop
        && let Some(fees) = raised(ours.fees, seen.market, policy.noop_cap)
    {
        return Step::Cancel(fees);
    }
    let cap = if ours.noop { policy.noop_cap } else { policy.cap(ours.lane) };
    // What would fail now is not to be mined sooner.
    let may_succeed = ours.noop || seen.failing == 0;
    if may_succeed
        && is_too_cheap(ours, seen, policy)
        && let Some(fees) = raised(ours.fees, seen.market, cap)
    {
        return Step::Raise(fees);
    }
    match seen.sent {
        Some((ago, _)) if ago < policy.resend_after => Step::Wait,
        _ => Step::Send,
    }
}

/// Whether the newest transaction should offer more: nodes say so, or it had its time. What waits behind others had it
/// only if it could not be mined even without them. What is urgent and could not be mined now is given no time at all.
fn is_too_cheap(ours: &Ours, seen: &Seen, policy: &Policy) -> bool {
    let refused = seen
        .sent
        .as_ref()
        .is_some_and(|(_, said)| matches!(said, Submission::Underpriced | Submission::ReplacementUnderpriced));
    let cannot_be_mined = ours.fees.max_fee < seen.base_fee;
    let had_its_time = seen.next_for >= policy.bump_after || cannot_be_mined;
    refused || (ours.lane == Lane::Urgent && cannot_be_mined) || (ours.age >= policy.bump_after && had_its_time)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) const POLICY: Policy = Policy {
        noop_cap: 400,
        urgent_cap: 350,
        normal_cap: 300,
        bump_after: Duration::from_secs(30),
        resend_after: Duration::from_secs(15),
        confirmations: 3,
        unmined_max: 4,
    };
    const LONG: Duration = Duration::from_secs(60);

    const fn fees(max_fee: u128, max_priority_fee: u128) -> Fees {
        Fees { max_fee, max_priority_fee }
    }

    /// Signed a minute ago for nonce 5.
    fn ours() -> Ours {
        let (lane, fees) = (Lane::Normal, fees(80, 8));
        Ours { nonce: 5, lane, wanted: true, fees, noop: false, age: LONG, strangers_since: None }
    }

    /// Handed in just now, and not mined.
    fn seen() -> Seen {
        let (head, base_fee, market, sent) = (100, 10, fees(21, 1), Some((Duration::ZERO, Submission::Taken)));
        let (mined, settled, missed, failing) = (5, 5, 0, 0);
        Seen { head, base_fee, market, mined, settled, receipt: None, missed, failing, sent, next_for: Duration::ZERO }
    }

    fn next(ours: &Ours, seen: &Seen) -> Step {
        step(ours, seen, &POLICY)
    }

    #[test]
    fn what_was_handed_in_is_left_alone_for_a_while_and_then_handed_in_again() {
        assert_eq!(next(&ours(), &seen()), Step::Wait);
        let sent = Some((POLICY.resend_after, Submission::Taken));
        assert_eq!(next(&ours(), &Seen { sent, ..seen() }), Step::Send);
        assert_eq!(next(&ours(), &Seen { sent: None, ..seen() }), Step::Send, "a new process does not know");
    }

    #[test]
    fn what_had_its_time_or_is_called_too_cheap_offers_more() {
        let raised = Step::Raise(fees(91, 10));
        assert_eq!(next(&ours(), &Seen { next_for: LONG, ..seen() }), raised);
        assert_eq!(next(&Ours { age: Duration::ZERO, ..ours() }, &Seen { next_for: LONG, ..seen() }), Step::Wait);
        let cheap = Seen { base_fee: 100, market: fees(201, 1), ..seen() };
        assert_eq!(
            next(&ours(), &cheap),
            Step::Raise(fees(201, 10)),
            "it waits for others, but would not be mined anyway"
        );
        let fresh = Ours { age: Duration::ZERO, ..ours() };
        assert_eq!(next(&fresh, &cheap), Step::Wait, "fees may fall again");
        let urgent = Ours { lane: Lane::Urgent, ..fresh };
        assert_eq!(next(&urgent, &cheap), Step::Raise(fees(201, 10)), "nobody waits for that");
        assert_eq!(next(&urgent, &seen()), Step::Wait);
        for said in [Submission::Underpriced, Submission::ReplacementUnderpriced] {
            let sent = Some((Duration::ZERO, said));
            assert_eq!(next(&Ours { age: Duration::ZERO, ..ours() }, &Seen { sent, ..seen() }), raised);
        }
    }

    #[test]
    fn the_cap_depends_on_who_waits() {
        let (ours, seen) = (Ours { fees: fees(290, 1), ..ours() }, Seen { next_for: LONG, ..seen() });
        assert_eq!(next(&ours, &seen), Step::Wait);
        assert_eq!(next(&Ours { lane: Lane::Urgent, ..ours }, &seen), Step::Raise(fees(327, 2)));
        let dear = Ours { fees: fees(350, 1), ..ours };
        assert_eq!(next(&Ours { lane: Lane::Urgent, ..dear }, &seen), Step::Wait);
        assert_eq!(next(&Ours { wanted: false, ..dear }, &seen), Step::Cancel(fees(394, 2)));
    }

    #[test]
    fn what_would_fail_is_not_hurried_and_given_up_in_the_end() {
        let seen = Seen { next_for: LONG, ..seen() };
        assert_eq!(next(&ours(), &Seen { failing: 1, ..seen.clone() }), Step::Wait);
        assert_eq!(next(&ours(), &Seen { failing: HEADS_OF_DOUBT, ..seen.clone() }), Step::Cancel(fees(91, 10)));
        let noop = Ours { noop: true, wanted: false, ..ours() };
        assert_eq!(next(&noop, &Seen { failing: HEADS_OF_DOUBT, ..seen }), Step::Raise(fees(91, 10)));
    }

    #[test]
    fn a_used_nonce_is_ours_by_a_receipt_and_a_strangers_only_after_some_doubt() {
        let seen = Seen { mined: 6, ..seen() };
        let by = By::Intent { id: IntentId(1), succeeded: true };
        let mined = Seen { receipt: Some((by, 98)), ..seen.clone() };
        assert_eq!(outcome(&ours(), &mined), Some(Outcome::Used { by, block: 98, confirmed: false }));
        let deep = Seen { settled: 6, ..mined };
        assert_eq!(outcome(&ours(), &deep), Some(Outcome::Used { by, block: 98, confirmed: true }));
        assert_eq!(outcome(&ours(), &Seen { missed: 2, ..seen.clone() }), None);
        let taken = Outcome::Used { by: By::Stranger, block: 100, confirmed: false };
        assert_eq!(outcome(&ours(), &Seen { missed: 3, ..seen.clone() }), Some(taken));
        assert_eq!(outcome(&ours(), &Seen { mined: 5, ..seen }), Some(Outcome::Free));
    }
}
