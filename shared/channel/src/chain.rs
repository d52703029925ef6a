use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{Amount, ChannelId, Epoch};

/// A block, by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRef {
    /// Its height.
    pub number: u64,
    /// Its hash: two blocks of one height are two blocks.
    pub hash: B256,
}

/// Until when something must have happened on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// The last block in which it counts.
    Block(u64),
    /// The last block time, in seconds since 1970, at which it counts.
    Time(u64),
}

/// Where a channel is in its life on chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The canonical chain shows no opening (any more).
    #[default]
    Absent,
    /// Open for payments.
    Open,
    /// The payer asked to close, claiming that `requested` is all it owes.
    Closing {
        /// Cumulative, in base units.
        requested: Amount,
        /// The last moment to answer.
        deadline: Deadline,
    },
    /// Settled.
    Closed,
}

/// Something a contract said about a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whom it is about.
    pub channel: ChannelId,
    /// The block it stands in.
    pub block: BlockRef,
    /// Its transaction.
    pub tx_hash: B256,
    /// Its place among the block's logs.
    pub log_index: u64,
    /// What it says.
    pub kind: EventKind,
}

/// What an [`Event`] says, in the words of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The channel was opened with this deposit.
    Opened {
        /// In base units.
        deposit: Amount,
    },
    /// The deposit grew.
    ToppedUp {
        /// By this much.
        added: Amount,
    },
    /// The payer asked to close.
    CloseRequested {
        /// What the payer says it owes.
        requested: Amount,
        /// The last moment to answer.
        deadline: Deadline,
    },
    /// The payee took money without closing.
    Claimed {
        /// By this claim alone.
        taken: Amount,
    },
    /// The channel was settled and is gone.
    Settled {
        /// What the payee got in all, cumulative.
        total: Amount,
    },
}

/// What the chain says about a channel: a fold over its events, never edited by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// True once the opening is deep enough.
    pub confirmed: bool,
    /// Deposited, in blocks deep enough.
    pub deposit: Amount,
    /// Deposited, in blocks not deep enough yet.
    pub pending: Amount,
    /// Taken by the payee, cumulative.
    pub claimed: Amount,
    /// Where the channel is. Counts at once: a close is never waited for.
    pub status: Status,
}

/// Folds the events of one channel (in the order of the chain, none of an orphaned block) into facts.
///
/// Money coming in counts from the block `confirmed` downwards; everything else counts at the head. A fold from scratch:
/// a reorg needs no undo, and the result equals that of a fresh sync by construction. It never fails: sums saturate.
pub fn facts<'a>(events: impl IntoIterator<Item = &'a Event>, confirmed: u64) -> Facts {
    let mut facts = Facts::default();
    for event in events {
        let is_confirmed = event.block.number <= confirmed;
        match event.kind {
            EventKind::Opened { deposit } => {
                facts.status = Status::Open;
                facts.confirmed = is_confirmed;
                facts.receive(deposit, is_confirmed);
            }
            EventKind::ToppedUp { added } => facts.receive(added, is_confirmed),
            EventKind::CloseRequested { requested, deadline } => {
                facts.status = Status::Closing { requested, deadline };
            }
            EventKind::Claimed { taken } => facts.claimed = facts.claimed.saturating_add(taken),
            EventKind::Settled { total } => {
                facts.status = Status::Closed;
                facts.claimed = total;
            }
        }
    }
    facts
}

impl Facts {
    fn receive(&mut self, amount: Amount, is_confirmed: bool) {
        let sum = if is_confirmed { &mut self.deposit } else { &mut self.pending };
        *sum = sum.saturating_add(amount);
    }
}

/// Brings the counters up to a claim we have no voucher for: a ledger restored from an old backup, or a claim made
/// elsewhere. What was claimed above what was authorised counts as authorised and spent. Returns that difference. What was
/// claimed stands in calldata, so it counts as published.
pub fn absorb_claims(facts: &Facts, epoch: &mut Epoch) -> Amount {
    let missed = facts.claimed.saturating_sub(epoch.authorised);
    epoch.authorised = epoch.authorised.saturating_add(missed);
    epoch.spent = epoch.spent.saturating_add(missed);
    epoch.published = epoch.published.max(facts.claimed);
    missed
}
