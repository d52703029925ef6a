//! How the EVM says it: what a channel contract signs, logs and is called with, one file per contract ABI.
//!
//! [`Contract`] turns the logs of one [`Deployment`] into the core's [`Event`]s, says which digests its payers and
//! payees sign, and encodes what is sent to it. [`Kind`] is the list of all of them. What only one contract has (how a
//! payer opens or tops up) is in that contract's own module, [`raiden`]; [`token`] speaks to the token beside it, and
//! [`artifacts`] holds what is compiled from the repository's Solidity sources.
//!
//! *Absent by design:* `async`, RPC, clocks, randomness, environment. Integers are read and hashed at the contract's
//! full width; what enters the ledger is an [`Amount`], and only deposits may saturate on the way.
//!
//! To add a contract: a file like `raiden.rs`, a variant of [`Kind`], an arm in [`Kind::contract`].

use alloy_primitives::{Address, B256, Bytes};
use channel::{Amount, BlockRef, Channel, ChannelId, Event, Signature};
use serde::Deserialize;

pub mod artifacts;
pub mod raiden;
pub mod token;

pub use alloy_sol_types::{SolCall, SolEvent};

/// A contract on a chain that pays one payee in one token: where vouchers are worth something.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// What the configuration calls it.
    pub name: String,
    /// Which contract it is.
    pub kind: Kind,
    /// The chain's id, as in EIP-155.
    pub chain_id: u64,
    /// The contract's address.
    pub contract: Address,
    /// The token that channels are in.
    pub token: Address,
    /// Whom channels pay; those of others are not ours.
    pub payee: Address,
    /// Blocks between a close request and the first settlement, as the contract was deployed with.
    pub challenge_period: u32,
    /// The block to read logs from; none of ours are older.
    pub from_block: u64,
    /// How many blocks must follow on a deposit's before it counts.
    pub confirmations: u64,
}

/// The contracts we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// µRaiden 0.2.0, and ours with the same ABI: see [`raiden`].
    Raiden,
}

impl Kind {
    /// The list of contracts.
    pub fn contract(self) -> &'static dyn Contract {
        match self {
            Kind::Raiden => &raiden::Raiden,
        }
    }
}

/// A channel as logs and the wire name it: all that is needed, beside its [`Deployment`], to sign for it and to call
/// the contract about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Opening {
    /// Who deposits and signs.
    pub payer: Address,
    /// What else the contract names a channel by; which bytes is the contract's affair.
    pub params: Bytes,
}

impl From<&Channel> for Opening {
    fn from(channel: &Channel) -> Opening {
        Opening { payer: channel.payer, params: channel.params.clone() }
    }
}

/// A log as a node gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The contract that wrote it.
    pub address: Address,
    /// The event's signature, then its indexed arguments, a word each.
    pub topics: Vec<B256>,
    /// The other arguments, ABI encoded.
    pub data: Bytes,
    /// The block it stands in.
    pub block: BlockRef,
    /// Its transaction.
    pub tx_hash: B256,
    /// Its place among the block's logs.
    pub log_index: u64,
}

/// Which logs of a chain concern a deployment. A node can answer for it (`eth_getLogs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// The contract.
    pub address: Address,
    /// For each topic, in their order, the values to let through; an empty set lets all through.
    pub topics: Vec<Vec<B256>>,
}

/// Why bytes are not what a contract says or takes.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// A log bears an event's signature but not its arguments: another contract lives at that address.
    #[error("the log is no {event} event of this contract")]
    Log {
        /// The event.
        event: &'static str,
        /// What is wrong with it.
        #[source]
        source: alloy_sol_types::Error,
    },
    /// A call's answer is not what the ABI promises: no contract at that address, or another one.
    #[error("the answer is not one of {call}")]
    Answer {
        /// The function's signature.
        call: &'static str,
        /// What is wrong with it.
        #[source]
        source: alloy_sol_types::Error,
    },
    /// [`Opening::params`] name no channel of this contract: they came from elsewhere, or were damaged.
    #[error("a channel's params are {expected} bytes for this contract, not {got}")]
    Params {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
}

/// What a channel contract is to the rest of the house. Pure: values in, values out.
pub trait Contract: Send + Sync {
    /// The logs to fetch for a deployment; [`Contract::decode`] reads them.
    fn filter(&self, deployment: &Deployment) -> LogFilter;

    /// What a log says about a channel of this deployment, or `None` when it is none of ours: another payee's, or an
    /// event that is not about a channel.
    ///
    /// # Errors
    /// [`ContractError::Log`] when it bears an event's signature but not its arguments.
    fn decode(&self, deployment: &Deployment, log: &Log) -> Result<Option<(Opening, Event)>, ContractError>;

    /// The ledger's name of a channel: keccak of chain id (32 bytes, big endian) ‖ contract ‖ the contract's own key.
    /// Unique over chains and contracts.
    fn channel_id(&self, deployment: &Deployment, opening: &Opening) -> ChannelId;

    /// What the payer signs to authorise `amount`, cumulative. Signed as it is, without any prefix.
    fn digest(&self, deployment: &Deployment, opening: &Opening, amount: Amount) -> B256;

    /// What the payee signs to agree to close at `amount`.
    fn closing_digest(&self, deployment: &Deployment, opening: &Opening, amount: Amount) -> B256;

    /// The calldata by which the payee takes what `voucher` says, less what it took before; the channel stays open. µRaiden
    /// pays exactly the voucher, and refuses once a close was requested.
    ///
    /// # Errors
    /// [`ContractError::Params`] when `opening` names no channel of this contract.
    fn claim(&self, opening: &Opening, amount: Amount, voucher: &Signature) -> Result<Bytes, ContractError>;

    /// The amount in calldata of [`Contract::claim`]; `None` when it is other calldata.
    fn claimed_by(&self, data: &[u8]) -> Option<Amount>;

    /// The calldata that closes a channel at `amount` with both signatures. It is also how a payee answers a payer who
    /// asked to close for less.
    ///
    /// # Errors
    /// [`ContractError::Params`] when `opening` names no channel of this contract.
    fn cooperative_close(
        &self,
        deployment: &Deployment,
        opening: &Opening,
        amount: Amount,
        voucher: &Signature,
        closing: &Signature,
    ) -> Result<Bytes, ContractError>;
}
