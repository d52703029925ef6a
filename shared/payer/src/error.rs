use std::io;
use std::path::{Path, PathBuf};

use alloy_primitives::U256;
use channel::Amount;

use crate::limits::OverLimit;

/// Why a payment, or something about a channel, did not happen.
#[derive(Debug, thiserror::Error)]
pub enum PayerError {
    /// It would break a limit. Nothing was signed or sent for it.
    #[error("refused: {0}")]
    Limit(#[from] OverLimit),

    /// The server did not take the payment. Trying again as it is will not help; `why` says what would.
    #[error("the server refused the payment: {why}")]
    Refused {
        /// What it said, and what to do about it.
        why: String,
    },

    /// The server says something about our channel that it cannot prove, or that contradicts itself. Nothing more is signed.
    #[error("the server is lying or broken: {why}")]
    Lied {
        /// What it said.
        why: String,
    },

    /// The server took the payment and did not serve. Asking again costs again, unless the request had an Idempotency-Key.
    #[error("the server holds our voucher of {balance} but did not serve the request; asking again pays again")]
    TakenNotServed {
        /// The cumulative amount it holds.
        balance: Amount,
    },

    /// The voucher left, and no answer came. Whether it was taken shows at the next request.
    #[error(
        "no answer came after a voucher of {balance} was sent; asking again may pay again, unless the request has an Idempotency-Key"
    )]
    AnswerLost {
        /// The cumulative amount that was sent.
        balance: Amount,
        /// What happened to the connection.
        #[source]
        source: Option<reqwest::Error>,
    },

    /// The server could not be asked; no voucher left.
    #[error("cannot reach {host}")]
    Unreachable {
        /// Who.
        host: String,
        /// Why.
        #[source]
        source: Option<reqwest::Error>,
    },

    /// A redirect that is not followed; the text says why.
    #[error("{0}")]
    Redirect(String),

    /// What was asked for makes no sense.
    #[error("{0}")]
    BadRequest(String),

    /// There is no such channel, or it is in no state for this; the text says which.
    #[error("{0}")]
    Channel(String),

    /// The account holds too few tokens.
    #[error("the deposit needs {need} tokens (base units), the account holds {have}")]
    TooFewTokens {
        /// What the deposit takes.
        need: Amount,
        /// What there is.
        have: U256,
    },

    /// A transaction was mined and failed.
    #[error("transaction {hash} was mined and reverted")]
    Reverted {
        /// Its hash.
        hash: alloy_primitives::B256,
    },

    /// The chain cannot be asked, or did not do what it was asked for.
    #[error("the chain did not cooperate while {doing}")]
    Chain {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: evm::EvmError,
    },

    /// What the contract answered cannot be understood.
    #[error("{0} is no channel contract of this kind")]
    NoContract(alloy_primitives::Address),

    /// Another process has the state open.
    #[error("{} is in use by another process: wait for it, or use another state directory", path.display())]
    InUse {
        /// The lock.
        path: PathBuf,
    },

    /// The state cannot be trusted. It is never overwritten.
    #[error("{} cannot be trusted: {why}. Move it away: channels are found again on chain", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PayerError {
    pub(crate) fn disk(path: &Path) -> impl FnOnce(io::Error) -> PayerError {
        let path = path.to_owned();
        move |source| PayerError::Disk { path, source }
    }

    pub(crate) fn corrupt(path: &Path, why: &str) -> PayerError {
        PayerError::Corrupt { path: path.to_owned(), why: why.to_owned() }
    }

    pub(crate) fn chain(doing: &'static str) -> impl FnOnce(evm::EvmError) -> PayerError {
        move |source| PayerError::Chain { doing, source }
    }

    pub(crate) fn refused(why: impl Into<String>) -> PayerError {
        PayerError::Refused { why: why.into() }
    }

    pub(crate) fn lied(why: impl Into<String>) -> PayerError {
        PayerError::Lied { why: why.into() }
    }
}
