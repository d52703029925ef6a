use crate::{Amount, Channel, Epoch, Signature, Status};

/// What should be done on chain about a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The payer asks to close below what we hold a voucher for, or below what was agreed: close with the voucher.
    Challenge {
        /// The best voucher's amount.
        amount: Amount,
        /// The best voucher's signature.
        signature: Signature,
    },
}

/// What to do about a channel now, if anything. Deterministic: planning twice gives the same.
pub fn plan(channel: &Channel, epoch: &Epoch) -> Option<Action> {
    let Status::Closing { requested, .. } = channel.facts.status else {
        return None;
    };
    let (amount, signature) = epoch.voucher?;
    let due = channel.agreed_close.unwrap_or(Amount::MAX).min(amount);
    let payable = amount <= channel.facts.deposit.saturating_add(channel.facts.pending);
    (payable && requested < due).then_some(Action::Challenge { amount, signature })
}
