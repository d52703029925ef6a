//! What we ask of an EVM node, and what we send it: JSON-RPC, blocks and logs, transactions, key files.
//!
//! [`Rpc`] is a chain, by one node or several that stand in for each other: every call has a time-out, the chain id is
//! checked before anything is believed, nodes that lag or disagree are avoided, and errors say what a caller can do about
//! them ([`EvmError`]). Reads are repeated a little when the connection fails; nothing that sends money is.
//! [`sign_transaction`] makes raw transactions, [`Account`] sends them for the paying side, and [`keyfile`] keeps keys on
//! disk.
//!
//! *Absent by design:* a nonce cache (a failed send would leave a gap behind it; the wallet numbers its transactions in
//! the ledger, a payer asks the chain), and any knowledge of contracts.

mod account;
mod chain;
mod classify;
mod compare;
mod error;
pub mod keyfile;
mod metric;
mod node;
mod rpc;
mod state;
mod submission;
mod transport;
mod tx;

pub use account::Account;
pub use chain::Block;
pub use error::EvmError;
pub use rpc::Rpc;
pub use state::{Fees, Receipt};
pub use submission::Submission;
pub use tx::{SignedTransaction, Transaction, sign_transaction};
