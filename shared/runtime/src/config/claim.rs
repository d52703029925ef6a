use std::time::Duration;

use channel::{Amount, Coin, Policy};
use serde::Deserialize;

use super::wei::Wei;

/// When the wallet takes money on chain by itself. Dishonest closes are answered whatever it says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Claim {
    /// What `coin` is worth, in base units of the token. Without it nothing is claimed, closed or ended but on request.
    pub coin_units: Option<Amount>,
    /// So much of the chain's own coin.
    pub coin: Wei,
    /// Claimed with so much unclaimed on a channel; half of the deployment's `max_exposure` is enough, too.
    pub min_amount: Amount,
    /// Claimed once something has been unclaimed for so long.
    pub max_age_s: u64,
    /// The gas that a claim takes,
    pub gas: u64,
    /// and the most it may cost, in hundredths of what it brings.
    pub max_gas_percent: u8,
    /// How long a payer may leave a closing signature of ours unused, before we close.
    pub unused_s: u64,
    /// How long a payer may leave its close unsettled after the challenge period, before we end it.
    pub unsettled_s: u64,
    /// How long before its deadline a close that we accept is ended already; 0: not before.
    pub before_deadline_s: u64,
}

impl Default for Claim {
    fn default() -> Claim {
        Claim {
            coin_units: None,
            coin: Wei(Amount::new(1_000_000_000_000_000_000)),
            min_amount: Amount::MAX,
            max_age_s: 86_400,
            gas: 120_000,
            max_gas_percent: 10,
            unused_s: 3_600,
            unsettled_s: 3_600,
            before_deadline_s: 0,
        }
    }
}

impl Claim {
    /// As the rules know it. Payers wait at `max_exposure` until something is claimed, so that is not waited for.
    pub(super) fn policy(&self, max_exposure: Amount, fastest_block_s: u64) -> Policy {
        let half = Amount::new(max_exposure.units().div_ceil(2));
        Policy {
            min_amount: self.min_amount.min(half),
            max_age: Duration::from_secs(self.max_age_s),
            coin: self.coin_units.map(|units| Coin { wei: self.coin.0.units(), units }),
            gas: self.gas,
            max_gas_percent: self.max_gas_percent,
            unused_after: Duration::from_secs(self.unused_s),
            unsettled_after: Duration::from_secs(self.unsettled_s),
            before_deadline: Duration::from_secs(self.before_deadline_s),
            block: Duration::from_secs(fastest_block_s),
        }
    }

    pub(super) fn problems(&self, key: &str, problems: &mut Vec<String>) {
        if self.coin.0.is_zero() {
            problems.push(format!("{key}.coin: must be above 0"));
        }
        if self.gas == 0 {
            problems.push(format!("{key}.gas: must be above 0"));
        }
        if !(1..=100).contains(&self.max_gas_percent) {
            problems.push(format!("{key}.max_gas_percent: must be between 1 and 100"));
        }
        if self.min_amount.is_zero() {
            problems.push(format!("{key}.min_amount: must be above 0: every voucher would be a transaction"));
        }
    }
}
