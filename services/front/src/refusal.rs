//! Why a payment bought nothing, in one header for programs and people, whatever the protocol says:
//! `Sluice-Refusal: over_deposit; deposit=100; pending=0; needed=110`.
//!
//! The names are those in metrics. Numbers are given where the payer's signature was checked first, and they are its own.

use channel::Refusal;
use http::{HeaderName, HeaderValue, Response};

/// The header.
pub(crate) const REFUSAL: HeaderName = HeaderName::from_static("sluice-refusal");

/// The answer, with the reason on it.
pub(crate) fn marked<B>(mut answer: Response<B>, reason: &'static str) -> Response<B> {
    answer.headers_mut().insert(REFUSAL, HeaderValue::from_static(reason));
    answer
}

/// The answer, with the reason on it, and the numbers of the rule that led to it.
pub(crate) fn explained<B>(mut answer: Response<B>, reason: &'static str, refusal: &Refusal) -> Response<B> {
    let numbers = numbers(refusal);
    if numbers.is_empty() {
        return marked(answer, reason);
    }
    let mut text = reason.to_owned();
    for (name, number) in numbers {
        text.extend(["; ", name, "=", &number]);
    }
    if let Ok(value) = HeaderValue::try_from(text) {
        answer.headers_mut().insert(REFUSAL, value);
    }
    answer
}

fn numbers(refusal: &Refusal) -> Vec<(&'static str, String)> {
    let named = |numbers: &[(&'static str, channel::Amount)]| {
        numbers.iter().map(|(name, amount)| (*name, amount.to_string())).collect()
    };
    match refusal {
        Refusal::Epoch { current, got } => vec![("expected", current.to_string()), ("got", got.to_string())],
        Refusal::Amount { expected, got } => named(&[("expected", *expected), ("got", *got)]),
        Refusal::Unpaid { price, credit } => named(&[("price", *price), ("credit", *credit)]),
        Refusal::OverDeposit { wanted, deposit, pending } => {
            named(&[("deposit", *deposit), ("pending", *pending), ("needed", *wanted)])
        }
        Refusal::SmallDeposit { deposit, pending, least } => {
            named(&[("deposit", *deposit), ("pending", *pending), ("needed", *least)])
        }
        Refusal::Exposure { wanted, limit }
        | Refusal::PayerExposure { wanted, limit }
        | Refusal::Held { wanted, limit } => named(&[("limit", *limit), ("needed", *wanted)]),
        Refusal::Unknown
        | Refusal::Unconfirmed
        | Refusal::NotOpen
        | Refusal::Replayed
        | Refusal::Published
        | Refusal::Busy
        | Refusal::RequestReused
        | Refusal::TotalExposure { .. }
        | Refusal::Stale => Vec::new(),
    }
}
