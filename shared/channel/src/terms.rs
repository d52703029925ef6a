use serde::{Deserialize, Serialize};

use crate::Amount;

/// How a voucher may relate to what was authorised before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Any amount that leaves enough credit: vouchers may run ahead, arrive out of order, be shared by parallel calls.
    Any,
    /// Exactly what was authorised plus the price (µRaiden, MPE).
    #[default]
    FromAuthorised,
    /// Exactly what was charged plus the price (x402); one sale at a time.
    FromSpent,
}

/// What a deployment demands of a sale, and how much it risks on one channel and on one payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How a new voucher relates to the last.
    pub step: Step,
    /// The least a new voucher must add, so that nobody makes us store a million vouchers of one unit.
    pub min_delta: Amount,
    /// The least that must be deposited and confirmed in a channel.
    pub min_deposit: Amount,
    /// The most that may be owed to us and not yet claimed on one channel.
    pub max_exposure: Amount,
    /// The same, over all channels of one payer in the deployment. [`Amount::MAX`]: whatever one channel may.
    pub max_payer_exposure: Amount,
    /// The same, over all channels of the deployment, give or take what several fronts sell at once.
    pub max_total_exposure: Amount,
    /// The most that calls in flight may reserve on one channel.
    pub max_held: Amount,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            step: Step::default(),
            min_delta: Amount::ZERO,
            min_deposit: Amount::ZERO,
            max_exposure: Amount::MAX,
            max_payer_exposure: Amount::MAX,
            max_total_exposure: Amount::MAX,
            max_held: Amount::MAX,
        }
    }
}

impl Terms {
    /// Whether a sale must know what the payer owes on its other channels: [`crate::Sale::elsewhere`].
    pub fn limits_payers(&self) -> bool {
        self.max_payer_exposure < Amount::MAX
    }

    /// Whether a sale must know what is owed on all channels of the deployment: [`crate::Sale::in_all`].
    pub fn limits_total(&self) -> bool {
        self.max_total_exposure < Amount::MAX
    }
}
