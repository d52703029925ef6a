use std::fmt;
use std::str::FromStr;

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of a token, in its base units (the token's decimals never enter here).
///
/// Arithmetic is checked: there is no `+`. On every wire and in SQL (`numeric(39,0)`) the form is decimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u128);

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Signs, points, exponents, separators, leading zeros, non-ASCII digits and the empty text are refused.
    #[error("an amount is decimal digits without sign, point, exponent or leading zeros")]
    NotDecimal,
    /// The value needs more than 128 bits.
    #[error("the amount is above 2^128 - 1")]
    TooLarge,
}

impl Amount {
    /// No tokens at all.
    pub const ZERO: Amount = Amount(0);
    /// The largest amount the ledger holds, 2^128 − 1. A deposit above it counts as this much.
    pub const MAX: Amount = Amount(u128::MAX);

    /// An amount of `units` base units.
    pub const fn new(units: u128) -> Amount {
        Amount(units)
    }

    /// The base units.
    pub const fn units(self) -> u128 {
        self.0
    }

    /// True for no tokens at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` above [`Amount::MAX`].
    pub const fn checked_add(self, other: Amount) -> Option<Amount> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Amount(units)),
            None => None,
        }
    }

    /// The difference, or `None` below zero.
    pub const fn checked_sub(self, other: Amount) -> Option<Amount> {
        match self.0.checked_sub(other.0) {
            Some(units) => Some(Amount(units)),
            None => None,
        }
    }

    /// The sum, at most [`Amount::MAX`]. For chain facts, which must never fail to apply.
    pub const fn saturating_add(self, other: Amount) -> Amount {
        Amount(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero. For what is left of something, never for what is owed.
    pub const fn saturating_sub(self, other: Amount) -> Amount {
        Amount(self.0.saturating_sub(other.0))
    }

    /// A full-width integer of a contract, at most [`Amount::MAX`]. Right for deposits; a voucher uses `try_from`.
    pub fn saturating_from(value: U256) -> Amount {
        Amount::try_from(value).unwrap_or(Amount::MAX)
    }
}

impl TryFrom<U256> for Amount {
    type Error = AmountError;

    fn try_from(value: U256) -> Result<Amount, AmountError> {
        u128::try_from(value).map(Amount).map_err(|_| AmountError::TooLarge)
    }
}

impl From<Amount> for U256 {
    fn from(amount: Amount) -> U256 {
        U256::from(amount.0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Amount, AmountError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits || (text.len() > 1 && text.starts_with('0')) {
            return Err(AmountError::NotDecimal);
        }
        text.parse().map(Amount).map_err(|_| AmountError::TooLarge)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    /// From decimal text, or from an integer as TOML writes small prices.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount in base units, as an integer or decimal text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Amount, E> {
                Ok(Amount(value.into()))
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Amount, E> {
                u128::try_from(value).map(Amount).map_err(|_| E::custom("an amount is never negative"))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
