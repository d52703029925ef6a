//! Amounts as PostgreSQL's `numeric` says them in binary.
//!
//! ```text
//! i16 groups │ i16 weight │ u16 sign │ i16 scale │ groups × i16, each 0..=9999, most significant first
//! value = Σ group[i] · 10000^(weight − i)
//! ```

use std::error::Error;

use channel::Amount;
use postgres_types::private::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// An [`Amount`] on its way to or from a column `numeric(39,0)`. The ledger's only way to do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numeric(pub(crate) Amount);

const BASE: u128 = 10_000;
/// Groups of the largest amount: 2^128 has 39 digits.
const GROUPS: usize = 10;
const POSITIVE: u16 = 0;

/// Why a `numeric` is no [`Amount`].
#[derive(Debug, thiserror::Error)]
enum NotAnAmount {
    #[error("the numeric is negative, not a number or infinite")]
    Sign,
    #[error("the numeric has a fraction")]
    Fraction,
    #[error("the numeric is above 2^128 - 1")]
    TooLarge,
    #[error("the numeric is malformed")]
    Malformed,
}

impl ToSql for Numeric {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (mut groups, mut count) = ([0_i16; GROUPS], 0);
        let mut rest = self.0.units();
        while rest > 0 {
            groups[count] = i16::try_from(rest % BASE)?;
            rest /= BASE;
            count += 1;
        }
        let weight = i16::try_from(count)?.saturating_sub(1);
        // The form is canonical without trailing zero groups: 10 000 is one group of 1 with weight 1.
        let trailing = groups[..count].iter().take_while(|group| **group == 0).count();
        let significant = &groups[trailing..count];

        out.extend_from_slice(&i16::try_from(significant.len())?.to_be_bytes());
        out.extend_from_slice(&weight.to_be_bytes());
        out.extend_from_slice(&POSITIVE.to_be_bytes());
        out.extend_from_slice(&0_i16.to_be_bytes());
        for group in significant.iter().rev() {
            out.extend_from_slice(&group.to_be_bytes());
        }
        Ok(IsNull::No)
    }

    accepts!(NUMERIC);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Numeric {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Numeric, Box<dyn Error + Sync + Send>> {
        let ([_, weight, sign, _, groups @ ..], []) = raw.as_chunks::<2>() else {
            return Err(NotAnAmount::Malformed.into());
        };
        if u16::from_be_bytes(*sign) != POSITIVE {
            return Err(NotAnAmount::Sign.into());
        }
        let mut units: u128 = 0;
        let mut power = i32::from(i16::from_be_bytes(*weight));
        for group in groups {
            let group = u128::try_from(i16::from_be_bytes(*group))?;
            let Ok(exponent) = u32::try_from(power) else { return Err(NotAnAmount::Fraction.into()) };
            let term = BASE.checked_pow(exponent).and_then(|base| base.checked_mul(group));
            units = term.and_then(|term| units.checked_add(term)).ok_or(NotAnAmount::TooLarge)?;
            power -= 1;
        }
        Ok(Numeric(Amount::new(units)))
    }

    accepts!(NUMERIC);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(units: u128) -> BytesMut {
        let mut out = BytesMut::new();
        Numeric(Amount::new(units)).to_sql(&Type::NUMERIC, &mut out).expect("every amount has a form");
        out
    }

    fn parse(words: &[u16]) -> Result<Amount, String> {
        let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Numeric::from_sql(&Type::NUMERIC, &raw).map(|n| n.0).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let powers = (0..39).map(|n| 10_u128.pow(n));
        for units in powers.chain([0, 9_999, 10_001, 99_990_000, u128::from(u64::MAX), u128::MAX - 1, u128::MAX]) {
            for units in [units, units.saturating_sub(1), units.saturating_add(1)] {
                let back = Numeric::from_sql(&Type::NUMERIC, &bytes_of(units)).expect("it is an amount");
                assert_eq!(back.0, Amount::new(units));
            }
        }
    }

    #[test]
    fn refuses_what_is_no_amount() {
        assert!(parse(&[1, 0, 0x4000, 0, 1]).is_err_and(|why| why.contains("negative")));
        assert!(parse(&[0, 0, 0xC000, 0]).is_err_and(|why| why.contains("not a number")));
        assert!(parse(&[1, 0xFFFF, 0, 1, 5000]).is_err_and(|why| why.contains("fraction")));
        assert!(parse(&[1, 9, 0, 0, 4000]).is_err_and(|why| why.contains("above")));
        assert!(parse(&[1, 600, 0, 0, 1]).is_err_and(|why| why.contains("above")));
        assert!(parse(&[1, 0]).is_err_and(|why| why.contains("malformed")));
        assert!(Numeric::from_sql(&Type::NUMERIC, &[0, 1, 0]).is_err());
    }

    #[test]
    fn ignores_the_scale_of_a_whole_number() {
        assert_eq!(parse(&[1, 1, 0, 2, 3]), Ok(Amount::new(30_000)));
    }
}
