//! `DELETE /api/1/channels/{sender}/{block}`: the payee's closing signature for a final balance.
//!
//! The original gives it once and for the last balance alone; we give the same one again for ever, and for any balance from
//! what was sold up to the last. Not answering 200 would make the client close alone, with a balance of zero.

use alloy_primitives::U256;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{read, reply};
use crate::{Answer, Command};

pub(super) fn command(head: &Parts, body: &Bytes, sender: &str, block: U256) -> Result<Command, Box<Answer>> {
    let amount = balance(head, body)?;
    let sender = read::address_in(sender).ok_or_else(|| reply::bad("Invalid sender address"))?;
    let opening = read::opening(sender, block).map_err(reply::bad)?;
    Ok(Command::Close { opening, amount })
}

#[derive(Deserialize)]
struct JsonBody<'a> {
    #[serde(borrow)]
    balance: Option<&'a RawValue>,
}

/// The balance, wherever it is: JSON (as the browser's client sends it), form (Python's) or query.
fn balance(head: &Parts, body: &Bytes) -> Result<U256, Box<Answer>> {
    let body = std::str::from_utf8(body).unwrap_or_default().trim();
    let in_body = if body.starts_with('{') {
        let json = serde_json::from_str::<JsonBody<'_>>(body).ok();
        json.and_then(|json| json.balance).map(|value| value.get().trim_matches('"'))
    } else {
        read::parameter(body, "balance")
    };
    let Some(text) = in_body.or_else(|| read::parameter(head.uri.query().unwrap_or_default(), "balance")) else {
        return Err(reply::bad("Bad balance format").into());
    };
    let not_int = json!({ "message": { "balance": "last balance proof balance" } });
    read::digits(text).ok_or_else(|| Answer::json(StatusCode::BAD_REQUEST, &not_int).into())
}
