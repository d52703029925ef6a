//! What our own fronts say beside the dialect, such as `Sluice-Refusal: small_deposit; deposit=100; pending=0; needed=110`.
//! Pure.

use std::fmt;

use channel::Amount;
use http::HeaderMap;

const HEADER: &str = "sluice-refusal";
/// More than any front of ours says.
const TEXT_MAX: usize = 256;

/// Why a server refused a payment, in its own words. Words they are: nothing is believed that costs more than the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRefusal(String);

impl ServerRefusal {
    /// What an answer says; `None` when it says nothing, or something that nobody should have to read.
    pub(crate) fn of(headers: &HeaderMap) -> Option<ServerRefusal> {
        let text = headers.get(HEADER)?.to_str().ok()?.trim();
        (!text.is_empty() && text.len() <= TEXT_MAX).then(|| ServerRefusal(text.to_owned()))
    }

    /// The reason, as programs read it.
    pub fn reason(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim()
    }

    /// A number that belongs to it.
    pub fn number(&self, name: &str) -> Option<Amount> {
        let mut fields = self.0.split(';').skip(1).filter_map(|field| field.trim().split_once('='));
        fields.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok())
    }
}

impl fmt::Display for ServerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Option<ServerRefusal> {
        ServerRefusal::of(&HeaderMap::from_iter([(HEADER.parse().expect("a name"), text.parse().expect("a value"))]))
    }

    #[test]
    fn a_refusal_is_a_reason_and_numbers() {
        let refusal = read("small_deposit; deposit=100; pending=0; needed=110").expect("it says something");
        assert_eq!((refusal.reason(), refusal.number("needed")), ("small_deposit", Some(Amount::new(110))));
        assert_eq!((refusal.number("limit"), refusal.number("small_deposit")), (None, None));
        assert_eq!(read("payer_blocked").expect("it says something").reason(), "payer_blocked");
        assert_eq!(read("small_deposit; needed=lots").expect("it says something").number("needed"), None);
    }

    #[test]
    fn what_nobody_should_have_to_read_is_not_read() {
        let long = "x".repeat(TEXT_MAX + 1).leak();
        assert_eq!((read(""), read(long), ServerRefusal::of(&HeaderMap::new())), (None, None, None));
    }
}
