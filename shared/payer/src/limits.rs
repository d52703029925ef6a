//! What the payer may do without asking. Pure: the day is an argument.

use std::collections::BTreeMap;
use std::fmt;

use alloy_primitives::Address;
use channel::Amount;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many hosts of one day are told apart; what more hosts spend is counted together.
const HOSTS_MAX: usize = 1024;
/// The name under which the hosts above [`HOSTS_MAX`] are counted together.
const OTHER_HOSTS: &str = "*";

/// Limits on everything that happens without a human. Over a limit nothing is signed and nothing is sent.
///
/// Amounts are in base units of the token. What may be paid, deposited and to whom is nothing by default: a payer that was
/// told nothing pays nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most one request may cost.
    pub max_price: Amount,
    /// The most that may be deposited in one channel, top-ups included.
    pub max_deposit: Amount,
    /// The most that all requests of one day (UTC) may cost; without it the deposits are the bound.
    pub max_per_day: Option<Amount>,
    /// The most that all requests of one day (UTC) to one host may cost.
    pub max_per_host_per_day: Option<Amount>,
    /// The most that may be added to channels in one day (UTC), once they are open; without it `max_deposit` is the bound.
    pub max_top_ups_per_day: Option<Amount>,
    /// How many channels may be opened in one day (UTC): a server that keeps forgetting channels costs gas and time.
    pub max_opens_per_day: u32,
    /// The most gas one transaction may cost, in wei.
    pub max_gas_wei: Option<u64>,
    /// The contracts that may get money.
    pub contracts: Allowed<Address>,
    /// The tokens that may be paid with. Any by default: the token of an allowed contract never changes.
    pub tokens: Allowed<Address>,
    /// The hosts that may be paid, without port. Any by default, but then none that only a redirect leads to.
    pub hosts: Allowed<String>,
    /// The chains that may be used. Any by default: it is the payer who names the node.
    pub chains: Allowed<u64>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_price: Amount::ZERO,
            max_deposit: Amount::ZERO,
            max_per_day: None,
            max_per_host_per_day: None,
            max_top_ups_per_day: None,
            max_opens_per_day: 4,
            max_gas_wei: None,
            contracts: Allowed::These(Vec::new()),
            tokens: Allowed::Any,
            hosts: Allowed::Any,
            chains: Allowed::Any,
        }
    }
}

/// A list of what is allowed. Written as `"any"` or as a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed<T> {
    /// Everything is.
    Any,
    /// Only these are.
    These(Vec<T>),
}

impl<T: PartialEq> Allowed<T> {
    /// True for what is on the list.
    pub fn allows(&self, item: &T) -> bool {
        match self {
            Allowed::Any => true,
            Allowed::These(list) => list.contains(item),
        }
    }
}

/// The limit that something would have broken, with its name as the configuration spells it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// More than an amount allows.
    #[error("{what} {wanted}, over the limit {limit} = {allowed}")]
    Amount {
        /// What would have happened, ending in a verb: "the request costs".
        what: &'static str,
        /// How much it would have been.
        wanted: u128,
        /// The limit's name.
        limit: &'static str,
        /// The limit.
        allowed: u128,
    },
    /// Not on a list.
    #[error("{item} is not among the allowed {limit}")]
    NotAllowed {
        /// What is not.
        item: String,
        /// The list's name.
        limit: &'static str,
    },
}

impl OverLimit {
    /// The name of the limit, as the configuration spells it.
    pub fn limit(&self) -> &'static str {
        match self {
            OverLimit::Amount { limit, .. } | OverLimit::NotAllowed { limit, .. } => limit,
        }
    }
}

/// What was spent on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spending {
    /// The day, counted from 1970-01-01 (UTC).
    pub day: u64,
    /// Everything that was signed away.
    pub total: Amount,
    /// The same by host, without port.
    pub hosts: BTreeMap<String, Amount>,
    /// Channels opened.
    pub opens: u32,
    /// Added to channels by itself.
    #[serde(default)]
    pub topped_up: Amount,
}

impl Spending {
    /// The counters for `day`: these, or zero when a new day began. A clock that runs backwards resets nothing.
    pub fn on(mut self, day: u64) -> Spending {
        if day > self.day {
            self = Spending { day, ..Spending::default() };
        }
        self
    }

