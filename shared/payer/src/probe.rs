//! Asking a server what it holds, with a voucher that can buy nothing.

use bytes::Bytes;
use channel::Amount;
use http::{Request, StatusCode};

use crate::call::{Call, Options};
use crate::client::Payer;
use crate::error::PayerError;
use crate::pay::api_address;
use crate::rdn::{self, Failure};
use crate::state::{ChannelKey, Offer};

/// What a server says about a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// In one word.
    pub verdict: Verdict,
    /// What the resource costs, and whom; `None` when it was not for sale.
    pub offer: Option<Offer>,
    /// Where the server's channel API is.
    pub api: Option<String>,
}

/// A server's view of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// It takes vouchers of it, and holds this much.
    Known {
        /// Cumulative.
        balance: Amount,
        /// With our signature.
        proven: bool,
    },
    /// It does not know it, or calls it closing or closed.
    NoChannel,
    /// It waits for confirmations.
    Unconfirmed,
    /// It does not accept our signature.
    BadProof,
    /// It was not a 402, or one that says nothing of a channel.
    Unclear {
        /// What it answered.
        status: u16,
    },
}

impl Payer {
    /// Asks a server what it holds of a channel, by a voucher of 0, and believes it as far as paying would: what was in doubt
    /// no longer is.
    ///
    /// # Errors
    /// [`PayerError::Unreachable`]; [`PayerError::Lied`]; [`PayerError::Channel`] for a channel that is not there.
    pub async fn probe(&self, key: &ChannelKey, request: Request<Bytes>) -> Result<Probe, PayerError> {
        let mut call = Call::new(request, Options::default())?;
        let lane = self.0.lane(key.contract, key.receiver);
        let _alone = lane.lock().await;
        let channel = self.0.known(key).await?;
        let voucher = self.0.sign(*key, Amount::ZERO);
        let response = self.0.send(&mut call, Some(&voucher)).await;
        let response = response.map_err(|source| PayerError::Unreachable { host: call.host.clone(), source })?;
        let status = response.status();
        if status != StatusCode::PAYMENT_REQUIRED {
            return Ok(Probe { verdict: Verdict::Unclear { status: status.as_u16() }, offer: None, api: None });
        }
        let challenge = rdn::challenge(response.headers())?;
        let verdict = match challenge.failure {
            Failure::NoChannel => Verdict::NoChannel,
            Failure::Unconfirmed => Verdict::Unconfirmed,
            Failure::BadProof => Verdict::BadProof,
            Failure::None | Failure::BadAmount => match rdn::held(response.headers(), voucher.payer, key)? {
                Some(held) => {
                    if channel.in_doubt && (held.proven || held.balance <= channel.balance) {
                        self.0.adopt(key, held.balance).await?;
                    }
                    Verdict::Known { balance: held.balance, proven: held.proven }
                }
                None => Verdict::Unclear { status: status.as_u16() },
            },
        };
        let api = api_address(&call, &challenge.offer);
        Ok(Probe { verdict, offer: Some(challenge.offer), api })
    }
}
