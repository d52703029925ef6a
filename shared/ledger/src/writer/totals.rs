//! What is owed on all channels of a deployment together, where the terms limit it.
//!
//! A counter of it would be a row that every sale waits for. Instead some front sums it up every few seconds
//! ([`Ledger::tally`](crate::Ledger::tally)), and each process adds what it sold itself since then. So a process alone never
//! exceeds the limit; several do by what the others sold since the last sum, and that is less than what each of them saw
//! left: with `n` processes at most `n - 1` times what was below the limit at the last sum.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use channel::Amount;

/// A sum that is older is worth nothing: then nothing more is sold that would add to it.
const OLDEST: Duration = Duration::from_secs(60);
/// Sales so close to each other are kept as one.
const GRAIN: Duration = Duration::from_millis(100);

/// A sum over all channels of a deployment, and how long ago it was made.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    pub(super) owed: Amount,
    pub(super) age: Duration,
}

/// By how much this process' sales raised what is owed lately, by deployment.
#[derive(Default)]
pub(crate) struct Lately(Mutex<HashMap<String, VecDeque<Rise>>>);

struct Rise {
    first: Instant,
    last: Instant,
    amount: Amount,
}

impl Lately {
    /// Notes what a committed batch added, after its commit: the next sum may have it too, but never lacks it.
    pub(super) fn note(&self, deployment: &str, amount: Amount, now: Instant) {
        let mut rises = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rises = rises.entry(deployment.to_owned()).or_default();
        while rises.front().is_some_and(|rise| now.duration_since(rise.last) > OLDEST) {
            rises.pop_front();
        }
        match rises.back_mut().filter(|rise| now.duration_since(rise.first) < GRAIN) {
            Some(rise) => (rise.last, rise.amount) = (now, rise.amount.saturating_add(amount)),
            None => rises.push_back(Rise { first: now, last: now, amount }),
        }
    }

    /// What is owed now, as far as this process knows; everything there is, when there is no sum to begin with.
    pub(super) fn owed(&self, deployment: &str, sum: Option<Sum>, now: Instant) -> Amount {
        let Some(Sum { owed, age }) = sum.filter(|sum| sum.age <= OLDEST) else { return Amount::MAX };
        let rises = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = rises.get(deployment).into_iter().flatten().filter(|rise| now.duration_since(rise.last) <= age);
        since.fold(owed, |owed, rise| owed.saturating_add(rise.amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sold_here_since_the_sum_counts_and_what_was_before_does_not() {
        let (lately, start) = (Lately::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let sum = |owed, seconds| Some(Sum { owed: Amount::new(owed), age: Duration::from_secs(seconds) });
        for (seconds, amount) in [(1, 10), (1, 20), (5, 40)] {
            lately.note("main", Amount::new(amount), at(seconds));
        }
        assert_eq!(lately.owed("main", sum(100, 9), at(10)), Amount::new(170));
        assert_eq!(lately.owed("main", sum(130, 6), at(10)), Amount::new(170));
        assert_eq!(lately.owed("main", sum(170, 2), at(10)), Amount::new(170));
        assert_eq!(lately.owed("other", sum(100, 9), at(10)), Amount::new(100));
    }

    #[test]
    fn without_a_sum_of_the_last_minute_everything_counts_as_owed() {
        let (lately, now) = (Lately::default(), Instant::now());
        let sum = |age| Some(Sum { owed: Amount::ZERO, age });
        assert_eq!(lately.owed("main", None, now), Amount::MAX);
        assert_eq!(lately.owed("main", sum(OLDEST + Duration::from_secs(1)), now), Amount::MAX);
        assert_eq!(lately.owed("main", sum(OLDEST), now), Amount::ZERO);
    }
}
