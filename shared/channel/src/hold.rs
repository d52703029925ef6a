use std::fmt;

use alloy_primitives::{B128, B256};

use crate::{Amount, Channel, ChannelId, Epoch, Refusal, Status, Step, Terms, VerifiedVoucher};

/// A hold's name. The caller makes it, so that a hold of unknown outcome can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub B128);

/// What makes a repetition the same request: the hash of method, path with query, and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestHash(pub B256);

/// The request that a sale is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The payer's own name for it (Idempotency-Key), unique per channel.
    pub id: Option<String>,
    /// What is asked.
    pub hash: RequestHash,
}

/// Where a hold is in its life. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// The amount is reserved.
    Held,
    /// It was charged.
    Captured,
    /// It was given back: the request may be repeated from credit.
    Released,
    /// It was given back, and the repetition has a hold of its own.
    Retried,
}

/// An amount reserved for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its name.
    pub id: HoldId,
    /// The channel that pays.
    pub channel: ChannelId,
    /// The epoch that pays.
    pub epoch: u64,
    /// The price quoted.
    pub amount: Amount,
    /// What the call asked for.
    pub request: Request,
    /// Where it is.
    pub state: HoldState,
    /// What was charged in the end.
    pub captured: Amount,
}

/// What a sale is asked for.
#[derive(Clone, Debug)]
pub struct Sale<'a> {
    /// The name the new hold gets.
    pub id: HoldId,
    /// What pays.
    pub voucher: &'a VerifiedVoucher,
    /// What is asked for the call.
    pub price: Amount,
    /// The call.
    pub request: &'a Request,
    /// The newest hold of the same request: by its id, or, where it has none, a released one with its hash.
    pub prior: Option<&'a Hold>,
    /// The [exposure](Channel::exposure) of the payer's other channels of this deployment. Only terms that limit it
    /// look at it.
    pub elsewhere: Amount,
    /// The exposure of all channels of the deployment before this sale, as far as it is known. Only terms that limit it look
    /// at it.
    pub in_all: Amount,
}

/// What a sale led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sold {
    /// A new hold. `retries` names the released hold whose repetition this is: it becomes [`HoldState::Retried`].
    New {
        /// The new hold.
        hold: Hold,
        /// The hold it takes over from.
        retries: Option<HoldId>,
    },
    /// The request was charged before; nothing is charged now.
    Again(Hold),
}

/// Reserves the price for a call. On a refusal nothing changes.
///
/// # Errors
/// The [`Refusal`] that a payer gets, tested in the order a payer can mend them: channel, voucher, money, our limits.
pub fn hold(channel: &Channel, epoch: &mut Epoch, sale: &Sale<'_>, terms: &Terms) -> Result<Sold, Refusal> {
    must_be_open(channel)?;
    if sale.voucher.epoch != epoch.number {
        return Err(Refusal::Epoch { current: epoch.number, got: sale.voucher.epoch });
    }
    let retries = match sale.prior {
        None => None,
        Some(prior) if prior.request.hash != sale.request.hash => {
            return Err(Refusal::RequestReused);
        }
        Some(prior) => match prior.state {
            HoldState::Held => return Err(Refusal::Busy),
            HoldState::Captured => return Ok(Sold::Again(prior.clone())),
            HoldState::Released => Some(prior.id),
            HoldState::Retried => None,
        },
    };
    let authorised = authorise(epoch, sale, terms, retries.is_some())?;
    let credit = authorised.saturating_sub(epoch.spent).saturating_sub(epoch.held);
    if credit < sale.price {
        return Err(Refusal::Unpaid { price: sale.price, credit });
    }
    let (deposit, pending) = (channel.facts.deposit, channel.facts.pending);
    if deposit < terms.min_deposit {
        return Err(Refusal::SmallDeposit { deposit, pending, least: terms.min_deposit });
    }
    if authorised > deposit {
        return Err(Refusal::OverDeposit { wanted: authorised, deposit, pending });
    }
    let held = epoch.held.saturating_add(sale.price);
    within_limits(channel, authorised, held, sale, terms)?;
    let more = authorised.saturating_sub(epoch.authorised);
    let wanted = sale.in_all.saturating_add(more);
    // What is bought from credit adds nothing.
    if terms.limits_total() && !more.is_zero() && wanted > terms.max_total_exposure {
        return Err(Refusal::TotalExposure { wanted, limit: terms.max_total_exposure });
    }

    if authorised > epoch.authorised {
        epoch.authorised = authorised;
        epoch.voucher = Some((sale.voucher.amount, sale.voucher.signature));
    }
    epoch.held = held;
    let hold = Hold {
        id: sale.id,
        channel: channel.id,
        epoch: epoch.number,
        amount: sale.price,
        request: sale.request.clone(),
        state: HoldState::Held,
        captured: Amount::ZERO,
    };
    Ok(Sold::New { hold, retries })
}

