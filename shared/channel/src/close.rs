use crate::{Amount, Channel, Epoch, Status};

/// Why we do not countersign a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseRefusal {
    /// The chain shows no such channel, or it is settled already.
    #[error("there is no such open channel")]
    NotOpen,
    /// Another final amount was signed before.
    #[error("a close with {agreed} was agreed before")]
    AgreedOtherwise {
        /// What was signed.
        agreed: Amount,
    },
    /// Less than what was sold or claimed, or more than what was authorised.
    #[error("the final amount must be between {least} and {most}")]
    Amount {
        /// Spent, and reserved by calls in flight; or claimed, or about to be.
        least: Amount,
        /// Authorised.
        most: Amount,
    },
}

/// Agrees to close at `amount`; from then on nothing is sold, and the same amount is agreed to again for ever.
///
/// Any amount from what was sold up to what was authorised will do: below, we would lose; above, the payer never signed.
/// Nor does the contract close below what was claimed, which may be as much as was ever published.
///
/// # Errors
/// [`CloseRefusal`], with the numbers that would have passed.
pub fn agree_close(channel: &mut Channel, epoch: &Epoch, amount: Amount) -> Result<(), CloseRefusal> {
    match channel.facts.status {
        Status::Open | Status::Closing { .. } => {}
        Status::Absent | Status::Closed => return Err(CloseRefusal::NotOpen),
    }
    match channel.agreed_close {
        Some(agreed) if agreed == amount => return Ok(()),
        Some(agreed) => return Err(CloseRefusal::AgreedOtherwise { agreed }),
        None => {}
    }
    let on_chain = epoch.published.max(channel.facts.claimed);
    let (least, most) = (epoch.spent.saturating_add(epoch.held).max(on_chain), epoch.authorised);
    if amount < least || amount > most {
        return Err(CloseRefusal::Amount { least, most });
    }
    channel.agreed_close = Some(amount);
    Ok(())
}
