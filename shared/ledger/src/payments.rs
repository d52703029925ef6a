//! Selling, settling, and holds that nobody settles.

use std::sync::Arc;
use std::time::Duration;

use channel::{
    Amount, Capture, Channel, ChannelId, CloseRefusal, Epoch, Hold, HoldId, Refusal, Request, Signature, Sold, Terms,
    VerifiedVoucher, View,
};
use futures::future::join_all;

use crate::writer::{Agree, Ending, Entry, Publish, Settle, Which};
use crate::{Ledger, LedgerError, rows};

/// What is to be sold.
#[derive(Clone, Debug)]
pub struct Order {
    /// The deployment that the route sells through. A channel of another one is unknown to it.
    pub deployment: Arc<str>,
    /// What is sold: its name in [`Ledger::sales`].
    pub route: Arc<str>,
    /// What pays.
    pub voucher: VerifiedVoucher,
    /// What is asked, in base units.
    pub price: Amount,
    /// What the deployment demands of vouchers.
    pub terms: Terms,
    /// The call.
    pub request: Request,
    /// When it is charged.
    pub settle: When,
}

/// When a sale is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once, in the same commit: for what cannot fail.
    Now,
    /// When the call is over: the price is held until [`Ledger::settle`].
    Later,
}

/// A sale that is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The hold, new or from before.
    pub sold: Sold,
    /// The channel after the sale.
    pub view: View,
}

/// Why nothing was sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason, with numbers.
    pub refusal: Refusal,
    /// The channel as it is; `None` when there is none.
    pub view: Option<View>,
}

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The call was served: charge this much, at most the hold.
    Capture(Amount),
    /// It was not: give the hold back.
    Release,
}

/// Expired holds that one call of [`Ledger::release_expired`] ends.
const EXPIRED_MAX: i64 = 500;

impl Ledger {
    /// Sells, by the rules of [`channel::hold`] and [`channel::charge`], and answers once that is committed.
    ///
    /// A refusal is an answer: `Ok(Err(Refused))`. A hold of unknown outcome must not be renewed; it ends by itself.
    ///
    /// # Errors
    /// [`LedgerError::OutcomeUnknown`]: it may or may not be sold; serve nothing. Any other: nothing happened.
    pub async fn sell(&self, order: Order) -> Result<Result<Receipt, Refused>, LedgerError> {
        self.inner.writer.ask(Entry::Sell, order).await
    }

    /// Ends a hold. Repeating it is harmless, so the caller repeats it until there is an answer. A hold that was charged and
    /// has no name is forgotten; ending it again takes nothing, as ending any other one again.
    ///
    /// A hold that expired in between is charged from the credit that is left; [`Capture::lost`] says what was gone.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`]: it is another channel's, and repeating will not help.
    pub async fn settle(&self, hold: &Hold, settlement: Settlement) -> Result<Capture, LedgerError> {
        let ending = match settlement {
            Settlement::Capture(actual) => Ending::Capture(actual),
            Settlement::Release => Ending::Release,
        };
        let settle = Settle { channel: hold.channel, hold: hold.id, ending };
        let capture = self.inner.writer.insist(Entry::Settle, settle).await?;
        if !capture.lost.is_zero() {
            metrics::counter!("ledger_captures_short_total").increment(1);
            let (channel, lost) = (hold.channel, capture.lost);
            tracing::warn!(channel.id = %channel, %lost, "a call was served, but its hold had expired");
        }
        Ok(capture)
    }

    /// Gives holds that are still held another `hold_ttl`. Returns how many they were.
    ///
    /// # Errors
    /// When the database is away. Then nobody releases holds either, for as long as they live.
    pub async fn renew(&self, holds: &[HoldId]) -> Result<usize, LedgerError> {
        let ids: Vec<_> = holds.iter().map(|id| rows::uuid(*id)).collect();
        let ttl = self.inner.settings.hold_ttl().as_secs_f64();
        // What is locked is just being settled; waiting for it would be the only way to a deadlock.
        let sql = "-- renew
            UPDATE holds SET expires_at = clock_timestamp() + make_interval(secs => $2)
            WHERE (id, created_at) IN (
                SELECT id, created_at FROM holds WHERE id = ANY($1) AND state = 'held' FOR UPDATE SKIP LOCKED
            ) RETURNING id";
        let renewed = self.inner.database.write("renew", sql, &[&ids, &ttl]).await;
        renewed.map(|rows| rows.len()).inspect_err(|_| self.inner.calm.disturb())
    }

