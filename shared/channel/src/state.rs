use std::fmt;

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{Amount, Facts, Signature, Status};

/// The ledger's name of a channel: unique over chains, contracts and payees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelId(pub B256);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A payment channel as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its key in the ledger.
    pub id: ChannelId,
    /// The configured deployment it belongs to (chain + contract + token + payee).
    pub deployment: String,
    /// Who deposited, and signs.
    pub payer: Address,
    /// What the contract needs beside the payer to name the channel; opaque here.
    pub params: Bytes,
    /// What the chain says. Written by the watcher alone.
    pub facts: Facts,
    /// The final amount we agreed to in a cooperative close. Nothing is sold once it is set.
    pub agreed_close: Option<Amount>,
}

impl Channel {
    /// What can still be charged and collected: the credit, or what an agreed close leaves of it.
    pub fn collectable(&self, epoch: &Epoch) -> Amount {
        let end = self.agreed_close.unwrap_or(Amount::MAX).min(epoch.authorised);
        end.saturating_sub(epoch.spent).saturating_sub(epoch.held)
    }

    /// What is owed to us and not yet claimed; nothing once the channel is settled, or gone from the chain.
    pub fn exposure(&self, epoch: &Epoch) -> Amount {
        match self.facts.status {
            Status::Open | Status::Closing { .. } => epoch.authorised.saturating_sub(self.facts.claimed),
            Status::Absent | Status::Closed => Amount::ZERO,
        }
    }
}

/// The counters of a channel between two claims that reset it; most channels have one epoch, 0.
///
/// `spent + held ≤ authorised`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// The epoch's number.
    pub number: u64,
    /// The best voucher: its amount and signature. Its amount is `authorised`, unless a claim made elsewhere raised that.
    pub voucher: Option<(Amount, Signature)>,
    /// The highest cumulative amount that we may count on.
    pub authorised: Amount,
    /// Charged so far.
    pub spent: Amount,
    /// Reserved for calls in flight.
    pub held: Amount,
    /// The highest amount ever seen in calldata; a voucher up to here can be copied by anyone, so it buys nothing.
    pub published: Amount,
}

impl Epoch {
    /// What is authorised, and neither spent nor reserved.
    pub fn credit(&self) -> Amount {
        self.authorised.saturating_sub(self.spent).saturating_sub(self.held)
    }

    /// Whether no call is in flight, and no failed one could be repeated from credit.
    pub fn is_quiet(&self) -> bool {
        self.held.is_zero() && self.credit().is_zero()
    }

    /// The one invariant of the ledger: `spent + held ≤ authorised`.
    pub fn is_sound(&self) -> bool {
        self.spent.checked_add(self.held).is_some_and(|used| used <= self.authorised)
    }
}

/// What a payer may see of its channel, to word an answer with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Confirmed deposit.
    pub deposit: Amount,
    /// Deposited, but not deep enough yet.
    pub pending: Amount,
    /// See [`Epoch::authorised`].
    pub authorised: Amount,
    /// See [`Epoch::spent`].
    pub spent: Amount,
    /// See [`Epoch::credit`].
    pub credit: Amount,
    /// The signature of the best voucher, if that voucher is what is authorised.
    pub signature: Option<Signature>,
}

impl View {
    /// The view of a channel in an epoch.
    pub fn of(channel: &Channel, epoch: &Epoch) -> View {
        let best = epoch.voucher.filter(|(amount, _)| *amount == epoch.authorised);
        View {
            deposit: channel.facts.deposit,
            pending: channel.facts.pending,
            authorised: epoch.authorised,
            spent: epoch.spent,
            credit: epoch.credit(),
            signature: best.map(|(_, signature)| signature),
        }
    }
}
