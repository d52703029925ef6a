//! What one batch charges, by route and channel: a row of the journal that [`crate::Ledger::sales`] reads.

use std::collections::HashMap;
use std::sync::Arc;

use channel::{Amount, ChannelId};

/// Charged amounts, and how many calls they are.
#[derive(Default)]
pub(super) struct Takings(HashMap<(Arc<str>, ChannelId), (Amount, i32)>);

impl Takings {
    /// Notes that a call was charged this much. Nothing charged is no sale.
    pub(super) fn note(&mut self, route: &Arc<str>, channel: ChannelId, taken: Amount) {
        if taken.is_zero() {
            return;
        }
        let (amount, calls) = self.0.entry((route.clone(), channel)).or_default();
        // A channel never spends more than an amount can say, so neither does a part of what it spends.
        *amount = amount.saturating_add(taken);
        *calls += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Route, channel, amount and calls.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &ChannelId, Amount, i32)> {
        self.0.iter().map(|((route, channel), (amount, calls))| (&**route, channel, *amount, *calls))
    }
}
