//! Prices that are not written in the configuration: a number in a path, a seller's answer.

use channel::Amount;
use front::reading::{captured_price, said_price};

/// A factor and a summand of 16 bytes each, then a path's number, or a seller's answer. A price is exact, or there is none.
pub fn read(input: &[u8]) -> bool {
    let Some((terms, text)) = input.split_at_checked(32) else { return false };
    let (times, plus) = terms.split_at(16);
    let units = |bytes: &[u8]| u128::from_be_bytes(bytes.try_into().expect("16 bytes"));
    let (times, plus) = (units(times), units(plus));
    let said = said_price(text);
    if let Some(price) = said {
        assert_eq!(said_price(format!("{{\"price\": \"{price}\"}}").as_bytes()), Some(price));
    }
    let Ok(number) = std::str::from_utf8(text) else { return said.is_some() };
    let captured = captured_price(number, Amount::new(times), Amount::new(plus)).map(Amount::units);
    assert_eq!(captured, by_hand(number, times, plus));
    said.is_some() || captured.is_some()
}

/// Digit by digit.
fn by_hand(number: &str, times: u128, plus: u128) -> Option<u128> {
    let digits: Option<Vec<u128>> = number.chars().map(|c| c.to_digit(10).map(u128::from)).collect();
    let digits = digits.filter(|digits| !digits.is_empty())?;
    let value = digits.into_iter().try_fold(0_u128, |value, digit| value.checked_mul(10)?.checked_add(digit))?;
    value.checked_mul(times)?.checked_add(plus)
}
