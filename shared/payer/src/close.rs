//! The end of a channel: with the receiver's consent at once, alone after the challenge period.

use std::time::Duration;

use alloy_primitives::{B256, Bytes, hex};
use channel::{Amount, Signature};
use contracts::raiden;
use http::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;

use crate::chain::OnChain;
use crate::client::{Inner, Payer};
use crate::error::PayerError;
use crate::log::{Entry, What};
use crate::pay::no_such;
use crate::state::{Channel, ChannelKey, Closing};

/// The most an answer to a close may be, in bytes.
const ANSWER_MAX: usize = 64 << 10;
/// The pause before a busy server is asked again, if it does not say.
const PAUSE: Duration = Duration::from_secs(1);

/// A transaction about a channel's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Ended {
    /// The channel.
    pub channel: ChannelKey,
    /// What the receiver gets, or got, in all.
    pub balance: Amount,
    /// What the payer gets back.
    pub refund: Amount,
    /// The transaction.
    pub transaction: B256,
}

#[derive(Deserialize)]
struct Consent {
    close_signature: Bytes,
}

impl Payer {
    /// Closes a channel at once, with the receiver's consent. `api` is where its server's channel API is, such as
    /// `https://host/api/1`; without it, the address that the server named when it was paid last.
    ///
    /// What was paid for requests that were never answered is asked back first. Interrupted, it goes on where it was.
    ///
    /// # Errors
    /// [`PayerError::Refused`] when the server does not consent, [`PayerError::Lied`] when its signature is no consent;
    /// [`PayerError::Channel`] when there is nothing to close; [`PayerError::Chain`].
    pub async fn close(&self, key: &ChannelKey, api: Option<&str>) -> Result<Ended, PayerError> {
        let lane = self.0.lane(key.contract, key.receiver);
        let _alone = lane.lock().await;
        let channel = self.0.known(key).await?;
        let on_chain = self.0.on_chain(key).await?;
        let (balance, consent) = match self.0.consented(&channel) {
            Some(agreed) => agreed,
            None => self.0.agree(&channel, api).await?,
        };
        let receipt = self.0.chain.close(key, balance, &consent).await?;
        self.0.ended(key, balance, on_chain.deposit, receipt.hash).await
    }

    /// Asks the chain to close a channel without the receiver, at `balance` or else at what was signed last. The receiver
    /// may answer with a higher voucher of ours during the challenge period; then [`Payer::settle`].
    ///
    /// # Errors
    /// [`PayerError::Channel`] when there is nothing to close, or more is named than was deposited; [`PayerError::Chain`].
    pub async fn close_alone(&self, key: &ChannelKey, balance: Option<Amount>) -> Result<Ended, PayerError> {
        let lane = self.0.lane(key.contract, key.receiver);
        let _alone = lane.lock().await;
        let channel = self.0.known(key).await?;
        let on_chain = self.0.on_chain(key).await?;
        if let Some((_, until)) = on_chain.closing {
            return Err(PayerError::Channel(format!("{key} is closing: settle it after block {until}")));
        }
        let balance = balance.unwrap_or(channel.balance);
        let refund = on_chain.deposit.checked_sub(balance);
        let refund = refund.ok_or_else(|| PayerError::Channel(format!("{key} holds only {}", on_chain.deposit)))?;
        let receipt = self.0.chain.request_close(key, balance).await?;
        let (key, transaction) = (*key, receipt.hash);
        self.0
            .store
            .update(move |state| {
                let channel = state.channel_mut(&key).ok_or_else(|| no_such(&key))?;
                channel.closing = Some(Closing { balance, signature: None });
                Ok(((), Some(Entry::now(key, What::CloseRequested { balance, transaction }))))
            })
            .await?;
        Ok(Ended { channel: key, balance, refund, transaction })
    }

    /// Takes back what is left of a channel that was closed alone, once the challenge period is over.
    ///
    /// # Errors
    /// [`PayerError::Channel`] when it is not closing, or not yet; [`PayerError::Chain`].
    pub async fn settle(&self, key: &ChannelKey) -> Result<Ended, PayerError> {
        let lane = self.0.lane(key.contract, key.receiver);
        let _alone = lane.lock().await;
        let on_chain = self.0.on_chain(key).await?;
        let Some((balance, until)) = on_chain.closing else {
            return Err(PayerError::Channel(format!("{key} is not closing: close it first")));
        };
        let head = self.0.chain.head().await?;
        // Mined in the next block at the earliest, which must be after the last one that the receiver may answer in.
        if head < until.into() {
            return Err(PayerError::Channel(format!("{key} settles after block {until}; the head is {head}")));
        }
        let receipt = self.0.chain.settle(key).await?;
        self.0.ended(key, balance, on_chain.deposit, receipt.hash).await
    }
}

