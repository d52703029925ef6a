use std::time::Duration;

use alloy_primitives::U512;

use crate::{Amount, Deadline};

/// When an operator wants money taken on chain by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// With this much to claim, it is claimed,
    pub min_amount: Amount,
    /// and with however little, once there has been something to claim for so long.
    pub max_age: Duration,
    /// What gas is worth. `None`: nobody said, so nothing is done by itself but challenges.
    pub coin: Option<Coin>,
    /// The gas that a claim takes,
    pub gas: u64,
    /// and the most it may cost, in hundredths of what it brings.
    pub max_gas_percent: u8,
    /// How long a payer may leave the closing signature unused that we gave it.
    pub unused_after: Duration,
    /// How long a payer may leave a close unsettled whose challenge period is over.
    pub unsettled_after: Duration,
    /// How long before its deadline a close that we accept is ended by us already; zero: not before.
    pub before_deadline: Duration,
    /// Between blocks, when the chain is at its fastest.
    pub block: Duration,
}

/// What the chain's coin is worth, as an exact ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coin {
    /// So many wei
    pub wei: u128,
    /// are worth so many base units of the token.
    pub units: Amount,
}

/// What plans depend on beside the channel. Ages are by the clock of whoever noted their beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The newest block,
    pub head: u64,
    /// and its time, in seconds since 1970.
    pub time: u64,
    /// What we would offer for a unit of gas, in wei.
    pub gas_price: u128,
    /// How long there has been something to claim; zero when there is nothing.
    pub unclaimed_for: Duration,
    /// How long ago a close was agreed to; zero when none was.
    pub agreed_for: Duration,
}

/// How far a moment is from a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distance {
    /// It is not over yet.
    Left(Duration),
    /// It is.
    Over(Duration),
}

impl Policy {
    /// The same for what an operator asks for: at once, however little there is to claim, as long as it is worth its gas
    /// or nobody said what that is worth.
    #[must_use]
    pub fn on_request(self) -> Policy {
        let coin = self.coin.or(Some(Coin { wei: 1, units: Amount::ZERO }));
        Policy { min_amount: Amount::ZERO, max_age: Duration::ZERO, coin, ..self }
    }

    /// The same, whatever it costs.
    #[must_use]
    pub fn at_any_cost(self) -> Policy {
        Policy { coin: None, ..self }.on_request()
    }

    /// Whether taking `amount` costs no more than its share at this price of gas, in wei.
    pub fn is_worth_its_gas(&self, amount: Amount, gas_price: u128) -> bool {
        let Some(coin) = self.coin else { return false };
        // At most 128 + 64 + 128 + 7 bits.
        let cost = U512::from(gas_price) * U512::from(self.gas) * U512::from(coin.units.units()) * U512::from(100);
        let share = U512::from(amount.units()) * U512::from(self.max_gas_percent) * U512::from(coin.wei);
        cost <= share
    }

    /// Whether money that has been unclaimed for so long may wait for a moment in which claiming it disturbs no call: for
    /// the first half of the longest it may.
    pub(crate) fn may_wait(&self, unclaimed_for: Duration) -> bool {
        unclaimed_for < self.max_age / 2
    }
}

impl Moment {
    pub(crate) fn distance(&self, deadline: Deadline, block: Duration) -> Distance {
        let (last, now, unit) = match deadline {
            Deadline::Block(last) => (last, self.head, block),
            Deadline::Time(last) => (last, self.time, Duration::from_secs(1)),
        };
        let times = |n: u64| unit.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
        if now > last { Distance::Over(times(now - last)) } else { Distance::Left(times(last - now)) }
    }
}
