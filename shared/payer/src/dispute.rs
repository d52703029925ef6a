//! What a 402 to a voucher means, and what is believed of it.
//!
//! A server may say that it holds less than we signed: that costs nothing, what was signed stays the most it can claim. That
//! it holds more, it must prove with our own signature.

use channel::Amount;
use http::HeaderMap;

use crate::call::Call;
use crate::client::Inner;
use crate::error::PayerError;
use crate::log::{Entry, What};
use crate::pay::no_such;
use crate::rdn::{self, Challenge, Failure, Voucher};
use crate::refusal::ServerRefusal;
use crate::state::{ChannelKey, Closing};

impl Inner {
    /// Mends what a 402 says is wrong with a voucher, so that it can be tried again.
    ///
    /// # Errors
    /// What cannot be mended.
    pub(crate) async fn refused(
        &self,
        call: &mut Call,
        voucher: &Voucher,
        challenge: &Challenge,
        headers: &HeaderMap,
    ) -> Result<(), PayerError> {
        match challenge.failure {
            Failure::NoChannel => self.missing(call, voucher, challenge).await,
            Failure::Unconfirmed => {
                let why = "it has not seen enough confirmations of the channel's opening; try again later";
                call.wait(&self.settings.patience, &challenge.because(why.to_owned())).await
            }
            Failure::BadProof => self.uncovered(call, voucher, challenge).await,
            Failure::None | Failure::BadAmount => self.disagreed(call, voucher, challenge, headers).await,
        }
    }

    /// The server knows no such channel: perhaps it is gone, perhaps the server has not seen it yet.
    async fn missing(&self, call: &mut Call, voucher: &Voucher, challenge: &Challenge) -> Result<(), PayerError> {
        let key = voucher.channel;
        match self.chain.info(&key).await? {
            None => {
                call.correct()?;
                self.forget(&key).await
            }
            Some(info) => match info.closing {
                Some((balance, _)) => {
                    call.correct()?;
                    self.mark_closing(&key, Closing { balance, signature: None }).await
                }
                None => {
                    let why = format!("it knows no channel {key}, which is open on chain; ask `sluice doctor {key}`");
                    call.wait(&self.settings.patience, &challenge.because(why)).await
                }
            },
        }
    }

    /// The server says that the voucher is not ours, or not covered. Ours it is; is it covered?
    async fn uncovered(&self, call: &mut Call, voucher: &Voucher, challenge: &Challenge) -> Result<(), PayerError> {
        let (key, price) = (voucher.channel, challenge.offer.price);
        let Some(info) = self.chain.info(&key).await? else {
            call.correct()?;
            return self.forget(&key).await;
        };
        let channel = self.store.read(move |state| state.channel(&key).cloned()).await.ok_or_else(|| no_such(&key))?;
        let reason = challenge.refusal.as_ref().map_or("", ServerRefusal::reason);
        if matches!(reason, "exposure" | "payer_exposure") {
            let why = "it takes no more before it has claimed what it is owed".to_owned();
            return Err(PayerError::refused(challenge.because(why)));
        }
        // Some sellers want a channel to hold more than what is paid from it.
        let least = challenge.refusal.as_ref().and_then(|refusal| refusal.number("needed"));
        let needed = least.filter(|_| reason == "small_deposit").unwrap_or_default().max(voucher.balance);
        if info.deposit < needed {
            call.correct()?;
            return self.add_deposit(call, &channel, price, needed).await.map(|_| ());
        }
        let why = format!(
            "it takes no voucher of {}, although the chain shows a deposit of {}; ask `sluice doctor {key}`",
            voucher.balance, info.deposit
        );
        call.wait(&self.settings.patience, &challenge.because(why)).await
    }

    /// The server holds another balance than we thought.
    async fn disagreed(
        &self,
        call: &mut Call,
        voucher: &Voucher,
        challenge: &Challenge,
        headers: &HeaderMap,
    ) -> Result<(), PayerError> {
        let is_plain = challenge.failure == Failure::None;
        let Some(held) = rdn::held(headers, voucher.payer, &voucher.channel)? else {
            return Err(match is_plain {
                true => PayerError::refused(
                    challenge.because("it ignored the payment; does a proxy remove the RDN headers?".to_owned()),
                ),
                false => PayerError::lied("it wants another amount, and does not say what it holds"),
            });
        };
        let signed_now = call.signed == Some(voucher.balance);
        if held.balance > voucher.balance && !held.proven {
            return Err(PayerError::lied(format!("it claims to hold {}, and shows no signature", held.balance)));
        }
        if held.balance == voucher.balance {
            if !is_plain {
                return Err(PayerError::lied(format!("it holds {}, and refuses that very amount", held.balance)));
            }
            self.adopt(&voucher.channel, held.balance).await?;
            return match signed_now {
                true => Err(PayerError::TakenNotServed { balance: held.balance }),
                false => call.correct(),
            };
        }
        if is_plain && held.balance < voucher.balance {
            // How the original server says that a voucher is above the confirmed deposit.
            return self.uncovered(call, voucher, challenge).await;
        }
        if signed_now && held.balance.checked_add(challenge.offer.price) == Some(voucher.balance) {
            return Err(PayerError::lied(format!("it refuses {}, which is exactly what it asks for", voucher.balance)));
        }
        call.correct()?;
        self.adopt(&voucher.channel, held.balance).await
    }

    /// Believes that the server holds `balance` of a channel.
    pub(crate) async fn adopt(&self, key: &ChannelKey, balance: Amount) -> Result<(), PayerError> {
        let key = *key;
        self.store
            .update(move |state| {
                let channel = state.channel_mut(&key).ok_or_else(|| no_such(&key))?;
                let (signed, host) = (channel.balance, channel.host.clone());
                if balance == signed && channel.in_doubt {
                    // Taken, for a request that got no answer.
                    let unserved = balance.saturating_sub(channel.acknowledged);
                    channel.unserved = channel.unserved.saturating_add(unserved);
                }
                (channel.balance, channel.acknowledged, channel.in_doubt) = (balance, balance, false);
                let amount = signed.saturating_sub(balance);
                if amount.is_zero() {
                    return Ok(((), None));
                }
                if let Some(host) = host {
                    state.spending.take_back(&host, amount);
                }
                Ok(((), Some(Entry::now(key, What::Returned { amount, balance }))))
            })
            .await
    }

    /// Drops a channel that the chain does not know (any more).
    pub(crate) async fn forget(&self, key: &ChannelKey) -> Result<(), PayerError> {
        let key = *key;
        self.store
            .update(move |state| {
                let Some(channel) = state.channel(&key).cloned() else { return Ok(((), None)) };
                state.forget(&key);
                let amount = channel.balance.saturating_sub(channel.acknowledged);
                let (true, Some(host)) = (!amount.is_zero(), &channel.host) else { return Ok(((), None)) };
                state.spending.take_back(host, amount);
                let balance = channel.acknowledged;
                Ok(((), Some(Entry::now(key, What::Returned { amount, balance }))))
            })
            .await
    }

    /// Pays nothing more from a channel.
    pub(crate) async fn mark_closing(&self, key: &ChannelKey, closing: Closing) -> Result<(), PayerError> {
        let key = *key;
        self.store
            .update(move |state| {
                state.channel_mut(&key).ok_or_else(|| no_such(&key))?.closing = Some(closing);
                Ok(((), None))
            })
            .await
    }
}
