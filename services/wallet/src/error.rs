use channel::CloseRefusal;
use contracts::ContractError;
use evm::EvmError;
use ledger::LedgerError;

/// Why a job made no progress. All of it is tried again later; nothing was done by halves.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalletError {
    /// The ledger is away, or somebody else was first.
    #[error("the ledger did not go along")]
    Ledger(#[from] LedgerError),
    /// The node is away, or refuses; or the contract does.
    #[error("the chain did not go along")]
    Chain(#[from] EvmError),
    /// The ledger holds a channel that its contract cannot have.
    #[error("the contract cannot be told so")]
    Contract(#[from] ContractError),
    /// The rules do not let us close at the voucher's amount.
    #[error("the close was not agreed to")]
    Refused(#[from] CloseRefusal),
    /// A voucher must not be shown to all the world at this moment.
    #[error("calls are in flight on the channel, or a close was agreed to")]
    NotNow,
    /// What the nodes say is of no use yet.
    #[error("the nodes are behind block {block}, in which the last refill was mined")]
    Behind {
        /// The block's number.
        block: u64,
    },
    /// Only an operator can help.
    #[error("account {account} has {has} wei, and a transaction may cost {needs}")]
    OutOfGas {
        /// Ours.
        account: alloy_primitives::Address,
        /// Its balance.
        has: alloy_primitives::U256,
        /// Gas times the most we pay for it.
        needs: alloy_primitives::U256,
    },
    /// As many transactions as may be wait to be mined.
    #[error("account {account} has as many transactions under way as it may")]
    Full {
        /// Ours.
        account: alloy_primitives::Address,
    },
}
