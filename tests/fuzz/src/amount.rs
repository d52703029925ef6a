//! An amount as text.

use channel::Amount;

/// Text. An amount has one spelling, and is what the standard library reads.
pub fn read(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let amount = text.parse::<Amount>();
    let spelt = text.parse::<u128>().ok().filter(|units| units.to_string() == text);
    assert_eq!(amount.ok().map(Amount::units), spelt);
    amount.is_ok()
}
