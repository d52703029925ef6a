use crate::Amount;

/// Why nothing was sold. A value with numbers in it, not an error: each protocol words it in its own dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The chain shows no such channel.
    #[error("no such channel")]
    Unknown,
    /// The channel's opening is not deep enough yet.
    #[error("the channel's opening is not confirmed yet")]
    Unconfirmed,
    /// A close was requested, agreed or done.
    #[error("the channel is closing or closed")]
    NotOpen,
    /// The voucher is for another epoch.
    #[error("the voucher is for epoch {got}, the channel is in epoch {current}")]
    Epoch {
        /// The channel's.
        current: u64,
        /// The voucher's.
        got: u64,
    },
    /// The voucher does not step as the terms demand.
    #[error("the voucher says {got}, expected {expected}")]
    Amount {
        /// What the voucher should have said, or at least.
        expected: Amount,
        /// What it says.
        got: Amount,
    },
    /// The voucher was seen before, and this is no repetition of a failed call.
    #[error("the voucher was used before")]
    Replayed,
    /// The voucher stands in public calldata: it proves nothing about who sends it.
    #[error("the voucher was published on chain")]
    Published,
    /// What is authorised does not cover the price.
    #[error("the credit of {credit} does not cover the price of {price}")]
    Unpaid {
        /// What is asked.
        price: Amount,
        /// What is left of what was authorised.
        credit: Amount,
    },
    /// More is authorised than the chain covers.
    #[error("{wanted} is authorised, but only {deposit} is deposited and confirmed")]
    OverDeposit {
        /// Cumulative, after this sale.
        wanted: Amount,
        /// The confirmed deposit.
        deposit: Amount,
        /// Deposited, not confirmed yet.
        pending: Amount,
    },
    /// The channel is too small for us.
    #[error("{deposit} is deposited and confirmed, the least is {least}")]
    SmallDeposit {
        /// The confirmed deposit.
        deposit: Amount,
        /// Deposited, not confirmed yet.
        pending: Amount,
        /// The terms'.
        least: Amount,
    },
    /// Too much is owed and unclaimed on this channel.
    #[error("the channel would owe {wanted}, the limit is {limit}")]
    Exposure {
        /// After this sale.
        wanted: Amount,
        /// The terms'.
        limit: Amount,
    },
    /// Too much is owed and unclaimed on all channels of this payer.
    #[error("the payer would owe {wanted} on all its channels, the limit is {limit}")]
    PayerExposure {
        /// After this sale.
        wanted: Amount,
        /// The terms'.
        limit: Amount,
    },
    /// Too much is owed and unclaimed on all channels together.
    #[error("all channels would owe {wanted}, the limit is {limit}")]
    TotalExposure {
        /// After this sale.
        wanted: Amount,
        /// The terms'.
        limit: Amount,
    },
    /// Too much is reserved by calls in flight.
    #[error("calls in flight would reserve {wanted}, the limit is {limit}")]
    Held {
        /// After this sale.
        wanted: Amount,
        /// The terms'.
        limit: Amount,
    },
    /// The same request, or a sale that must be alone, is in flight.
    #[error("a call that must finish first is in flight")]
    Busy,
    /// The request id was used for another request.
    #[error("the request id was used for another request")]
    RequestReused,
    /// Our view of the chain is too old to sell on.
    #[error("our view of the chain is too old to sell on")]
    Stale,
}
