use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolCall;
use channel::Amount;

use super::{abi, open_block, wide};
use crate::{ContractError, Opening};

/// The data of an ERC-223 transfer ([`crate::token::transfer_with_data`]) that opens a channel with what it moves:
/// payer ‖ payee, 40 bytes.
pub fn open_data(payer: Address, payee: Address) -> Bytes {
    [payer.as_slice(), payee.as_slice()].concat().into()
}

/// The data of an ERC-223 transfer that adds what it moves to a channel: payer ‖ payee ‖ open block, 44 bytes.
///
/// # Errors
/// [`ContractError::Params`] when `opening` names no channel of this contract.
pub fn top_up_data(opening: &Opening, payee: Address) -> Result<Bytes, ContractError> {
    let block = open_block(&opening.params)?.to_be_bytes();
    Ok([opening.payer.as_slice(), payee.as_slice(), &block].concat().into())
}

/// Calldata: the caller opens a channel to `payee`. Needs an allowance ([`crate::token::approve`]) of `deposit`.
pub fn create_channel(payee: Address, deposit: Amount) -> Bytes {
    encode(abi::createChannelCall { _receiver_address: payee, _deposit: wide(deposit) })
}

/// Calldata: the caller adds to its channel. Needs an allowance of `added`.
///
/// # Errors
/// [`ContractError::Params`] when `opening` names no channel of this contract.
pub fn top_up(opening: &Opening, payee: Address, added: Amount) -> Result<Bytes, ContractError> {
    Ok(encode(abi::topUpCall {
        _receiver_address: payee,
        _open_block_number: open_block(&opening.params)?,
        _added_deposit: wide(added),
    }))
}

/// Calldata: the caller asks to close its channel at `balance` without the payee's signature.
///
/// # Errors
/// [`ContractError::Params`] when `opening` names no channel of this contract.
pub fn uncooperative_close(opening: &Opening, payee: Address, balance: Amount) -> Result<Bytes, ContractError> {
    Ok(encode(abi::uncooperativeCloseCall {
        _receiver_address: payee,
        _open_block_number: open_block(&opening.params)?,
        _balance: wide(balance),
    }))
}

/// Calldata: the caller settles its channel after the challenge period.
///
/// # Errors
/// [`ContractError::Params`] when `opening` names no channel of this contract.
pub fn settle(opening: &Opening, payee: Address) -> Result<Bytes, ContractError> {
    let _open_block_number = open_block(&opening.params)?;
    Ok(encode(abi::settleCall { _receiver_address: payee, _open_block_number }))
}

/// Calldata of a question: what the contract knows about a channel. It reverts once the channel is gone.
/// [`read_channel_info`] reads the answer.
///
/// # Errors
/// [`ContractError::Params`] when `opening` names no channel of this contract.
pub fn channel_info(opening: &Opening, payee: Address) -> Result<Bytes, ContractError> {
    Ok(encode(abi::getChannelInfoCall {
        _sender_address: opening.payer,
        _receiver_address: payee,
        _open_block_number: open_block(&opening.params)?,
    }))
}

/// What the contract knows about a channel, at full width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// The contract's own name of it, [`super::key`].
    pub key: B256,
    /// Escrowed, withdrawn or not.
    pub deposit: U192,
    /// The last block of the challenge period; `None` while nobody asked to close.
    pub settle_block: Option<u32>,
    /// What the payer asked to close at; 0 while it did not.
    pub closing_balance: U192,
    /// Withdrawn by the payee so far.
    pub withdrawn: U192,
}

/// Reads the answer to [`channel_info`].
///
/// # Errors
/// [`ContractError::Answer`] when it is none.
pub fn read_channel_info(answer: &[u8]) -> Result<ChannelInfo, ContractError> {
    let abi::getChannelInfoReturn { _0: key, _1: deposit, _2: settle_block, _3: closing_balance, _4: withdrawn } =
        abi::getChannelInfoCall::abi_decode_returns_validate(answer)
            .map_err(|source| ContractError::Answer { call: abi::getChannelInfoCall::SIGNATURE, source })?;
    let settle_block = (settle_block > 0).then_some(settle_block);
    Ok(ChannelInfo { key, deposit, settle_block, closing_balance, withdrawn })
}

fn encode(call: impl SolCall) -> Bytes {
    call.abi_encode().into()
}
