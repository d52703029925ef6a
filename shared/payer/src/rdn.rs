//! The client's side of µRaiden's dialect: `RDN-*` headers out, the meaning of the answer in. Pure.

use alloy_primitives::{Address, hex};
use channel::{Amount, Key, Signature};
use contracts::raiden;
use http::{HeaderMap, HeaderName, HeaderValue};
use protocols::raiden as header;

use crate::error::PayerError;
use crate::refusal::ServerRefusal;
use crate::state::{ChannelKey, Offer};

/// A signed cumulative amount, as one request carries it.
#[derive(Clone, Debug)]
pub(crate) struct Voucher {
    pub(crate) payer: Address,
    pub(crate) channel: ChannelKey,
    pub(crate) balance: Amount,
    pub(crate) signature: Signature,
}

impl Voucher {
    /// Signs for so much in all.
    pub(crate) fn sign(key: &Key, channel: ChannelKey, balance: Amount) -> Voucher {
        let signature = key.sign(digest(&channel, balance));
        Voucher { payer: key.address(), channel, balance, signature }
    }
}

/// A 402: what is asked, and what is wrong with what was sent.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    pub(crate) offer: Offer,
    pub(crate) failure: Failure,
    /// What one of our own fronts says about it.
    pub(crate) refusal: Option<ServerRefusal>,
}

impl Challenge {
    /// A reason of ours, and the server's own words if there are any.
    pub(crate) fn because(&self, why: String) -> String {
        match &self.refusal {
            Some(refusal) => format!("{why}; it says {refusal}"),
            None => why,
        }
    }
}

/// What a 402 says about the voucher it answers. At most one; tested in the order of the original client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing: pay, or the voucher was seen before.
    None,
    /// The channel is unknown, closing or closed.
    NoChannel,
    /// The opening is not deep enough yet.
    Unconfirmed,
    /// Not signed by us, or more than is deposited and confirmed.
    BadProof,
    /// Not what the server holds plus the price.
    BadAmount,
}

/// The cumulative amount the server says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) balance: Amount,
    /// Whether it showed our signature over it. One that does not verify is an error, not `false`.
    pub(crate) proven: bool,
}

/// The header fields that carry a voucher.
pub(crate) fn payment(voucher: &Voucher) -> HeaderMap {
    let ChannelKey { contract, receiver, open_block } = voucher.channel;
    HeaderMap::from_iter([
        (header::CONTRACT, text(&contract.to_checksum(None))),
        (header::RECEIVER, text(&receiver.to_checksum(None))),
        (header::SENDER, text(&voucher.payer.to_checksum(None))),
        (header::OPEN_BLOCK, text(&open_block.to_string())),
        (header::BALANCE, text(&voucher.balance.to_string())),
        (header::SIGNATURE, text(&hex::encode_prefixed(voucher.signature.as_bytes()))),
    ])
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("hex and decimal digits are visible ASCII")
}

/// Reads a 402.
///
/// # Errors
/// [`PayerError::Refused`] when it asks for nothing that we could pay.
pub(crate) fn challenge(headers: &HeaderMap) -> Result<Challenge, PayerError> {
    let failure = [
        (header::NONEXISTING_CHANNEL, Failure::NoChannel),
        (header::UNCONFIRMED, Failure::Unconfirmed),
        (header::INVALID_PROOF, Failure::BadProof),
        (header::INVALID_AMOUNT, Failure::BadAmount),
    ];
    let failure = failure.iter().find(|(name, _)| headers.contains_key(name)).map_or(Failure::None, |(_, f)| *f);
    Ok(Challenge { offer: Offer::of(headers)?, failure, refusal: ServerRefusal::of(headers) })
}

impl Offer {
    /// What the headers of a 402 ask.
    ///
    /// # Errors
    /// [`PayerError::Refused`] when it is nothing that we could pay.
    pub fn of(headers: &HeaderMap) -> Result<Offer, PayerError> {
        let price: Amount = required(headers, &header::PRICE)?;
        if price.is_zero() {
            return Err(PayerError::refused("it asks for a payment of 0, which no voucher can add"));
        }
        Ok(Offer {
            contract: required(headers, &header::CONTRACT)?,
            receiver: required(headers, &header::RECEIVER)?,
            token: field(headers, &header::TOKEN)?,
            price,
            api_path: headers.get(&header::GATEWAY).and_then(|path| path.to_str().ok()).map(str::to_owned),
        })
    }
}

/// What the server holds of our channel; `None` when it does not say.
///
/// # Errors
/// [`PayerError::Lied`] when it shows a signature over that amount that is not ours, or no number at all.
pub(crate) fn held(headers: &HeaderMap, payer: Address, channel: &ChannelKey) -> Result<Option<Held>, PayerError> {
    let Some(balance) = headers.get(&header::SENDER_BALANCE) else { return Ok(None) };
    let balance: Option<Amount> = balance.to_str().ok().and_then(|text| text.trim().parse().ok());
    let balance = balance.ok_or_else(|| PayerError::lied("it holds a balance that is no number"))?;
    let Some(signature) = headers.get(&header::SIGNATURE) else { return Ok(Some(Held { balance, proven: false })) };
    let signature = signature.to_str().ok().and_then(|text| hex::decode(text.trim()).ok());
    let signature = signature.and_then(|bytes| Signature::parse(&bytes).ok());
    match signature.map(|signature| signature.verify(digest(channel, balance), payer)) {
        Some(Ok(())) => Ok(Some(Held { balance, proven: true })),
        _ => Err(PayerError::lied(format!("it claims to hold {balance}, with a signature that is not ours"))),
    }
}

/// What the payer signs.
pub(crate) fn digest(channel: &ChannelKey, balance: Amount) -> alloy_primitives::B256 {
    let balance = alloy_primitives::aliases::U192::from(balance.units());
    raiden::balance_proof_digest(channel.contract, channel.receiver, channel.open_block, balance)
}

fn required<T: std::str::FromStr>(headers: &HeaderMap, name: &HeaderName) -> Result<T, PayerError> {
    field(headers, name)?.ok_or_else(|| PayerError::refused(format!("it asks for a payment we do not know: no {name}")))
}

fn field<T: std::str::FromStr>(headers: &HeaderMap, name: &HeaderName) -> Result<Option<T>, PayerError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let value = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    value.map(Some).ok_or_else(|| PayerError::refused(format!("its {name} makes no sense")))
}
