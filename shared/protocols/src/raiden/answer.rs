//! What we say: the base headers of every answer, at most one failure, and the payer's own state.

use channel::{Amount, Refusal, View};
use contracts::{Deployment, Opening};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{
    CONTRACT, GATEWAY, GATEWAY_PATH, INVALID_AMOUNT, INVALID_PROOF, NONEXISTING_CHANNEL, PRICE, RECEIVER, SENDER,
    SENDER_BALANCE, SIGNATURE, TOKEN, UNCONFIRMED,
};
use crate::{Answer, Offer, Reason, Refused};

pub(super) fn challenge(offer: &Offer<'_>, refused: Option<&Refused<'_>>) -> Answer {
    let mut answer = Answer::empty(StatusCode::PAYMENT_REQUIRED);
    answer.headers.extend(base(offer));
    if let Some(refused) = refused {
        if let Some(failure) = failure(refused) {
            answer.headers.insert(failure, HeaderValue::from_static("1"));
        }
        if let (Some(view), true) = (refused.view, may_see_state(refused.reason)) {
            answer.headers.extend(state(&refused.payment.opening, view));
        }
    }
    answer
}

pub(super) fn receipt(offer: &Offer<'_>, opening: &Opening, view: &View) -> HeaderMap {
    let mut headers = base(offer);
    headers.extend(state(opening, view));
    headers
}

/// The one header that tells the client what to do next; none makes it pay.
fn failure(refused: &Refused<'_>) -> Option<HeaderName> {
    let Reason::Rules(refusal) = refused.reason else { return Some(INVALID_PROOF) };
    match refusal {
        Refusal::Unknown | Refusal::NotOpen => Some(NONEXISTING_CHANNEL),
        Refusal::Unconfirmed => Some(UNCONFIRMED),
        // Adopting our balance and paying again mends it. Without a balance to adopt the client would crash.
        Refusal::Amount { .. } | Refusal::Epoch { .. } => refused.view.map(|_| INVALID_AMOUNT),
        Refusal::Unpaid { .. } if !is_last(refused) => refused.view.map(|_| INVALID_AMOUNT),
        // Only waiting mends these: for a top-up to confirm, for us to claim.
        Refusal::SmallDeposit { .. }
        | Refusal::OverDeposit { .. }
        | Refusal::Exposure { .. }
        | Refusal::PayerExposure { .. } => Some(INVALID_PROOF),
        // The last proof again: the plain 402 makes the client pay.
        Refusal::Unpaid { .. } | Refusal::Replayed | Refusal::Published => None,
        // The front's own to answer, never with a 402.
        Refusal::TotalExposure { .. }
        | Refusal::Held { .. }
        | Refusal::Busy
        | Refusal::RequestReused
        | Refusal::Stale => None,
    }
}

fn is_last(refused: &Refused<'_>) -> bool {
    refused.view.is_some_and(|view| Amount::try_from(refused.payment.amount) == Ok(view.authorised))
}

/// Whoever knows what only the payer signed. A published voucher proves nothing about who sends it.
fn may_see_state(reason: Reason<'_>) -> bool {
    match reason {
        Reason::Signature => false,
        Reason::Rules(refusal) => {
            !matches!(refusal, Refusal::Unknown | Refusal::NotOpen | Refusal::Unconfirmed | Refusal::Published)
        }
    }
}

/// The base headers but the price.
pub(super) fn letterhead(deployment: &Deployment) -> HeaderMap {
    HeaderMap::from_iter([
        (GATEWAY, HeaderValue::from_static(GATEWAY_PATH)),
        (RECEIVER, text(&deployment.payee.to_checksum(None))),
        (CONTRACT, text(&deployment.contract.to_checksum(None))),
        (TOKEN, text(&deployment.token.to_checksum(None))),
    ])
}

fn base(offer: &Offer<'_>) -> HeaderMap {
    let mut headers = offer.letterhead.clone();
    headers.insert(PRICE, text(&offer.price.to_string()));
    headers
}

fn state(opening: &Opening, view: &View) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (SENDER, text(&opening.payer.to_checksum(None))),
        (SENDER_BALANCE, text(&view.authorised.to_string())),
    ]);
    if let Some(signature) = view.signature {
        headers.insert(SIGNATURE, text(&alloy_primitives::hex::encode_prefixed(signature.as_bytes())));
    }
    headers
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("hex and decimal digits are visible ASCII")
}
