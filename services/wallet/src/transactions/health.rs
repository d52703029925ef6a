//! Could an account answer a dishonest close in good time? Fronts sell only as long as it could.

use std::time::Duration;

use alloy_primitives::U256;
use evm::Fees;

use super::fees::capped;
use super::machine::Policy;

/// More gas than an answer takes, whatever the contract.
pub(crate) const GAS_OF_AN_ANSWER: u64 = 300_000;
/// The hindrance that only an operator ends.
pub(crate) const OUT_OF_GAS: &str = "out of gas";
/// What is urgent and not mined after it was due to offer more so many times is stuck.
const BUMPS: u32 = 3;

/// What decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// What the account has.
    pub(crate) balance: U256,
    /// What a unit of gas costs at least,
    pub(crate) base_fee: u128,
    /// and what gets a transaction into one of the next blocks.
    pub(crate) market: Fees,
    /// For how long something urgent has waited to be mined, if something does.
    pub(crate) urgent_for: Option<Duration>,
    /// For how long a nonce has been missing.
    pub(crate) gap_for: Duration,
}

/// Why an answer would not be mined in good time; `None` when it would.
pub(crate) fn hindrance(health: &Health, policy: &Policy) -> Option<&'static str> {
    let cost =
        U256::from(GAS_OF_AN_ANSWER).saturating_mul(U256::from(capped(health.market, policy.urgent_cap).max_fee));
    if health.balance < cost {
        return Some(OUT_OF_GAS);
    }
    if health.base_fee > policy.urgent_cap {
        return Some("fees above the cap");
    }
    if health.urgent_for.is_some_and(|waited| waited >= policy.bump_after.saturating_mul(BUMPS)) {
        return Some("something urgent is not mined");
    }
    (health.gap_for >= policy.resend_after).then_some("a nonce is missing")
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::POLICY;
    use super::*;

    fn well() -> Health {
        let market = Fees { max_fee: 21, max_priority_fee: 1 };
        let (base_fee, urgent_for, gap_for) = (10, Some(Duration::from_secs(89)), Duration::from_secs(14));
        Health { balance: U256::from(21 * 300_000), base_fee, market, urgent_for, gap_for }
    }

    #[test]
    fn an_account_answers_in_time_unless_something_is_in_the_way() {
        let hindered = |health: Health| hindrance(&health, &POLICY);
        assert_eq!(hindered(well()), None);
        assert_eq!(hindered(Health { balance: U256::from(21 * 300_000 - 1), ..well() }), Some(OUT_OF_GAS));
        let dear = Fees { max_fee: 5_000, max_priority_fee: 1 };
        let dear = Health { base_fee: 351, market: dear, balance: U256::from(350 * 300_000), ..well() };
        assert_eq!(hindered(dear), Some("fees above the cap"));
        assert_eq!(hindered(Health { base_fee: 350, ..dear }), None);
        let long = Some(Duration::from_secs(90));
        assert_eq!(hindered(Health { urgent_for: long, ..well() }), Some("something urgent is not mined"));
        assert_eq!(hindered(Health { gap_for: Duration::from_secs(15), ..well() }), Some("a nonce is missing"));
    }
}
