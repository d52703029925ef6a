//! `DELETE /api/1/channels/{sender}/{block}`: the payee's closing signature for a final balance.
//!
//! The original gives it once and for the last balance alone; we give the same one again for ever, and for any balance from
//! what was sold up to the last. Not answering 200 would make the client close alone, with a balance of zero.

use alloy_primitives::{U256, hex};
use bytes::Bytes;
use channel::{CloseRefusal, Signature};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{GATEWAY_PATH, read};
use crate::{Answer, Command, Malformed};

pub(super) fn command(head: &Parts, body: &Bytes) -> Result<Command, Malformed> {
    let not_found = || Malformed::new(StatusCode::NOT_FOUND, "Not found");
    let path = head.uri.path().strip_prefix(GATEWAY_PATH).and_then(|rest| rest.strip_prefix("/channels/"));
    let (sender, block) = path.and_then(|path| path.split_once('/')).ok_or_else(not_found)?;
    let block = read::digits(block).ok_or_else(not_found)?;
    if head.method != Method::DELETE {
        return Err(not_found());
    }
    let bad = |reason: &str| Malformed::new(StatusCode::BAD_REQUEST, reason);
    let amount = balance(head, body)?;
    let sender = read::address_in(sender).ok_or_else(|| bad("Invalid sender address"))?;
    let opening = read::opening(sender, block).map_err(bad)?;
    Ok(Command::Close { opening, amount })
}

pub(super) fn answer(outcome: Result<&Signature, &CloseRefusal>) -> Answer {
    let reason = match outcome {
        Ok(signature) => {
            let hex = hex::encode_prefixed(signature.as_bytes());
            return Answer::json(StatusCode::OK, &json!({ "close_signature": hex }));
        }
        Err(CloseRefusal::NotOpen) => "Channel does not exist or has been closed",
        Err(CloseRefusal::AgreedOtherwise { .. }) => "Channel closing has been requested already.",
        Err(CloseRefusal::Amount { .. }) => "Requested closing balance does not match latest one.",
    };
    Answer::json(StatusCode::BAD_REQUEST, &reason)
}

#[derive(Deserialize)]
struct JsonBody<'a> {
    #[serde(borrow)]
    balance: Option<&'a RawValue>,
}

/// The balance, wherever it is: JSON (as the browser's client sends it), form (Python's) or query.
fn balance(head: &Parts, body: &Bytes) -> Result<U256, Malformed> {
    let body = std::str::from_utf8(body).unwrap_or_default().trim();
    let in_body = match serde_json::from_str::<JsonBody<'_>>(body) {
        Ok(json) => json.balance.map(|value| value.get().trim_matches('"')),
        Err(_) => parameter(body),
    };
    let Some(text) = in_body.or_else(|| parameter(head.uri.query().unwrap_or_default())) else {
        return Err(Malformed::new(StatusCode::BAD_REQUEST, "Bad balance format"));
    };
    read::digits(text).ok_or_else(|| {
        Malformed::new(StatusCode::BAD_REQUEST, json!({ "message": { "balance": "last balance proof balance" } }))
    })
}

fn parameter(form: &str) -> Option<&str> {
    form.split('&').find_map(|pair| pair.strip_prefix("balance="))
}
