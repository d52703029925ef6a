//! What a request costs.

use channel::Amount;
use http::request::Parts;
use runtime::config;

use crate::fault::Fault;

/// How a route's price is found.
pub(crate) enum Price {
    /// Always the same.
    Fixed(Amount),
}

impl Price {
    pub(crate) fn new(config: &config::Price) -> Price {
        match config {
            config::Price::Fixed(amount) => Price::Fixed(*amount),
        }
    }

    /// What this request costs; zero is free.
    ///
    /// # Errors
    /// When the price cannot be known. Nothing is sold then.
    pub(crate) async fn of(&self, _head: &Parts) -> Result<Amount, Fault> {
        match self {
            Price::Fixed(amount) => Ok(*amount),
        }
    }
}