    /// Counts a voucher that is about to be sent to `host`.
    pub fn add(&mut self, host: &str, amount: Amount) {
        self.total = self.total.saturating_add(amount);
        let name = self.name(host);
        let sum = self.hosts.entry(name).or_default();
        *sum = sum.saturating_add(amount);
    }

    /// Takes back what the server proved it never took.
    pub fn take_back(&mut self, host: &str, amount: Amount) {
        self.total = self.total.saturating_sub(amount);
        let name = self.name(host);
        if let Some(sum) = self.hosts.get_mut(&name) {
            *sum = sum.saturating_sub(amount);
        }
    }

    /// What was spent at `host`.
    pub fn at(&self, host: &str) -> Amount {
        self.hosts.get(&self.name(host)).copied().unwrap_or_default()
    }

    fn name(&self, host: &str) -> String {
        let known = self.hosts.contains_key(host) || self.hosts.len() < HOSTS_MAX;
        if known { host.to_owned() } else { OTHER_HOSTS.to_owned() }
    }
}

impl Limits {
    /// May `host` be paid at all?
    ///
    /// # Errors
    /// [`OverLimit::NotAllowed`].
    pub fn check_host(&self, host: &str) -> Result<(), OverLimit> {
        allowed(&self.hosts, &host.to_owned(), "hosts")
    }

    /// May `host` be paid although nobody asked for it, because a redirect led there? Only if it is on the list.
    ///
    /// # Errors
    /// [`OverLimit::NotAllowed`].
    pub fn check_named_host(&self, host: &str) -> Result<(), OverLimit> {
        match &self.hosts {
            Allowed::Any => Err(OverLimit::NotAllowed { item: host.to_owned(), limit: "hosts" }),
            Allowed::These(_) => self.check_host(host),
        }
    }

    /// May this chain be used?
    ///
    /// # Errors
    /// [`OverLimit::NotAllowed`].
    pub fn check_chain(&self, chain_id: u64) -> Result<(), OverLimit> {
        allowed(&self.chains, &chain_id, "chains")
    }

    /// May money go through this contract?
    ///
    /// # Errors
    /// [`OverLimit::NotAllowed`].
    pub fn check_contract(&self, contract: Address) -> Result<(), OverLimit> {
        allowed(&self.contracts, &contract, "contracts")
    }

    /// May this token be paid with?
    ///
    /// # Errors
    /// [`OverLimit::NotAllowed`].
    pub fn check_token(&self, token: Address) -> Result<(), OverLimit> {
        allowed(&self.tokens, &token, "tokens")
    }

    /// May a request cost `price`?
    ///
    /// # Errors
    /// [`OverLimit::Amount`].
    pub fn check_price(&self, price: Amount) -> Result<(), OverLimit> {
        at_most("the request costs", price, "max_price", Some(self.max_price))
    }

    /// May another `price` be spent at `host`, after what was spent today?
    ///
    /// # Errors
    /// [`OverLimit::Amount`], the limit for all hosts first.
    pub fn check_day(&self, spending: &Spending, host: &str, price: Amount) -> Result<(), OverLimit> {
        let today = spending.total.saturating_add(price);
        at_most("today would cost", today, "max_per_day", self.max_per_day)?;
        let here = spending.at(host).saturating_add(price);
        at_most("today would cost at this host", here, "max_per_host_per_day", self.max_per_host_per_day)
    }

    /// May a channel hold `deposit` in all?
    ///
    /// # Errors
    /// [`OverLimit::Amount`].
    pub fn check_deposit(&self, deposit: Amount) -> Result<(), OverLimit> {
        at_most("the channel would need a deposit of", deposit, "max_deposit", Some(self.max_deposit))
    }

    /// May another `added` go into channels today?
    ///
    /// # Errors
    /// [`OverLimit::Amount`].
    pub fn check_top_up(&self, spending: &Spending, added: Amount) -> Result<(), OverLimit> {
        let today = spending.topped_up.saturating_add(added);
        at_most("today's top-ups would be", today, "max_top_ups_per_day", self.max_top_ups_per_day)
    }

