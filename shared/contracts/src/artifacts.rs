//! What is compiled from the repository's Solidity sources (`contracts/`): ABIs to publish, bytecode to deploy.

use std::sync::LazyLock;

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolConstructor, SolValue};
use serde::Deserialize;

use crate::raiden::abi;

/// A compiled contract.
#[derive(Debug, Deserialize)]
pub struct Artifact {
    /// Its JSON ABI, with the `constant` and `payable` that clients of 2018 look for.
    pub abi: serde_json::Value,
    /// What deploys it, before the constructor's arguments.
    pub bytecode: Bytes,
    /// What the chain then holds, with zeros (each 32 behind a `PUSH32`) where the constructor puts its immutables.
    #[serde(rename = "deployedBytecode")]
    pub runtime: Bytes,
}

/// `MicroTransferChannels.sol`.
pub static CHANNELS: LazyLock<Artifact> =
    LazyLock::new(|| parse(include_str!("../../../contracts/artifacts/MicroTransferChannels.json")));

/// `TestToken.sol`. For tests and demos: everybody may mint it.
pub static TEST_TOKEN: LazyLock<Artifact> =
    LazyLock::new(|| parse(include_str!("../../../contracts/artifacts/TestToken.json")));

fn parse(json: &str) -> Artifact {
    serde_json::from_str(json).expect("artefacts are committed as their build writes them, and a test parses them")
}

impl Artifact {
    /// The data of the transaction that deploys this contract with constructor arguments already encoded.
    pub fn deploy(&self, arguments: &[u8]) -> Bytes {
        [&self.bytecode, arguments].concat().into()
    }
}

/// The constructor arguments of [`CHANNELS`], and of the original µRaiden contract.
///
/// `challenge_period` is in blocks, at least 500; `trusted` contracts may open and top up channels for others.
pub fn channels_arguments(token: Address, challenge_period: u32, trusted: &[Address]) -> Vec<u8> {
    let _trusted_contracts = trusted.to_vec();
    abi::constructorCall { _token_address: token, _challenge_period: challenge_period, _trusted_contracts }.abi_encode()
}

/// The constructor arguments of [`TEST_TOKEN`], and of the original's `CustomToken`. `supply`, in base units, goes to
/// the deployer.
pub fn token_arguments(supply: U256, name: &str, symbol: &str, decimals: u8) -> Vec<u8> {
    (supply, name, symbol, U256::from(decimals)).abi_encode_params()
}
