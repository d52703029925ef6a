//! What a client says: headers, then the cookies of a browser, which override them field by field.

use alloy_primitives::{Address, U256, hex, uint};
use contracts::Opening;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, StatusCode};

use super::{BALANCE, CONTRACT, OPEN_BLOCK, PAYMENT, PRICE, RECEIVER, SENDER, SIGNATURE};
use crate::{Malformed, Payment};

/// The contract's balances are 192 bits wide.
const BALANCE_LIMIT: U256 = uint!(0x1000000000000000000000000000000000000000000000000_U256);

/// The fields in the order in which the original reads them; the first that makes no sense decides the answer.
///
/// What a client says about contract, receiver, payment and price is checked for its form alone: the signature binds the
/// first two, and we name the price.
pub(super) fn payment(headers: &HeaderMap) -> Result<Option<Payment>, Malformed> {
    optional(field(headers, &CONTRACT)?, |v| address(v, "contract"))?;
    optional(field(headers, &RECEIVER)?, |v| address(v, "receiver"))?;
    let mut sender = optional(field(headers, &SENDER)?, |v| address(v, "sender"))?;
    if field(headers, &PAYMENT)?.is_some() {
        return Err(malformed("Payment must be an integer"));
    }
    let mut signature = field(headers, &SIGNATURE)?;
    let mut open_block = optional(field(headers, &OPEN_BLOCK)?, |v| integer(v, "Open block"))?;
    let mut balance = optional(field(headers, &BALANCE)?, |v| integer(v, "Balance"))?;
    optional(field(headers, &PRICE)?, |v| integer(v, "Price"))?;

    if let Some(value) = cookie(headers, "RDN-Balance-Signature") {
        signature = Some(value).filter(|v| !v.is_empty());
    }
    if let Some(value) = cookie(headers, "RDN-Open-Block") {
        open_block = Some(integer(value, "Open block")?);
    }
    if let Some(value) = cookie(headers, "RDN-Sender-Balance") {
        balance = Some(integer(value, "Balance")?);
    }
    if let Some(value) = cookie(headers, "RDN-Sender-Address") {
        sender = optional(Some(value).filter(|v| !v.is_empty()), |v| address(v, "sender"))?;
    }

    let Some(signature) = signature else { return Ok(None) };
    let payer = sender.ok_or_else(|| malformed("Missing sender address"))?;
    let open_block = open_block.ok_or_else(|| malformed("Missing open block"))?;
    let amount = balance.ok_or_else(|| malformed("Missing balance"))?;
    if amount >= BALANCE_LIMIT {
        return Err(malformed("Balance must be < 2^192"));
    }
    let signature = hex::decode_to_array(signature).map_err(|_| malformed("Invalid balance signature"))?;
    Ok(Some(Payment { opening: opening(payer, open_block).map_err(malformed)?, amount, signature }))
}

/// The channel that `payer` opened in `open_block`.
pub(super) fn opening(payer: Address, open_block: U256) -> Result<Opening, &'static str> {
    let open_block = u32::try_from(open_block).map_err(|_| "Open block must be < 2^32")?;
    Ok(contracts::raiden::opening(payer, open_block))
}

/// Decimal digits, of at most 256 bits. Nothing that the original's clients send looks otherwise.
pub(super) fn digits(text: &str) -> Option<U256> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if is_number { U256::from_str_radix(text, 10).ok() } else { None }
}

/// A parameter of a query or a form, as it is: nothing that we read needs an encoding.
pub(super) fn parameter<'a>(form: &'a str, name: &str) -> Option<&'a str> {
    form.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// 20 bytes of hex in any case, with or without `0x`.
pub(super) fn address_in(text: &str) -> Option<Address> {
    hex::decode_to_array(text).ok().map(Address::new)
}

fn malformed(reason: &str) -> Malformed {
    Malformed::new(StatusCode::CONFLICT, reason)
}

fn optional<T>(value: Option<&str>, read: impl FnOnce(&str) -> Result<T, Malformed>) -> Result<Option<T>, Malformed> {
    value.map(read).transpose()
}

/// A header's value; an empty one counts as absent.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Malformed> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(malformed(&format!("{name} is given twice")));
    }
    let text = first.map(|v| v.to_str()).transpose().map_err(|_| malformed(&format!("{name} is no text")))?;
    Ok(text.map(str::trim).filter(|v| !v.is_empty()))
}

/// The first cookie of this very name, quotes removed.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    let mut named = pairs.filter_map(|pair| pair.split_once('=')).filter(|(key, _)| key.trim() == name);
    named.next().map(|(_, value)| value.trim().trim_matches('"'))
}

fn address(text: &str, whose: &str) -> Result<Address, Malformed> {
    address_in(text).ok_or_else(|| malformed(&format!("Invalid {whose} address")))
}

fn integer(text: &str, what: &str) -> Result<U256, Malformed> {
    digits(text).ok_or_else(|| match text.strip_prefix('-').and_then(digits) {
        Some(value) if !value.is_zero() => malformed(&format!("{what} must be >= 0")),
        _ => malformed(&format!("{what} must be an integer")),
    })
}
