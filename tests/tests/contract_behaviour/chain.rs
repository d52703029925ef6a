//! A development chain that takes transactions from anybody, and the contracts to put on it: ours and the original's.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::{env, fs};

use alloy::providers::{Provider, RootProvider};
use alloy::rpc::types::TransactionReceipt;
use alloy_primitives::{Address, B256, Bytes, Log, U256, address, keccak256};
use anyhow::{Context, Result, anyhow, bail};
use contracts::{SolCall, artifacts, token};
use serde_json::{Value, json};
use testkit::anvil::Anvil;

/// Who deploys; the chain's first account.
pub const OWNER: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

/// More than any transaction here needs, less than a block holds.
const GAS: &str = "0x989680";

/// The bytecode that one set of contracts is deployed with. Both sets take the same constructor arguments.
#[derive(Clone, Debug)]
pub struct Contracts {
    pub channels: Bytes,
    pub token: Bytes,
}

/// What stands in `contracts/`.
pub fn ours() -> Contracts {
    Contracts { channels: artifacts::CHANNELS.bytecode.clone(), token: artifacts::TEST_TOKEN.bytecode.clone() }
}

/// What the original client carries: µRaiden 0.2.0, compiled by solc 0.4.19.
pub fn the_original() -> Contracts {
    let bytecode = |name: &str| {
        let text = ORIGINAL[name]["bytecode"].as_str().expect("every original contract used here has bytecode");
        text.parse().expect("bytecode is hex")
    };
    Contracts { channels: bytecode("RaidenMicroTransferChannels"), token: bytecode("CustomToken") }
}

/// The original's `contracts.json`: by name, the compiler's output.
pub static ORIGINAL: LazyLock<Value> = LazyLock::new(|| {
    let file = env::var_os("SLUICE_ORIGINAL_CONTRACTS").map_or_else(default_file, PathBuf::from);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("The original contracts are not at {} ({error}): run contracts/fetch-original.sh.", file.display())
    });
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{} is not JSON: {error}", file.display()))
});

fn default_file() -> PathBuf {
    let target = testkit::paths::target_dir().expect("a test runs out of the target directory");
    target.join("original/contracts.json")
}

/// A transaction that a block holds and that was not reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mined {
    /// In which block.
    pub block: u64,
    /// What it logged, in order, by all contracts.
    pub logs: Vec<Log>,
    /// What it deployed.
    pub contract: Option<Address>,
}

/// A transaction or a call that the contract refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverted {
    /// The contract's sentence. solc 0.4.19 knew none.
    pub reason: Option<String>,
}

/// What became of a transaction.
pub type Outcome = Result<Mined, Reverted>;

/// A chain of our own, on which every address is unlocked.
#[derive(Debug)]
pub struct Chain {
    pub anvil: Anvil,
    provider: RootProvider,
}

impl Chain {
    pub async fn start() -> Result<Chain> {
        let anvil = Anvil::start().await?;
        let provider = RootProvider::new_http(anvil.url().parse()?);
        let chain = Chain { anvil, provider };
        chain.rpc::<Value>("anvil_autoImpersonateAccount", json!([true])).await?;
        // Blocks come when we say so: a test counts them.
        chain.anvil.set_automine(false).await?;
        Ok(chain)
    }

