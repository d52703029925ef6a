//! The contracts of a cluster: a token that every account has plenty of, and the channels that take it.

use std::fs;

use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context, Result, ensure};
use channel::Amount;
use contracts::{artifacts, raiden, token};
use serde_json::{Value, json};

use super::{DEPLOYER, PAYEE};
use crate::anvil::{Anvil, KEYS};
use crate::{paths, rpc};

/// The shortest that the contract takes.
const CHALLENGE_PERIOD: u32 = 500;
/// What each account gets, in base units.
const TOKENS: u64 = 1_000_000_000_000;

/// Whose contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This repository's.
    Ours,
    /// µRaiden's own of 2018, from the bytecode in its Python package.
    Original,
}

/// What is deployed where.
#[derive(Clone, Debug)]
pub struct Contracts {
    /// The token.
    pub token: Address,
    /// The contract that holds the channels.
    pub channels: Address,
    /// Who is paid.
    pub payee: Address,
    /// All accounts, in the order of the chain's keys.
    pub accounts: Vec<Address>,
    /// In blocks.
    pub challenge_period: u32,
    /// The block that deployed the channels.
    pub from_block: u64,
}

impl Contracts {
    /// Deploys the contracts and gives every account tokens. The node signs: its accounts are unlocked.
    pub async fn deploy(chain: &Anvil, source: Source) -> Result<Contracts> {
        let accounts = serde_json::from_value(chain.rpc("eth_accounts", json!([])).await?);
        let accounts: Vec<Address> = accounts.context("the node lists no accounts")?;
        ensure!(accounts.len() == KEYS.len(), "the node has other accounts than expected");
        let supply = U256::from(TOKENS) * U256::from(accounts.len());
        let from = accounts[DEPLOYER];

        let arguments = artifacts::token_arguments(supply, "Test Token", "TKN", 18);
        let (token, _) = deploy(chain, from, source.code(&artifacts::TEST_TOKEN, "CustomToken")?, &arguments).await?;
        for to in &accounts {
            send(chain, from, Some(token), token::transfer(*to, U256::from(TOKENS))).await?;
        }
        let arguments = artifacts::channels_arguments(token, CHALLENGE_PERIOD, &[]);
        let code = source.code(&artifacts::CHANNELS, "RaidenMicroTransferChannels")?;
        let (channels, from_block) = deploy(chain, from, code, &arguments).await?;
        let (payee, challenge_period) = (accounts[PAYEE], CHALLENGE_PERIOD);
        Ok(Contracts { token, channels, payee, accounts, challenge_period, from_block })
    }

    /// Opens a channel of the account at `index`, in a block of its own, and gives that block.
    pub async fn open(&self, chain: &Anvil, index: usize, deposit: Amount) -> Result<u32> {
        let payer = *self.accounts.get(index).context("there is no such account")?;
        let data = raiden::open_data(payer, self.payee);
        let receipt = send(chain, payer, Some(self.token), token::transfer_with_data(self.channels, deposit, data));
        Ok(u32::try_from(rpc::quantity(&receipt.await?["blockNumber"])?)?)
    }

    /// How many tokens an address has.
    pub async fn balance(&self, chain: &Anvil, of: Address) -> Result<U256> {
        let question = json!([{"to": self.token, "data": token::balance_of(of)}, "latest"]);
        let answer: Bytes = serde_json::from_value(chain.rpc("eth_call", question).await?)?;
        Ok(token::read_amount(&answer)?)
    }
}

impl Source {
    fn code(self, ours: &artifacts::Artifact, original: &str) -> Result<Bytes> {
        if self == Source::Ours {
            return Ok(ours.bytecode.clone());
        }
        let file = paths::original_contracts()?;
        let contracts: Value = serde_json::from_slice(&fs::read(&file)?)?;
        let code = contracts[original]["bytecode"].as_str();
        let code = code.with_context(|| format!("{} has no {original}", file.display()))?;
        code.parse().with_context(|| format!("the bytecode of {original} is not hex"))
    }
}

async fn deploy(chain: &Anvil, from: Address, code: Bytes, arguments: &[u8]) -> Result<(Address, u64)> {
    let receipt = send(chain, from, None, [&code, arguments].concat().into()).await?;
    let address = serde_json::from_value(receipt["contractAddress"].clone()).context("no contract was made")?;
    Ok((address, rpc::quantity(&receipt["blockNumber"])?))
}

/// Sends a transaction and mines it, whatever the chain's block time.
async fn send(chain: &Anvil, from: Address, to: Option<Address>, data: Bytes) -> Result<Value> {
    let mut transaction = json!({"from": from, "data": data, "gas": "0x5b8d80"});
    if let Some(to) = to {
        transaction["to"] = json!(to);
    }
    let hash = chain.rpc("eth_sendTransaction", json!([transaction])).await?;
    let mut receipt = chain.rpc("eth_getTransactionReceipt", json!([hash])).await?;
    if receipt.is_null() {
        chain.mine(1).await?;
        receipt = chain.rpc("eth_getTransactionReceipt", json!([hash])).await?;
    }
    ensure!(receipt["status"] == "0x1", "a transaction failed: {receipt}");
    Ok(receipt)
}
