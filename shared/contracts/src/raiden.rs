//! µRaiden 0.2.0 (`RaidenMicroTransferChannels`), and `contracts/MicroTransferChannels.sol`, which has its ABI.
//!
//! A channel is named by sender, receiver and the block it was opened in, so [`Opening::params`] is that block, 4 bytes
//! big endian, and a channel's open block is the block of its `ChannelCreated` log. Amounts are uint192. Signatures are
//! `r ‖ s ‖ v` over a digest of `eth_signTypedData` as drafted in 2017:
//!
//! ```text
//! keccak(keccak(schema) ‖ keccak(message id ‖ counterparty ‖ open block, 4 bytes ‖ balance, 24 bytes ‖ contract))
//! ```
//!
//! The counterparty is the receiver in the sender's balance proof, and the sender in the receiver's closing signature.
//!
//! ```text
//! createChannel | token transfer with open_data   ─→ ChannelCreated         Opened
//! topUp         | token transfer with top_up_data ─→ ChannelToppedUp        ToppedUp
//! withdraw                                        ─→ ChannelWithdraw        Claimed
//! uncooperativeClose                              ─→ ChannelCloseRequested  CloseRequested, for challenge_period blocks
//! cooperativeClose | settle                       ─→ ChannelSettled         Settled
//! ```

use std::sync::LazyLock;

use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use channel::{Amount, ChannelId, Deadline, Event, EventKind, Signature};

use crate::{Contract, ContractError, Deployment, Log, LogFilter, Opening};

mod calls;
mod generated {
    alloy_sol_types::sol!(MicroTransferChannels, "../../contracts/artifacts/MicroTransferChannels.json");
}

pub use calls::{
    ChannelInfo, channel_info, create_channel, open_data, read_channel_info, settle, top_up, top_up_data,
    uncooperative_close,
};
/// Every function and event at full width, generated from the ABI. Its names are the contract's.
pub use generated::MicroTransferChannels as abi;

/// The contract.
#[derive(Clone, Copy, Debug)]
pub struct Raiden;

static BALANCE_PROOF_SCHEMA: LazyLock<B256> =
    LazyLock::new(|| keccak256("string message_idaddress receiveruint32 block_createduint192 balanceaddress contract"));
static CLOSING_SCHEMA: LazyLock<B256> =
    LazyLock::new(|| keccak256("string message_idaddress senderuint32 block_createduint192 balanceaddress contract"));

/// The channel that `payer` opened in `open_block`.
pub fn opening(payer: Address, open_block: u32) -> Opening {
    Opening { payer, params: Bytes::copy_from_slice(&open_block.to_be_bytes()) }
}

/// The block a channel was opened in, from [`Opening::params`].
///
/// # Errors
/// [`ContractError::Params`] unless they are 4 bytes.
pub fn open_block(params: &[u8]) -> Result<u32, ContractError> {
    let bytes = params.try_into().map_err(|_| ContractError::Params { expected: 4, got: params.len() })?;
    Ok(u32::from_be_bytes(bytes))
}

/// The contract's own name of a channel, `getKey`: keccak(sender ‖ receiver ‖ open block).
pub fn key(payer: Address, payee: Address, open_block: u32) -> B256 {
    packed_key(payer, payee, &open_block.to_be_bytes())
}

/// What the sender signs: a balance proof over `balance`, cumulative, at full width.
pub fn balance_proof_digest(contract: Address, payee: Address, open_block: u32, balance: U192) -> B256 {
    balance_proof(contract, payee, &open_block.to_be_bytes(), balance)
}

/// What the receiver signs to close at `balance`, at full width.
pub fn closing_digest(contract: Address, payer: Address, open_block: u32, balance: U192) -> B256 {
    closing(contract, payer, &open_block.to_be_bytes(), balance)
}

// Below, the open block comes as the bytes of `Opening::params`. Packing makes any other number of bytes a preimage of
// another length, so such params give names and digests of no channel at all rather than those of a wrong one.

fn packed_key(payer: Address, payee: Address, open_block: &[u8]) -> B256 {
    keccak256([payer.as_slice(), payee.as_slice(), open_block].concat())
}

fn balance_proof(contract: Address, payee: Address, open_block: &[u8], balance: U192) -> B256 {
    typed_data(*BALANCE_PROOF_SCHEMA, "Sender balance proof signature", payee, open_block, balance, contract)
}

fn closing(contract: Address, payer: Address, open_block: &[u8], balance: U192) -> B256 {
    typed_data(*CLOSING_SCHEMA, "Receiver closing signature", payer, open_block, balance, contract)
}

fn typed_data(
    schema: B256,
    message_id: &str,
    counterparty: Address,
    open_block: &[u8],
    balance: U192,
    contract: Address,
) -> B256 {
    let balance = balance.to_be_bytes::<24>();
    let values = [message_id.as_bytes(), counterparty.as_slice(), open_block, &balance, contract.as_slice()].concat();
    keccak256([schema, keccak256(values)].concat())
}

/// 128 bits in 192.
fn wide(amount: Amount) -> U192 {
    U192::from(amount.units())
}

/// A deposit may be wider than the ledger's amounts; it then counts as the most they hold.
fn saturating(amount: U192) -> Amount {
    Amount::saturating_from(U256::from(amount))
}

