use evm::EvmError;
use ledger::LedgerError;

/// Why a round came to nothing. Nothing is lost by it: the next round begins where the ledger says we are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The node's answers do not belong to one chain: it changed while we asked, or several nodes answer.
    #[error("the chain changed while it was read")]
    Moved,
    /// The node did not answer, or refused.
    #[error("the node is of no help")]
    Node(#[from] EvmError),
    /// The ledger did not take it.
    #[error("the ledger did not take it")]
    Ledger(#[from] LedgerError),
    /// The contract is not the one configured. Nothing is sold through it.
    #[error("the contract is not the one configured: {0}")]
    Contract(String),
}

impl Trouble {
    /// A short name for metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Trouble::Moved => "moved",
            Trouble::Node(error) => error.label(),
            Trouble::Ledger(LedgerError::Fenced) => "fenced",
            Trouble::Ledger(_) => "ledger",
            Trouble::Contract(_) => "contract",
        }
    }
}
