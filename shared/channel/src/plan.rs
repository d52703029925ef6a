use crate::policy::Distance;
use crate::{Amount, Channel, Closure, Epoch, Moment, Policy, Signature, Status, closure};

/// What should be done on chain about a channel. Always with the best voucher: its amount and signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The payer asks to close below what we hold a voucher for, or below what was agreed: close with the voucher.
    Challenge {
        /// The best voucher's amount.
        amount: Amount,
        /// The best voucher's signature.
        signature: Signature,
    },
    /// Take what is owed, and leave the channel open.
    Claim {
        /// The best voucher's amount.
        amount: Amount,
        /// The best voucher's signature.
        signature: Signature,
        /// Why now.
        reason: Reason,
        /// Whether only as long as no call is in flight and no credit is left: who repeats a failed call sends its
        /// voucher again, and that buys nothing once it was on chain.
        if_quiet: bool,
    },
    /// Close with our own signature: the payer has one and does not use it.
    Close {
        /// The best voucher's amount.
        amount: Amount,
        /// The best voucher's signature.
        signature: Signature,
    },
    /// End a close that the payer asked for and we accept, likewise.
    Settle {
        /// The best voucher's amount.
        amount: Amount,
        /// The best voucher's signature.
        signature: Signature,
        /// Why now.
        reason: Reason,
    },
}

/// Why something is done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is enough to claim.
    Amount,
    /// There has been something to claim for long enough.
    Age,
    /// The payer does not settle.
    Unsettled,
    /// The deadline is near.
    Deadline,
}

/// Whether a close request must be answered, and how; it does not depend on the moment or on anybody's wishes.
/// Deterministic: asking twice gives the same.
pub fn challenge(channel: &Channel, epoch: &Epoch) -> Option<Action> {
    let Status::Closing { requested, .. } = channel.facts.status else {
        return None;
    };
    let (amount, signature) = epoch.voucher?;
    let due = channel.agreed_close.unwrap_or(Amount::MAX).min(amount);
    let facts = &channel.facts;
    let payable = amount >= facts.claimed && amount <= facts.deposit.saturating_add(facts.pending);
    (payable && requested < due).then_some(Action::Challenge { amount, signature })
}

/// What to do about a channel now, if anything. Deterministic, as [`challenge()`], which comes first.
///
/// Claims are for contracts that pay exactly the voucher, and only while nobody asked to close, as µRaiden's `withdraw`.
pub fn plan(channel: &Channel, epoch: &Epoch, policy: &Policy, moment: &Moment) -> Option<Action> {
    if let Some(answer) = challenge(channel, epoch) {
        return Some(answer);
    }
    let (amount, signature) = epoch.voucher?;
    let owed = amount.saturating_sub(channel.facts.claimed);
    if owed.is_zero() || !policy.is_worth_its_gas(owed, moment.gas_price) {
        return None;
    }
    match channel.facts.status {
        Status::Open if channel.agreed_close.is_none() => claim(channel, epoch, policy, moment),
        Status::Open => {
            let is_left = moment.agreed_for >= policy.unused_after && is_ours_to_close(channel, epoch);
            is_left.then_some(Action::Close { amount, signature })
        }
        Status::Closing { .. } => settle(channel, epoch, policy, moment),
        Status::Absent | Status::Closed => None,
    }
}

fn claim(channel: &Channel, epoch: &Epoch, policy: &Policy, moment: &Moment) -> Option<Action> {
    let (amount, signature) = epoch.voucher?;
    let reason = if amount.saturating_sub(channel.facts.claimed) >= policy.min_amount {
        Reason::Amount
    } else if moment.unclaimed_for >= policy.max_age {
        Reason::Age
    } else {
        return None;
    };
    let if_quiet = policy.may_wait(moment.unclaimed_for);
    let is_the_time = epoch.is_quiet() || !if_quiet;
    // What is not deep enough yet may be taken back, and the claim would fail.
    let is_covered = amount <= channel.facts.deposit;
    (is_the_time && is_covered).then_some(Action::Claim { amount, signature, reason, if_quiet })
}

/// Only the payer can settle; what we can do is close with both signatures, as if there were no request. A payer that asks
/// for more than our voucher says is only waited for.
fn settle(channel: &Channel, epoch: &Epoch, policy: &Policy, moment: &Moment) -> Option<Action> {
    let (amount, signature) = epoch.voucher?;
    let Status::Closing { requested, deadline } = channel.facts.status else { return None };
    let reason = match moment.distance(deadline, policy.block) {
        Distance::Over(time) if time >= policy.unsettled_after => Reason::Unsettled,
        Distance::Left(time) if time < policy.before_deadline && requested <= amount => Reason::Deadline,
        Distance::Over(_) | Distance::Left(_) => return None,
    };
    is_ours_to_close(channel, epoch).then_some(Action::Settle { amount, signature, reason })
}

fn is_ours_to_close(channel: &Channel, epoch: &Epoch) -> bool {
    matches!(closure(channel, epoch), Closure::Best { .. })
}

impl Action {
    /// Why, in a word for metrics.
    pub const fn why(&self) -> &'static str {
        match self {
            Action::Challenge { .. } => "low_close",
            Action::Close { .. } => "unused_signature",
            Action::Claim { reason, .. } | Action::Settle { reason, .. } => match reason {
                Reason::Amount => "amount",
                Reason::Age => "age",
                Reason::Unsettled => "unsettled",
                Reason::Deadline => "deadline",
            },
        }
    }

    /// The amount of the voucher to be used.
    pub const fn amount(&self) -> Amount {
        match *self {
            Action::Challenge { amount, .. }
            | Action::Claim { amount, .. }
            | Action::Close { amount, .. }
            | Action::Settle { amount, .. } => amount,
        }
    }
}