    /// Releases holds whose front no longer renews them, whoever made them. Returns how many were released or found
    /// settled meanwhile. Does nothing until the database has answered for one `hold_ttl`: before that, their fronts
    /// may have had no way to renew them.
    ///
    /// # Errors
    /// When the database is away; what was not released now is released later.
    pub async fn release_expired(&self) -> Result<usize, LedgerError> {
        if !self.inner.calm.lasts(self.inner.settings.hold_ttl()) {
            return Ok(0);
        }
        let sql = "-- expired
            SELECT id, channel FROM holds WHERE state = 'held' AND expires_at <= now() ORDER BY expires_at LIMIT $1";
        let expired = self.inner.database.read("expired", sql, &[&EXPIRED_MAX]).await;
        let expired = expired.inspect_err(|_| self.inner.calm.disturb())?;
        let settles = expired.iter().map(|row| {
            let (hold, channel) = (rows::hold_id(rows::get(row, 0)?), rows::channel_id(row, 1)?);
            Ok(Settle { channel, hold, ending: Ending::Expire })
        });
        let settles: Vec<_> = settles.collect::<Result<_, LedgerError>>()?;
        let ended = join_all(settles.into_iter().map(|settle| self.inner.writer.insist(Entry::Settle, settle))).await;
        let ended: Vec<Capture> = ended.into_iter().collect::<Result<_, _>>()?;
        metrics::counter!("ledger_holds_expired_total").increment(ended.len() as u64);
        Ok(ended.len())
    }

    /// Agrees to close a channel with this final amount, by the rules of [`channel::agree_close`]. Once it is committed
    /// nothing is sold on the channel, and a closing signature may be given. Asked again, it agrees again.
    ///
    /// # Errors
    /// [`LedgerError::OutcomeUnknown`]: sign nothing, ask again. Any other: nothing happened.
    pub async fn agree_close(
        &self,
        channel: ChannelId,
        amount: Amount,
    ) -> Result<Result<(Channel, Epoch), CloseRefusal>, LedgerError> {
        self.inner.writer.insist(Entry::Agree, Agree { channel, amount }).await
    }

    /// Notes that vouchers up to `amount` can be read in calldata: they buy nothing any more. Before it is broadcast.
    ///
    /// # Errors
    /// [`LedgerError::OutcomeUnknown`]: broadcast nothing, ask again. [`LedgerError::NotFound`]: no such channel.
    pub async fn publish(&self, channel: ChannelId, amount: Amount) -> Result<(), LedgerError> {
        let which = Which::UpTo(amount);
        self.inner.writer.insist(Entry::Publish, Publish { channel, which }).await.map(drop)
    }

    /// Notes the same of all vouchers of a channel, and returns the newest: it is committed before any newer one comes.
    /// With `if_quiet` only if no call is in flight and no credit is left: a payer whose call fails sends the same voucher
    /// again, and that would buy nothing. `None`: it is not quiet, a close was asked for or agreed to, or there is no voucher.
    ///
    /// # Errors
    /// As [`Ledger::publish`].
    pub async fn publish_newest(
        &self,
        channel: ChannelId,
        if_quiet: bool,
    ) -> Result<Option<(Amount, Signature)>, LedgerError> {
        let which = if if_quiet { Which::AllIfQuiet } else { Which::All };
        self.inner.writer.insist(Entry::Publish, Publish { channel, which }).await
    }

    /// How long a hold lives unless it is renewed. Renew at a third of it.
    pub fn hold_ttl(&self) -> Duration {
        self.inner.settings.hold_ttl()
    }
}
