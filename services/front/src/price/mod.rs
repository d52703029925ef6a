//! What a request costs.

mod callback;

use std::sync::Arc;
use std::time::{Duration, Instant};

use channel::Amount;
use http::request::Parts;
use http::{Method, Uri};
use runtime::config::{self, Pattern};

use crate::fault::Fault;
use crate::goods::Caller;
use callback::Callback;
pub(crate) use callback::said;

/// How a route's prices are found.
pub(crate) struct Price {
    how: How,
    /// The paths that cost something; `None`: all.
    paid: Option<Vec<Pattern>>,
    config: config::Price,
}

enum How {
    /// Always the same.
    Fixed(Amount),
    PerMethod(Vec<(Method, Amount)>),
    /// `times` the number in the path, and more.
    Capture {
        /// The configuration demands one.
        pattern: Option<Pattern>,
        group: String,
        times: Amount,
        plus: Amount,
    },
    /// The seller is asked.
    Callback(Box<Callback>),
}

/// The price of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    /// Zero is free.
    pub(crate) price: Amount,
    /// The price before its last change, for as long as it is taken too.
    pub(crate) former: Option<Amount>,
}

/// What a price was before a reload.
#[derive(Clone)]
pub(crate) struct Former {
    price: Arc<Price>,
    until: Instant,
}

impl Price {
    pub(crate) fn new(config: &config::Route, grace: Duration, caller: &Arc<Caller>) -> Price {
        let how = match &config.price {
            config::Price::Fixed(amount) => How::Fixed(*amount),
            config::Price::PerMethod(prices) => How::PerMethod(prices.clone()),
            config::Price::Capture { group, times, plus } => {
                let pattern = config.matcher.pattern().cloned();
                How::Capture { pattern, group: group.clone(), times: *times, plus: *plus }
            }
            config::Price::Callback { url, timeout, cache } => {
                How::Callback(Box::new(Callback::new(&config.name, url, *timeout, *cache, grace, caller)))
            }
        };
        Price { how, paid: config.paid.clone(), config: config.price.clone() }
    }

    /// Whether this is what the configuration says, so that it can go on over a reload.
    pub(crate) fn is(&self, config: &config::Route) -> bool {
        let same_pattern = match &self.how {
            How::Capture { pattern, .. } => pattern.as_ref() == config.matcher.pattern(),
            _ => true,
        };
        self.config == config.price && self.paid == config.paid && same_pattern
    }

    /// What this request costs. `path` is the request's, decoded.
    ///
    /// # Errors
    /// When the price cannot be known. Nothing is sold then.
    pub(crate) async fn of(&self, head: &Parts, path: &str) -> Result<Quote, Fault> {
        match &self.how {
            How::Callback(callback) if self.costs(path) => Box::pin(callback.ask(&head.method, path, &head.uri)).await,
            _ => Ok(Quote { price: self.known(head, path)?.ok_or(Fault::PriceUnavailable)?, former: None }),
        }
    }

    /// What is known without asking anybody.
    fn known(&self, head: &Parts, path: &str) -> Result<Option<Amount>, Fault> {
        if !self.costs(path) {
            return Ok(Some(Amount::ZERO));
        }
        match &self.how {
            How::Fixed(amount) => Ok(Some(*amount)),
            How::PerMethod(prices) => per_method(prices, &head.method).map(Some).ok_or(Fault::MethodNotAllowed),
            How::Capture { pattern, group, times, plus } => {
                let number = pattern.as_ref().and_then(|pattern| pattern.capture(path, group));
                captured(number, *times, *plus).map(Some).ok_or(Fault::BadNumber)
            }
            How::Callback(callback) => Ok(callback.remembered(&head.method, path, &head.uri)),
        }
    }

    fn costs(&self, path: &str) -> bool {
        self.paid.as_ref().is_none_or(|paid| paid.iter().any(|pattern| pattern.matches(path)))
    }
}

impl Former {
    pub(crate) fn new(price: Arc<Price>, grace: Duration) -> Former {
        Former { price, until: Instant::now() + grace }
    }

    /// What this request would have cost, while that counts.
    pub(crate) fn of(&self, head: &Parts, path: &str) -> Option<Amount> {
        if Instant::now() < self.until { self.price.known(head, path).ok().flatten() } else { None }
    }
}

/// HEAD costs what GET does, unless it has a price of its own.
fn per_method(prices: &[(Method, Amount)], method: &Method) -> Option<Amount> {
    let of = |wanted: &Method| prices.iter().find(|(method, _)| method == wanted).map(|(_, amount)| *amount);
    let like = if *method == Method::HEAD { of(&Method::GET) } else { None };
    of(method).or(like)
}

/// `None` for what is no number in ASCII digits, and for what is too much.
pub(crate) fn captured(text: Option<&str>, times: Amount, plus: Amount) -> Option<Amount> {
    let digits = text.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))?;
    let number: u128 = digits.parse().ok()?;
    number.checked_mul(times.units()).map(Amount::new)?.checked_add(plus)
}

/// The part of a request that its price may depend on.
fn key(method: &Method, path: &str, uri: &Uri) -> String {
    // Neither a method nor a plain path contains a control character.
    format!("{method}\0{path}\0{}", uri.query().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_number_is_multiplied_and_added_to_without_a_wrap() {
        let price =
            |text: Option<&str>, times, plus| captured(text, Amount::new(times), Amount::new(plus)).map(Amount::units);
        assert_eq!(price(Some("7"), 3, 2), Some(23));
        assert_eq!(price(Some("007"), 1, 0), Some(7));
        assert_eq!(price(Some("0"), 3, 0), Some(0));
        assert_eq!(price(Some(&u128::MAX.to_string()), 1, 0), Some(u128::MAX));
        for (text, times, plus) in [
            (None, 1, 0),
            (Some(""), 1, 0),
            (Some("-1"), 1, 0),
            (Some("+1"), 1, 0),
            (Some("1.5"), 1, 0),
            (Some("٣"), 1, 0),
            (Some("340282366920938463463374607431768211456"), 1, 0),
            (Some("170141183460469231731687303715884105728"), 2, 0),
            (Some("340282366920938463463374607431768211455"), 1, 1),
        ] {
            assert_eq!(price(text, times, plus), None, "{text:?}");
        }
    }

    #[test]
    fn head_costs_what_get_does() {
        let prices = [(Method::GET, Amount::new(1)), (Method::POST, Amount::new(5))];
        assert_eq!(per_method(&prices, &Method::POST), Some(Amount::new(5)));
        assert_eq!(per_method(&prices, &Method::HEAD), Some(Amount::new(1)));
        assert_eq!(per_method(&prices, &Method::PUT), None);
        let own = [(Method::GET, Amount::new(1)), (Method::HEAD, Amount::ZERO)];
        assert_eq!(per_method(&own, &Method::HEAD), Some(Amount::ZERO));
    }
}