impl Inner {
    async fn on_chain(&self, key: &ChannelKey) -> Result<OnChain, PayerError> {
        match self.chain.info(key).await? {
            Some(info) => Ok(info),
            None => {
                self.forget(key).await?;
                Err(PayerError::Channel(format!("{key} is settled, or never was: the chain does not know it")))
            }
        }
    }

    /// The consent that we hold already.
    fn consented(&self, channel: &Channel) -> Option<(Amount, Signature)> {
        let closing = channel.closing.as_ref()?;
        Some((closing.balance, Signature::parse(closing.signature.as_ref()?).ok()?))
    }

    /// Gets the receiver's consent, to the least it may consent to, and stores it.
    async fn agree(&self, channel: &Channel, api: Option<&str>) -> Result<(Amount, Signature), PayerError> {
        let unknown =
            || PayerError::Channel(format!("where to ask about {} is not known: name the server", channel.key));
        let api = api.or(channel.api.as_deref()).ok_or_else(unknown)?;
        let api = reqwest::Url::parse(api).map_err(|_| PayerError::BadRequest(format!("{api} is no URL")))?;
        // The least first: what is in doubt or was never answered may not have been sold.
        let least = channel.acknowledged.saturating_sub(channel.unserved);
        let mut candidates = vec![least, channel.acknowledged, channel.balance];
        candidates.dedup();
        let mut answer = String::new();
        for balance in candidates {
            match self.ask_consent(&api, &channel.key, balance).await? {
                Ok(consent) => {
                    let signature = Some(Bytes::copy_from_slice(consent.as_bytes()));
                    self.mark_closing(&channel.key, Closing { balance, signature }).await?;
                    return Ok((balance, consent));
                }
                Err(words) => answer = words,
            }
        }
        let hint = match channel.in_doubt && channel.host.is_none() {
            true => format!("what was paid is not known: `sluice channel close {} --ask URL` learns it", channel.key),
            false => format!("to close alone: `sluice channel close {} --alone`", channel.key),
        };
        Err(PayerError::refused(format!("it does not agree to close ({answer}); {hint}")))
    }

    /// Asks for the consent to `balance`: it, or the server's words of refusal.
    async fn ask_consent(
        &self,
        api: &reqwest::Url,
        key: &ChannelKey,
        balance: Amount,
    ) -> Result<Result<Signature, String>, PayerError> {
        let mut url = api.clone();
        let path = format!("{}/channels/{}/{}", api.path().trim_end_matches('/'), self.key.address(), key.open_block);
        url.set_path(&path);
        let (status, body) = self.delete(url, format!("balance={balance}")).await?;
        if status != StatusCode::OK {
            let words: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            return Ok(Err(format!("{status}: {}", words.trim())));
        }
        let consent = serde_json::from_slice::<Consent>(&body).ok();
        let consent = consent.and_then(|consent| Signature::parse(&consent.close_signature).ok());
        let wide = alloy_primitives::aliases::U192::from(balance.units());
        let digest = raiden::closing_digest(key.contract, self.key.address(), key.open_block, wide);
        match consent.filter(|signature| signature.verify(digest, key.receiver).is_ok()) {
            Some(signature) => Ok(Ok(signature)),
            None => Err(PayerError::lied(format!("what it calls a closing signature for {balance} is none"))),
        }
    }

    async fn delete(&self, url: reqwest::Url, form: String) -> Result<(StatusCode, Vec<u8>), PayerError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let lost = |source: Option<reqwest::Error>| {
            let source = source.map(reqwest::Error::without_url);
            PayerError::Unreachable { host: host.clone(), source }
        };
        let by = Instant::now() + self.settings.patience.busy;
        loop {
            let request = self.http().delete(url.clone()).body(form.clone());
            let request = request.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            let exchange = async {
                let mut response = request.send().await?;
                let mut body = Vec::new();
                while let Some(chunk) = response.chunk().await? {
                    body.extend_from_slice(&chunk);
                    if body.len() > ANSWER_MAX {
                        break;
                    }
                }
                Ok((response.status(), body))
            };
            let answer = tokio::time::timeout(self.settings.patience.answer, exchange).await;
            let (status, body) = answer.map_err(|_| lost(None))?.map_err(|error| lost(Some(error)))?;
            // The wallet that signs is away, or was too slow: the same request gets the same signature.
            if status == StatusCode::SERVICE_UNAVAILABLE && Instant::now() + PAUSE < by {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            return Ok((status, body));
        }
    }

    async fn ended(
        &self,
        key: &ChannelKey,
        balance: Amount,
        deposit: Amount,
        transaction: B256,
    ) -> Result<Ended, PayerError> {
        let key = *key;
        self.store
            .update(move |state| {
                state.forget(&key);
                Ok(((), Some(Entry::now(key, What::Closed { balance, transaction }))))
            })
            .await?;
        tracing::info!(channel.key = %key, %balance, tx.hash = %hex::encode_prefixed(transaction), "channel closed");
        Ok(Ended { channel: key, balance, refund: deposit.saturating_sub(balance), transaction })
    }
}
