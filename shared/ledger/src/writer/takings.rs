//! What one batch charges a channel, by route: part of a row of the journal that [`crate::Ledger::sales`] reads.

use std::sync::Arc;

use channel::Amount;

/// Charged amounts, and how many calls they are, by route. A channel rarely buys from more than one in a batch.
#[derive(Default)]
pub(super) struct Takings(Vec<Taking>);

/// What was charged on one route.
pub(super) struct Taking {
    pub(super) route: Arc<str>,
    pub(super) amount: Amount,
    pub(super) calls: i32,
}

impl Takings {
    /// Notes that a call was charged this much. Nothing charged is no sale.
    pub(super) fn note(&mut self, route: &Arc<str>, taken: Amount) {
        if taken.is_zero() {
            return;
        }
        match self.0.iter_mut().find(|taking| taking.route == *route) {
            Some(taking) => {
                // A channel never spends more than an amount can say, so neither does a part of what it spends.
                taking.amount = taking.amount.saturating_add(taken);
                taking.calls += 1;
            }
            None => self.0.push(Taking { route: route.clone(), amount: taken, calls: 1 }),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Taking> {
        self.0.iter()
    }
}
