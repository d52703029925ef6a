use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::{B256, Bytes};

/// Why something did not come about, by what can be done about it. No variant ever shows a node's address: keys hide there.
#[derive(Debug, thiserror::Error)]
pub enum EvmError {
    /// The node was not reached, or cannot answer now (5xx, rate limit, something that is no JSON-RPC). Retry later.
    #[error("the node cannot answer now: {0}")]
    Transport(String),
    /// The node did not answer in time. Retry later; a transaction may or may not have been taken.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A query for logs spans more than the node serves. Ask for less.
    #[error("the query for logs is too large for the node: {0}")]
    RangeTooLarge(String),
    /// The EVM refused: it would do so again.
    #[error("the contract refused: {reason}")]
    Revert {
        /// What the contract said, decoded as far as Solidity's own errors go.
        reason: String,
        /// What it said in bytes, if the node told.
        data: Bytes,
    },
    /// The node refused the request.
    #[error("the node refused ({code}): {message}")]
    Rejected {
        /// JSON-RPC's code.
        code: i64,
        /// The node's words.
        message: String,
    },
    /// The node serves another chain. Nothing it says may be believed.
    #[error("the node serves chain {got}, expected {expected}")]
    WrongChain {
        /// The configured chain.
        expected: u64,
        /// What the node says.
        got: u64,
    },
    /// The node's answer lacks what it must have. Retry later, perhaps elsewhere.
    #[error("the node's answer makes no sense: {0}")]
    Malformed(String),
    /// The transaction was mined, and failed.
    #[error("transaction {hash} was mined, but failed")]
    Failed {
        /// Which.
        hash: B256,
    },
    /// A key file is missing, readable by others, or not what it should be.
    #[error("{path}: {problem}")]
    KeyFile {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl EvmError {
    /// True for what may go away by itself: asking again later is right.
    pub const fn is_transient(&self) -> bool {
        matches!(self, EvmError::Transport(_) | EvmError::Timeout(_) | EvmError::Malformed(_))
    }

    /// True for what says something about the node and nothing about the question: another node may answer.
    pub(crate) const fn is_of_the_node(&self) -> bool {
        self.is_transient() || matches!(self, EvmError::WrongChain { .. })
    }

    /// A short name for metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            EvmError::Transport(_) => "transport",
            EvmError::Timeout(_) => "timeout",
            EvmError::RangeTooLarge(_) => "range_too_large",
            EvmError::Revert { .. } => "revert",
            EvmError::Rejected { .. } => "rejected",
            EvmError::WrongChain { .. } => "wrong_chain",
            EvmError::Malformed(_) => "malformed",
            EvmError::Failed { .. } => "failed",
            EvmError::KeyFile { .. } => "key_file",
        }
    }
}