impl Contract for Raiden {
    fn filter(&self, deployment: &Deployment) -> LogFilter {
        let events = vec![
            abi::ChannelCreated::SIGNATURE_HASH,
            abi::ChannelToppedUp::SIGNATURE_HASH,
            abi::ChannelCloseRequested::SIGNATURE_HASH,
            abi::ChannelSettled::SIGNATURE_HASH,
            abi::ChannelWithdraw::SIGNATURE_HASH,
        ];
        let (any_payer, payee) = (vec![], vec![deployment.payee.into_word()]);
        LogFilter { address: deployment.contract, topics: vec![events, any_payer, payee] }
    }

    fn decode(&self, deployment: &Deployment, log: &Log) -> Result<Option<(Opening, Event)>, ContractError> {
        let ours = log.address == deployment.contract && log.topics.get(2) == Some(&deployment.payee.into_word());
        let Some(&topic) = log.topics.first().filter(|_| ours) else { return Ok(None) };
        let (opening, kind) = match topic {
            abi::ChannelCreated::SIGNATURE_HASH => {
                let event: abi::ChannelCreated = read(log)?;
                // As the contract does, the open block is the low half of the block number.
                let params = Bytes::copy_from_slice(&log.block.number.to_be_bytes()[4..]);
                let opening = Opening { payer: event._sender_address, params };
                (opening, EventKind::Opened { deposit: saturating(event._deposit) })
            }
            abi::ChannelToppedUp::SIGNATURE_HASH => {
                let event: abi::ChannelToppedUp = read(log)?;
                let added = saturating(event._added_deposit);
                (opening(event._sender_address, event._open_block_number), EventKind::ToppedUp { added })
            }
            abi::ChannelCloseRequested::SIGNATURE_HASH => {
                let event: abi::ChannelCloseRequested = read(log)?;
                // The sender may settle in any block after this one.
                let deadline = Deadline::Block(log.block.number.saturating_add(deployment.challenge_period.into()));
                let kind = EventKind::CloseRequested { requested: saturating(event._balance), deadline };
                (opening(event._sender_address, event._open_block_number), kind)
            }
            abi::ChannelWithdraw::SIGNATURE_HASH => {
                let event: abi::ChannelWithdraw = read(log)?;
                let taken = saturating(event._withdrawn_balance);
                (opening(event._sender_address, event._open_block_number), EventKind::Claimed { taken })
            }
            abi::ChannelSettled::SIGNATURE_HASH => {
                let event: abi::ChannelSettled = read(log)?;
                let total = saturating(event._balance);
                (opening(event._sender_address, event._open_block_number), EventKind::Settled { total })
            }
            _ => return Ok(None),
        };
        let channel = self.channel_id(deployment, &opening);
        let event = Event { channel, block: log.block, tx_hash: log.tx_hash, log_index: log.log_index, kind };
        Ok(Some((opening, event)))
    }

    fn channel_id(&self, deployment: &Deployment, opening: &Opening) -> ChannelId {
        let chain_id = U256::from(deployment.chain_id).to_be_bytes::<32>();
        let key = packed_key(opening.payer, deployment.payee, &opening.params);
        ChannelId(keccak256([&chain_id, deployment.contract.as_slice(), key.as_slice()].concat()))
    }

    fn digest(&self, deployment: &Deployment, opening: &Opening, amount: Amount) -> B256 {
        balance_proof(deployment.contract, deployment.payee, &opening.params, wide(amount))
    }

    fn closing_digest(&self, deployment: &Deployment, opening: &Opening, amount: Amount) -> B256 {
        closing(deployment.contract, opening.payer, &opening.params, wide(amount))
    }

    fn claim(&self, opening: &Opening, amount: Amount, voucher: &Signature) -> Result<Bytes, ContractError> {
        let call = abi::withdrawCall {
            _open_block_number: open_block(&opening.params)?,
            _balance: wide(amount),
            _balance_msg_sig: Bytes::copy_from_slice(voucher.as_bytes()),
        };
        Ok(call.abi_encode().into())
    }

    fn claimed_by(&self, data: &[u8]) -> Option<Amount> {
        let call = abi::withdrawCall::abi_decode_validate(data).ok()?;
        Amount::try_from(U256::from(call._balance)).ok()
    }

    fn cooperative_close(
        &self,
        deployment: &Deployment,
        opening: &Opening,
        amount: Amount,
        voucher: &Signature,
        closing: &Signature,
    ) -> Result<Bytes, ContractError> {
        let call = abi::cooperativeCloseCall {
            _receiver_address: deployment.payee,
            _open_block_number: open_block(&opening.params)?,
            _balance: wide(amount),
            _balance_msg_sig: Bytes::copy_from_slice(voucher.as_bytes()),
            _closing_sig: Bytes::copy_from_slice(closing.as_bytes()),
        };
        Ok(call.abi_encode().into())
    }
}

fn read<E: SolEvent>(log: &Log) -> Result<E, ContractError> {
    E::decode_raw_log_validate(&log.topics, &log.data)
        .map_err(|source| ContractError::Log { event: E::SIGNATURE, source })
}
