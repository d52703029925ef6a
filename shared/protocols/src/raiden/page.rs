//! The browser's side of a 402: who gets the page, and the cookies that it reads.
//!
//! A request wants the page iff its `Accept` takes `text/html` and does not like `*/*` best; that is how the original decides,
//! so wildcards count (`text/*`, `image/webp,*/*;q=0.8`), and so does `text/html;q=0`. What programs send by themselves,
//! `*/*` or nothing, stays with the empty answer.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Whether `text/html` is among what is accepted, and `*/*` not its first choice.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let ranges = || {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).filter_map(Range::read)
    };
    // Of those that are liked the same, the more specific one is the first choice.
    let best = ranges().max_by_key(|range| (range.quality, range.kind != "*"));
    best.is_some_and(|best| best.kind != "*") && ranges().any(|range| range.takes_html())
}

/// A session cookie for every header of ours, under its name as the original writes it: cookies' names have a case.
///
/// The page's script reads them, and says by some of them what it pays: no `HttpOnly`. `Lax` keeps other sites from
/// spending what they say.
pub(super) fn cookies(answer: &HeaderMap) -> Vec<HeaderValue> {
    let ours = answer.iter().filter(|(name, _)| name.as_str().starts_with("rdn-"));
    let cookie = |(name, value): (&HeaderName, &HeaderValue)| {
        let text = format!("{}={}; Path=/; SameSite=Lax", written(name), value.to_str().ok()?);
        HeaderValue::try_from(text).ok()
    };
    ours.filter_map(cookie).collect()
}

/// `rdn-sender-balance` as `RDN-Sender-Balance`.
fn written(name: &HeaderName) -> String {
    let word = |word: &str| match word {
        "rdn" => "RDN".to_owned(),
        _ => word[..1].to_ascii_uppercase() + &word[1..],
    };
    name.as_str().split('-').filter(|part| !part.is_empty()).map(word).collect::<Vec<_>>().join("-")
}

/// One element of an `Accept` header.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths.
    quality: u32,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Option<Range<'a>> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|parameter| parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")));
        Some(Range { kind, subtype, quality: quality.map_or(Some(1_000), thousandths).unwrap_or(0) })
    }

    fn takes_html(&self) -> bool {
        (self.kind == "*" || self.kind.eq_ignore_ascii_case("text"))
            && (self.subtype == "*" || self.subtype.eq_ignore_ascii_case("html"))
    }
}

/// `0.8` as 800; a quality has at most three decimals and is at most 1.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = format!("{fraction:0<3}").parse::<u32>().ok().filter(|_| is_number)?;
    match whole {
        "0" | "" => Some(fraction),
        "1" if fraction == 0 => Some(1_000),
        _ => None,
    }
}
