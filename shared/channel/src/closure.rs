use crate::{Amount, Channel, Epoch, Signature, Status};

/// What a payee who wants to close a channel by itself can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closure {
    /// Close with the best voucher and our own signature. It takes all that was authorised, unused credit too: what the
    /// payer signed is one amount.
    Best {
        /// The best voucher's amount.
        amount: Amount,
        /// The best voucher's signature.
        signature: Signature,
    },
    /// Nothing was ever authorised, so there is nothing to close with, or for. It is enough to sell nothing more.
    Worthless,
    /// The payer has our signature under another amount, for which we have no voucher: it is the payer's to close.
    AgreedOtherwise {
        /// That amount.
        agreed: Amount,
    },
    /// The contract would refuse the best voucher: the deposit does not cover it, or more was claimed already.
    Uncovered,
    /// The chain shows no such channel, or it is settled.
    Gone,
}

/// What can be done now to close a channel without its payer. Deterministic, as [`crate::plan()`].
pub fn closure(channel: &Channel, epoch: &Epoch) -> Closure {
    let facts = &channel.facts;
    if matches!(facts.status, Status::Absent | Status::Closed) {
        return Closure::Gone;
    }
    let Some((amount, signature)) = epoch.voucher else { return Closure::Worthless };
    match channel.agreed_close {
        Some(agreed) if agreed != amount => Closure::AgreedOtherwise { agreed },
        _ if amount > facts.deposit.saturating_add(facts.pending) || amount < facts.claimed => Closure::Uncovered,
        _ => Closure::Best { amount, signature },
    }
}