/// Whether anything can be sold on a channel at all: the first test of [`hold`].
///
/// # Errors
/// [`Refusal::Unknown`], [`Refusal::NotOpen`] or [`Refusal::Unconfirmed`].
pub fn must_be_open(channel: &Channel) -> Result<(), Refusal> {
    match channel.facts.status {
        Status::Absent => Err(Refusal::Unknown),
        Status::Open if channel.agreed_close.is_some() => Err(Refusal::NotOpen),
        Status::Open if !channel.facts.confirmed => Err(Refusal::Unconfirmed),
        Status::Open => Ok(()),
        Status::Closing { .. } | Status::Closed => Err(Refusal::NotOpen),
    }
}

/// Whether we risk no more than the terms say.
fn within_limits(
    channel: &Channel,
    authorised: Amount,
    held: Amount,
    sale: &Sale<'_>,
    terms: &Terms,
) -> Result<(), Refusal> {
    let exposure = authorised.saturating_sub(channel.facts.claimed);
    if exposure > terms.max_exposure {
        return Err(Refusal::Exposure { wanted: exposure, limit: terms.max_exposure });
    }
    let of_payer = exposure.saturating_add(sale.elsewhere);
    if terms.limits_payers() && of_payer > terms.max_payer_exposure {
        return Err(Refusal::PayerExposure { wanted: of_payer, limit: terms.max_payer_exposure });
    }
    if held > terms.max_held {
        return Err(Refusal::Held { wanted: held, limit: terms.max_held });
    }
    Ok(())
}

/// What is authorised with this voucher, if it steps as the terms demand.
fn authorise(epoch: &Epoch, sale: &Sale<'_>, terms: &Terms, is_retry: bool) -> Result<Amount, Refusal> {
    let got = sale.voucher.amount;
    let seen = got <= epoch.authorised;
    let too_large = || Refusal::Amount { expected: Amount::MAX, got };
    match terms.step {
        Step::Any => {}
        Step::FromAuthorised if got == epoch.authorised => {}
        Step::FromAuthorised => {
            let expected = epoch.authorised.checked_add(sale.price).ok_or_else(too_large)?;
            if got != expected {
                return Err(Refusal::Amount { expected, got });
            }
        }
        Step::FromSpent => {
            if !epoch.held.is_zero() {
                return Err(Refusal::Busy);
            }
            let expected = epoch.spent.checked_add(sale.price).ok_or_else(too_large)?;
            if got != expected {
                return Err(Refusal::Amount { expected, got });
            }
        }
    }
    if seen {
        if got <= epoch.published {
            // A voucher over nothing is never published: it is the payer, who asks what we hold.
            return Err(if got.is_zero() { Refusal::Replayed } else { Refusal::Published });
        }
        if terms.step != Step::Any && !is_retry {
            return Err(Refusal::Replayed);
        }
        return Ok(epoch.authorised);
    }
    let least = epoch.authorised.checked_add(terms.min_delta).ok_or_else(too_large)?;
    if got < least {
        return Err(Refusal::Amount { expected: least, got });
    }
    Ok(got)
}

/// What a capture took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Charged by this call of [`capture`].
    pub taken: Amount,
    /// Served, but no longer to be had: the hold was released before and its credit is gone.
    pub lost: Amount,
}

/// Charges a hold: at most its amount; what remains is credit again. Repeating it changes nothing, and it never fails.
///
/// A hold that was released in between (its front was away too long) takes the credit that is left, and once a close
/// was agreed, only what that leaves.
pub fn capture(channel: &Channel, epoch: &mut Epoch, hold: &mut Hold, actual: Amount) -> Capture {
    let due = actual.min(hold.amount);
    let taken = match hold.state {
        HoldState::Captured => {
            return Capture { taken: Amount::ZERO, lost: Amount::ZERO };
        }
        HoldState::Held => {
            epoch.held = epoch.held.saturating_sub(hold.amount);
            due
        }
        HoldState::Released | HoldState::Retried => due.min(channel.collectable(epoch)),
    };
    epoch.spent = epoch.spent.saturating_add(taken);
    hold.state = HoldState::Captured;
    hold.captured = taken;
    Capture { taken, lost: due.saturating_sub(taken) }
}

/// Gives a hold back: its amount is credit again. Only a hold that is held changes, so repeating it is harmless.
pub fn release(epoch: &mut Epoch, hold: &mut Hold) {
    if hold.state == HoldState::Held {
        epoch.held = epoch.held.saturating_sub(hold.amount);
        hold.state = HoldState::Released;
    }
}

/// [`hold`] and [`capture`] in one, for what cannot fail.
///
/// # Errors
/// As [`hold`].
pub fn charge(channel: &Channel, epoch: &mut Epoch, sale: &Sale<'_>, terms: &Terms) -> Result<Sold, Refusal> {
    let mut sold = hold(channel, epoch, sale, terms)?;
    if let Sold::New { hold, .. } = &mut sold {
        capture(channel, epoch, hold, sale.price);
    }
    Ok(sold)
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
