use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use channel::Amount;
use http::{Method, Uri};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Matcher, goods};

/// The longest that a price may be waited for, and remembered.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// What one request costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Price {
    /// Always the same; zero is free.
    Fixed(Amount),
    /// By method, for these methods alone. HEAD costs what GET does, unless it is here itself.
    PerMethod(Vec<(Method, Amount)>),
    /// The number that a group of the route's regex stands for, `times` so much and so much more.
    Capture {
        /// The group's name.
        group: String,
        /// For each.
        times: Amount,
        /// For the request.
        plus: Amount,
    },
    /// What this address says.
    Callback {
        /// It is asked by GET.
        url: Uri,
        /// For its whole answer.
        timeout: Duration,
        /// How long its answer holds.
        cache: Duration,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    per_method: Option<BTreeMap<String, Amount>>,
    capture: Option<String>,
    times: Option<Amount>,
    plus: Option<Amount>,
    callback: Option<String>,
    timeout_ms: Option<u64>,
    cache_ms: Option<u64>,
}

impl Price {
    /// True if nothing is ever asked for.
    pub fn is_free(&self) -> bool {
        match self {
            Price::Fixed(amount) => amount.is_zero(),
            Price::PerMethod(prices) => prices.iter().all(|(_, amount)| amount.is_zero()),
            Price::Capture { times, plus, .. } => times.is_zero() && plus.is_zero(),
            Price::Callback { .. } => false,
        }
    }

    pub(super) fn problem(&self, matcher: &Matcher) -> Option<String> {
        match self {
            Price::Capture { group, .. } => match matcher.pattern() {
                Some(pattern) if pattern.has_group(group) => None,
                Some(_) => Some(format!("capture: the regex has no group (?P<{group}>…)")),
                None => Some("capture: needs a `regex` with a named group".to_owned()),
            },
            Price::Callback { timeout, .. } if timeout.is_zero() || *timeout > LONGEST_WAIT => {
                Some(format!("timeout_ms: must be from 1 to {}", LONGEST_WAIT.as_millis()))
            }
            Price::Callback { cache, .. } if *cache > LONGEST_MEMORY => {
                Some(format!("cache_ms: must be at most {}", LONGEST_MEMORY.as_millis()))
            }
            _ => None,
        }
    }
}

impl TryFrom<Table> for Price {
    type Error = String;

    fn try_from(table: Table) -> Result<Price, String> {
        let Table { per_method, capture, times, plus, callback, timeout_ms, cache_ms } = table;
        if capture.is_none() && (times.is_some() || plus.is_some()) {
            return Err("`times` and `plus` belong to `capture`".to_owned());
        }
        if callback.is_none() && (timeout_ms.is_some() || cache_ms.is_some()) {
            return Err("`timeout_ms` and `cache_ms` belong to `callback`".to_owned());
        }
        match (per_method, capture, callback) {
            (Some(prices), None, None) if !prices.is_empty() => {
                let price = |(name, amount): (String, _)| Ok((super::parse_method(&name)?, amount));
                prices.into_iter().map(price).collect::<Result<_, String>>().map(Price::PerMethod)
            }
            (None, Some(group), None) => {
                let (times, plus) = (times.unwrap_or(Amount::new(1)), plus.unwrap_or(Amount::ZERO));
                Ok(Price::Capture { group, times, plus })
            }
            (None, None, Some(url)) => {
                let millis = |given: Option<u64>| Duration::from_millis(given.unwrap_or(1_000));
                let url = goods::parse_address("callback", &url, true)?;
                Ok(Price::Callback { url, timeout: millis(timeout_ms), cache: millis(cache_ms) })
            }
            _ => Err("a price is an amount, or exactly one of `per_method`, `capture` and `callback`".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Price;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an amount in base units, as an integer or decimal text, or a table that says how to find it",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Price, E> {
                Amount::deserialize(text.into_deserializer()).map(Price::Fixed)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Price, E> {
                Amount::deserialize(number.into_deserializer()).map(Price::Fixed)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Price, E> {
                Amount::deserialize(number.into_deserializer()).map(Price::Fixed)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Price, A::Error> {
                Table::deserialize(MapAccessDeserializer::new(map))?.try_into().map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Written)
    }
}