    /// May another channel be opened today?
    ///
    /// # Errors
    /// [`OverLimit::Amount`].
    pub fn check_open(&self, spending: &Spending) -> Result<(), OverLimit> {
        let opens = Amount::new(u128::from(spending.opens) + 1);
        let most = Amount::new(u128::from(self.max_opens_per_day));
        at_most("the channels opened today would be", opens, "max_opens_per_day", Some(most))
    }

    /// May a transaction cost up to `wei`?
    ///
    /// # Errors
    /// [`OverLimit::Amount`].
    pub fn check_gas(&self, wei: u128) -> Result<(), OverLimit> {
        let most = self.max_gas_wei.map(|wei| Amount::new(wei.into()));
        at_most("the transaction could cost wei", Amount::new(wei), "max_gas_wei", most)
    }
}

fn at_most(what: &'static str, wanted: Amount, limit: &'static str, most: Option<Amount>) -> Result<(), OverLimit> {
    match most {
        Some(most) if wanted > most => {
            Err(OverLimit::Amount { what, wanted: wanted.units(), limit, allowed: most.units() })
        }
        _ => Ok(()),
    }
}

fn allowed<T: PartialEq + fmt::Display>(list: &Allowed<T>, item: &T, limit: &'static str) -> Result<(), OverLimit> {
    if list.allows(item) { Ok(()) } else { Err(OverLimit::NotAllowed { item: item.to_string(), limit }) }
}

impl<T: Serialize> Serialize for Allowed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Allowed::Any => serializer.serialize_str("any"),
            Allowed::These(list) => list.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Allowed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Allowed<T>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "\"any\" or a list")]
        enum Form<T> {
            Word(String),
            List(Vec<T>),
        }
        match Form::deserialize(deserializer)? {
            Form::Word(word) if word == "any" => Ok(Allowed::Any),
            Form::Word(word) => Err(serde::de::Error::custom(format!("expected \"any\" or a list, not {word:?}"))),
            Form::List(list) => Ok(Allowed::These(list)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Amount = Amount::new(10);

    #[test]
    fn a_new_day_begins_at_zero_and_a_clock_set_back_begins_nothing() {
        let mut spending = Spending::default().on(100);
        spending.add("a", TEN);
        assert_eq!(spending.clone().on(101).total, Amount::ZERO);
        assert_eq!(spending.clone().on(99), spending);
    }

    #[test]
    fn hosts_beyond_those_told_apart_share_one_counter() {
        let mut spending = Spending::default();
        for n in 0..HOSTS_MAX + 2 {
            spending.add(&format!("host{n}"), TEN);
        }
        assert_eq!(spending.hosts.len(), HOSTS_MAX + 1);
        assert_eq!(spending.at("one more"), Amount::new(20));
        assert_eq!(spending.at("host1"), TEN);
    }

    #[test]
    fn what_was_never_taken_counts_no_more() {
        let mut spending = Spending::default();
        spending.add("a", TEN);
        spending.take_back("a", TEN);
        assert_eq!((spending.total, spending.at("a")), (Amount::ZERO, Amount::ZERO));
        spending.take_back("a", TEN);
        assert_eq!(spending.total, Amount::ZERO);
    }

    #[test]
    fn the_first_amount_over_a_limit_is_refused() {
        let limits = Limits { max_price: TEN, max_per_host_per_day: Some(Amount::new(15)), ..Limits::default() };
        assert_eq!(limits.check_price(TEN), Ok(()));
        let over = limits.check_price(Amount::new(11)).expect_err("it is over");
        assert_eq!(over.to_string(), "the request costs 11, over the limit max_price = 10");
        let mut spending = Spending::default();
        spending.add("a", TEN);
        assert_eq!(limits.check_day(&spending, "a", Amount::new(5)), Ok(()));
        assert_eq!(
            limits.check_day(&spending, "a", Amount::new(6)).map_err(|o| o.limit()),
            Err("max_per_host_per_day")
        );
        assert_eq!(limits.check_day(&spending, "b", TEN), Ok(()));
    }

    #[test]
    fn a_list_is_any_or_a_list() {
        let read = |json: &str| serde_json::from_str::<Allowed<u64>>(json);
        assert_eq!(read("\"any\"").ok(), Some(Allowed::Any));
        assert_eq!(read("[1]").ok(), Some(Allowed::These(vec![1])));
        assert!(read("\"all\"").is_err());
    }
}