    pub async fn rpc<R: serde::de::DeserializeOwned + Send + Sync + Unpin + std::fmt::Debug + 'static>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<R> {
        self.provider.raw_request(Cow::Borrowed(method), params).await.with_context(|| format!("{method} failed"))
    }

    /// Gives an account, contract or not, what its transactions cost.
    pub async fn fund(&self, account: Address) -> Result<()> {
        self.rpc("anvil_setBalance", json!([account, "0x3635c9adc5dea00000"])).await
    }

    /// Sends a transaction and mines it in the next block, whether it reverts or not.
    pub async fn send(&self, from: Address, to: Option<Address>, data: Bytes) -> Result<Outcome> {
        let hash = self.submit(from, to, data).await?;
        self.anvil.mine(1).await?;
        self.outcome(hash).await
    }

    /// Sends a transaction without waiting for a block.
    pub async fn submit(&self, from: Address, to: Option<Address>, data: Bytes) -> Result<B256> {
        self.rpc("eth_sendTransaction", json!([{"from": from, "to": to, "data": data, "gas": GAS}])).await
    }

    /// What became of a transaction that is mined.
    pub async fn outcome(&self, hash: B256) -> Result<Outcome> {
        let receipt: Option<TransactionReceipt> = self.rpc("eth_getTransactionReceipt", json!([hash])).await?;
        let receipt = receipt.with_context(|| format!("{hash} is not mined"))?;
        if !receipt.status() {
            let trace: Value = self.rpc("debug_traceTransaction", json!([hash, {"tracer": "callTracer"}])).await?;
            let output = trace["output"].as_str().unwrap_or("0x").parse()?;
            return Ok(Err(Reverted { reason: reason(&output) }));
        }
        let block = receipt.block_number.context("a receipt without a block")?;
        let logs = receipt.logs().iter().map(|log| log.inner.clone()).collect();
        Ok(Ok(Mined { block, logs, contract: receipt.contract_address }))
    }

    /// Deploys a contract.
    pub async fn deploy(&self, from: Address, bytecode: &Bytes, arguments: &[u8]) -> Result<Outcome> {
        self.send(from, None, [bytecode.as_ref(), arguments].concat().into()).await
    }

    /// Deploys a token of which `OWNER` has all.
    pub async fn deploy_token(&self, bytecode: &Bytes) -> Result<Address> {
        let arguments = artifacts::token_arguments(U256::from(10).pow(U256::from(30)), "Test", "TST", 18);
        created(self.deploy(OWNER, bytecode, &arguments).await?)
    }

    /// Deploys a contract for channels in `token`, with a challenge period of 500 blocks.
    pub async fn deploy_channels(&self, bytecode: &Bytes, token: Address) -> Result<Address> {
        let arguments = artifacts::channels_arguments(token, 500, &[]);
        created(self.deploy(OWNER, bytecode, &arguments).await?)
    }

    /// Asks a contract at the head.
    pub async fn ask<C: SolCall>(&self, to: Address, call: &C) -> Result<Result<C::Return, Reverted>> {
        match self.ask_raw(to, call.abi_encode().into()).await? {
            Ok(answer) => Ok(Ok(C::abi_decode_returns_validate(&answer)?)),
            Err(reverted) => Ok(Err(reverted)),
        }
    }

    /// Asks a contract at the head; bytes in, bytes out.
    pub async fn ask_raw(&self, to: Address, data: Bytes) -> Result<Result<Bytes, Reverted>> {
        let asked = self.provider.raw_request("eth_call".into(), json!([{"to": to, "data": data}, "latest"])).await;
        match asked {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => {
                let refused = error.as_error_resp().with_context(|| format!("eth_call failed: {error}"))?;
                // 3 is a revert; solc 0.4.19 had `assert` run into an invalid instruction instead.
                if refused.code != 3 && !refused.message.contains("EVM error") {
                    bail!("eth_call failed: {refused}");
                }
                Ok(Err(Reverted { reason: refused.as_revert_data().as_ref().and_then(reason) }))
            }
        }
    }

    /// What an account has of a token.
    pub async fn tokens_of(&self, token: Address, account: Address) -> Result<U256> {
        let answer = self.ask_raw(token, token::balance_of(account)).await?;
        let answer = answer.map_err(|reverted| anyhow!("balanceOf reverted: {reverted:?}"))?;
        Ok(token::read_amount(&answer)?)
    }
}

/// The address of what a transaction deployed.
pub fn created(outcome: Outcome) -> Result<Address> {
    let mined = outcome.map_err(|reverted| anyhow!("the deployment reverted: {reverted:?}"))?;
    mined.contract.context("the transaction deployed nothing")
}

/// The sentence in a revert: `Error(string)`, ABI encoded.
fn reason(output: &Bytes) -> Option<String> {
    let sentence = output.strip_prefix(&keccak256("Error(string)")[..4])?;
    let length = usize::try_from(U256::from_be_slice(sentence.get(32..64)?)).ok()?;
    String::from_utf8(sentence.get(64..64 + length)?.to_vec()).ok()
}
