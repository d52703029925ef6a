use alloy_primitives::U256;
use alloy_primitives::utils::{ParseUnits, Unit};
use channel::Amount;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// An amount of a chain's own coin, in wei: `5000`, `"5000"`, `"5000 wei"`, `"20 gwei"`, `"0.5 ether"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wei(pub Amount);

impl<'de> Deserialize<'de> for Wei {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wei, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "wei as an integer, or text such as \"20 gwei\" or \"0.5 ether\"")]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(wei) => Ok(Wei(Amount::new(wei.into()))),
            Form::Text(text) => parse(&text).map(Wei).ok_or_else(|| {
                D::Error::custom(format!("{text:?} is no amount such as \"5000\" (wei), \"20 gwei\" or \"0.5 ether\""))
            }),
        }
    }
}

fn parse(text: &str) -> Option<Amount> {
    let (number, unit) = text.split_once(' ').unwrap_or((text, "wei"));
    let unit = match unit {
        "wei" => Unit::WEI,
        "gwei" => Unit::GWEI,
        "ether" => Unit::ETHER,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let are_digits = [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    // Nothing is below a wei; what stands there would be dropped.
    let is_exact = fraction.trim_end_matches('0').len() <= usize::from(unit.get());
    let wei: U256 = ParseUnits::parse_units(number, unit).ok().filter(|_| are_digits && is_exact)?.into();
    Amount::try_from(wei).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_a_unit_or_is_in_wei() {
        for (text, wei) in [
            ("0", 0),
            ("5000", 5_000),
            ("5000 wei", 5_000),
            ("20 gwei", 20_000_000_000),
            ("1.5 gwei", 1_500_000_000),
            ("0.05 ether", 50_000_000_000_000_000),
            ("0.050 ether", 50_000_000_000_000_000),
        ] {
            assert_eq!(parse(text), Some(Amount::new(wei)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let above = "340282366920938463464 ether";
        for text in
            ["", "x", "-1", "+1", "1 eth", "1.5", "1.5 wei", "0.0000000001 gwei", ".5 ether", "1. ether", "1e3", above]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
