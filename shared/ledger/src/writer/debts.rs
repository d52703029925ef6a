//! What payers owe over all their channels, where the terms limit it.
//!
//! The sums are read after the locks: what this batch has locked is exact, and its sales see each other. Channels of the
//! same payer that another batch sells from at the same moment count with what they owed before. So a payer can exceed the
//! limit by what other batches sell it while one is under way, at most one batch for each other lane (every front has
//! two), and no more.

use std::collections::HashMap;

use alloy_primitives::Address;
use channel::{Amount, Channel, Epoch};

/// By deployment and payer; empty when no sale of the batch asks.
#[derive(Default)]
pub(super) struct Debts(HashMap<(String, Address), Amount>);

impl FromIterator<(String, Address, Amount)> for Debts {
    fn from_iter<I: IntoIterator<Item = (String, Address, Amount)>>(debts: I) -> Debts {
        Debts(debts.into_iter().map(|(deployment, payer, owed)| ((deployment, payer), owed)).collect())
    }
}

impl Debts {
    /// What the payer owes on its other channels.
    pub(super) fn elsewhere(&self, channel: &Channel, epoch: &Epoch) -> Amount {
        let owed = self.0.get(&(channel.deployment.clone(), channel.payer)).copied().unwrap_or_default();
        owed.saturating_sub(channel.exposure(epoch))
    }

    /// Notes that the channel owed `before`, and owes what it does now.
    pub(super) fn moved(&mut self, channel: &Channel, before: Amount, epoch: &Epoch) {
        if self.0.is_empty() {
            return;
        }
        if let Some(owed) = self.0.get_mut(&(channel.deployment.clone(), channel.payer)) {
            *owed = owed.saturating_sub(before).saturating_add(channel.exposure(epoch));
        }
    }
}
