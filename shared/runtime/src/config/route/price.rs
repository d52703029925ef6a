use channel::Amount;
use serde::Deserialize;

/// What one request costs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Amount")]
pub enum Price {
    /// Always the same; zero is free.
    Fixed(Amount),
}

impl From<Amount> for Price {
    fn from(amount: Amount) -> Price {
        Price::Fixed(amount)
    }
}

impl Price {
    /// True if nothing is ever asked for.
    pub fn is_free(&self) -> bool {
        matches!(self, Price::Fixed(amount) if amount.is_zero())
    }
}
