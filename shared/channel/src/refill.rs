//! When to add to what we spend from, and how much: the deposit of a channel that we pay from, an account's gas.

use std::time::Duration;

use crate::Amount;

/// The pause after a first failure; it doubles with each further one,
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// up to this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// What there is to spend from, and what is on its way there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What was put in, and counts.
    pub deposit: Amount,
    /// What was put in, and does not count yet.
    pub pending_deposit: Amount,
    /// What we decided to add, and may still be put in.
    pub pending_top_ups: Amount,
    /// What was spent of all that.
    pub spent: Amount,
}

/// How an operator wants it refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefillPolicy {
    /// With less than this left, it is refilled,
    pub threshold: Amount,
    /// so far,
    pub portion: Portion,
    /// and by no more than this in a day, whatever happens.
    pub cap_per_day: Amount,
}

/// How much is added at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// This much.
    By(Amount),
    /// As much as makes what is left this much.
    UpTo(Amount),
}

/// What happened lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Today {
    /// Added today, or decided to be.
    pub refilled: Amount,
    /// How many refills failed since the last one that did not,
    pub failures: u32,
    /// and how long ago the last of them did.
    pub since_failure: Duration,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refill {
    /// Nothing: there is enough, with what is on its way.
    Enough,
    /// Nothing before what is on its way has arrived, or is certain not to.
    UnderWay,
    /// Nothing for this long: the last attempt failed.
    Pause(Duration),
    /// Nothing today: the day's cap is reached.
    Capped,
    /// Add this much.
    By(Amount),
}

impl Balance {
    /// What can still be spent, once all has arrived that is on its way.
    pub fn left(&self) -> Amount {
        let pending = self.pending_deposit.saturating_add(self.pending_top_ups);
        self.deposit.saturating_add(pending).saturating_sub(self.spent)
    }
}

/// Whether to refill now, and by how much. One at a time: what is on its way counts as if it were there, and as long as we
/// may still add something, we decide on nothing further.
pub fn refill(balance: &Balance, policy: &RefillPolicy, today: &Today) -> Refill {
    let left = balance.left();
    if left >= policy.threshold {
        return Refill::Enough;
    }
    if !balance.pending_top_ups.is_zero() {
        return Refill::UnderWay;
    }
    let pause = pause_after(today.failures).saturating_sub(today.since_failure);
    if !pause.is_zero() {
        return Refill::Pause(pause);
    }
    let wanted = match policy.portion {
        Portion::By(amount) => amount,
        Portion::UpTo(high) => high.saturating_sub(left),
    };
    let amount = wanted.min(policy.cap_per_day.saturating_sub(today.refilled));
    match (wanted.is_zero(), amount.is_zero()) {
        (true, _) => Refill::Enough,
        (false, true) => Refill::Capped,
        (false, false) => Refill::By(amount),
    }
}

/// How long after the last of so many failures nothing is tried.
fn pause_after(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(LONGEST_PAUSE),
    }
}
