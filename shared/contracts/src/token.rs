//! What we say to the token that channels are in: ERC-20, and the ERC-223 transfer that carries data.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, sol};

use crate::ContractError;

sol! {
    interface Erc20 {
        function balanceOf(address owner) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 value) external returns (bool);
        function transfer(address to, uint256 value) external returns (bool);
    }

    interface Erc223 {
        function transfer(address to, uint256 value, bytes data) external returns (bool);
    }
}

/// Calldata of a question: how much `owner` has, in base units. [`read_amount`] reads the answer.
pub fn balance_of(owner: Address) -> Bytes {
    encode(Erc20::balanceOfCall { owner })
}

/// Calldata of a question: how much `spender` may take of `owner`'s. [`read_amount`] reads the answer.
pub fn allowance(owner: Address, spender: Address) -> Bytes {
    encode(Erc20::allowanceCall { owner, spender })
}

/// Calldata: `spender` may take `value` of the caller's. Some tokens refuse to change an allowance that is not zero to
/// another that is not zero: set it to zero between.
pub fn approve(spender: Address, value: impl Into<U256>) -> Bytes {
    encode(Erc20::approveCall { spender, value: value.into() })
}

/// Calldata: moves `value` of the caller's.
pub fn transfer(to: Address, value: impl Into<U256>) -> Bytes {
    encode(Erc20::transferCall { to, value: value.into() })
}

/// Calldata (ERC-223): moves `value` of the caller's and calls `tokenFallback(caller, value, data)` of `to`, if that is
/// a contract. See [`crate::raiden::open_data`].
pub fn transfer_with_data(to: Address, value: impl Into<U256>, data: Bytes) -> Bytes {
    encode(Erc223::transferCall { to, value: value.into(), data })
}

/// Reads the answer to [`balance_of`] or [`allowance`], at full width.
///
/// # Errors
/// [`ContractError::Answer`] when it is none: nothing lives at the token's address, or no token.
pub fn read_amount(answer: &[u8]) -> Result<U256, ContractError> {
    Erc20::balanceOfCall::abi_decode_returns_validate(answer)
        .map_err(|source| ContractError::Answer { call: Erc20::balanceOfCall::SIGNATURE, source })
}

fn encode(call: impl SolCall) -> Bytes {
    call.abi_encode().into()
}
