//! How many payments of one client may turn out to be nobody's: a signature costs us a hundred times what it costs to
//! send one.
//!
//! Only failures are counted: a bad signature, or a good one for a channel that is not there. A client that used up its
//! budget is answered 429 before another signature of its is looked at, until the budget has grown by one again. Good
//! payments cost nothing of it.
//!
//! Many clients can share an address. So a payer that paid lately from there still passes when the budget is used up: a
//! stranger next door shuts out other strangers, not customers. Who fails in a customer's name then costs that name its
//! pass; it has it back with its next payment.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use moka::sync::Cache;
use runtime::config;

use crate::rates::{Rates, SLOTS, TooOften, network};

/// How long a payment lets its payer pass.
const LATELY: Duration = Duration::from_secs(600);
/// Payers that are remembered.
const CUSTOMERS: u64 = 1 << 14;

/// What clients may spend of our time.
pub(crate) struct Budget {
    /// `None`: as much as they like.
    failures: Option<Rates>,
    /// For each of its buckets, until when it is empty, in milliseconds since `began`.
    empty_until: Box<[AtomicU64]>,
    began: Instant,
    /// Who paid from where, and when.
    customers: Cache<(IpAddr, Address), Instant>,
}

impl Budget {
    pub(crate) fn new(config: config::Budget) -> Budget {
        Budget {
            failures: Rates::new(config.per_minute, config.burst),
            empty_until: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            began: Instant::now(),
            customers: Cache::builder().max_capacity(CUSTOMERS).time_to_live(LATELY).build(),
        }
    }

    /// Whether the signature of a payment that names `payer` may be looked at.
    ///
    /// # Errors
    /// When this client's budget is used up, and `payer` did not pay from there lately.
    pub(crate) fn check(&self, client: IpAddr, payer: Address) -> Result<(), TooOften> {
        let Some(empty_until) = self.empty_until(client) else { return Ok(()) };
        let wait = empty_until.load(Ordering::Relaxed).saturating_sub(self.now());
        if wait == 0 || self.customers.contains_key(&(network(client), payer)) {
            return Ok(());
        }
        Err(TooOften { retry_after: u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX) })
    }

    /// The payment was nobody's.
    pub(crate) fn failed(&self, client: IpAddr, payer: Address) {
        let (Some(failures), Some(empty_until)) = (&self.failures, self.empty_until(client)) else { return };
        if let Err(TooOften { retry_after }) = failures.take(client) {
            empty_until.store(self.now() + 1000 * u64::from(retry_after), Ordering::Relaxed);
            self.customers.invalidate(&(network(client), payer));
        }
    }

    /// The payment bought something.
    pub(crate) fn paid(&self, client: IpAddr, payer: Address) {
        let customer = (network(client), payer);
        if self.failures.is_some() && self.customers.get(&customer).is_none_or(|since| since.elapsed() > LATELY / 2) {
            self.customers.insert(customer, Instant::now());
        }
    }

    fn empty_until(&self, client: IpAddr) -> Option<&AtomicU64> {
        let slot = usize::try_from(self.failures.as_ref()?.slot(client)).ok()?;
        self.empty_until.get(slot)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const ANN: Address = Address::repeat_byte(1);
    const BOB: Address = Address::repeat_byte(2);

    /// A budget of three, all of it used up by Bob from here.
    fn used_up() -> Budget {
        let budget = Budget::new(config::Budget { per_minute: 1, burst: 3 });
        for _ in 0..4 {
            assert_eq!(budget.check(HERE, BOB), Ok(()));
            budget.failed(HERE, BOB);
        }
        budget
    }

    #[test]
    fn failures_use_it_up_and_time_brings_it_back() {
        let retry_after = used_up().check(HERE, BOB).unwrap_err().retry_after;
        assert!((50..=60).contains(&retry_after), "{retry_after}");
    }

    #[test]
    fn another_client_has_its_own() {
        assert_eq!(used_up().check(THERE, BOB), Ok(()));
    }

    #[test]
    fn who_paid_from_there_passes_and_nobody_else() {
        let budget = used_up();
        budget.paid(HERE, ANN);
        assert_eq!(budget.check(HERE, ANN), Ok(()));
        assert!(budget.check(HERE, BOB).is_err());
        budget.paid(THERE, BOB);
        assert!(budget.check(HERE, BOB).is_err());
    }

    #[test]
    fn who_fails_in_a_customers_name_costs_it_its_pass() {
        let budget = used_up();
        budget.paid(HERE, ANN);
        budget.failed(HERE, ANN);
        assert!(budget.check(HERE, ANN).is_err());
    }

    #[test]
    fn good_payments_cost_nothing() {
        let budget = Budget::new(config::Budget { per_minute: 1, burst: 1 });
        for _ in 0..100 {
            assert_eq!(budget.check(HERE, ANN), Ok(()));
            budget.paid(HERE, ANN);
        }
    }

    #[test]
    fn none_per_minute_is_no_limit() {
        let budget = Budget::new(config::Budget { per_minute: 0, burst: 1 });
        for _ in 0..100 {
            budget.failed(HERE, BOB);
            assert_eq!(budget.check(HERE, BOB), Ok(()));
        }
    }

    #[test]
    fn memory_is_flat_however_many_clients_and_payers_there_are() {
        let budget = Budget::new(config::Budget { per_minute: 1, burst: 1 });
        for number in 0..100_000_u32 {
            let payer = Address::left_padding_from(&number.to_be_bytes());
            budget.failed(IpAddr::from(number.to_be_bytes()), payer);
            budget.paid(IpAddr::from(number.to_be_bytes()), payer);
        }
        budget.customers.run_pending_tasks();
        assert!(budget.customers.entry_count() <= CUSTOMERS);
    }
}
