//! What happened on the ground: the chain asked without the journal, the wallet's log and its metrics.

use std::collections::HashMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::{Context, Result, ensure};
use channel::Amount;
use contracts::raiden;
use evm::{Transaction, sign_transaction};
use ledger::IntentState;
use serde_json::{Value, json};
use testkit::process::Process;
use testkit::{http, wait};

use super::{Opened, PATIENCE, Scene};

/// A transaction of the payee's account, in the chain.
#[derive(Clone, Debug)]
pub struct Mined {
    pub nonce: u64,
    pub input: Bytes,
}

impl Scene {
    /// What the payee's account had mined from this block on, in the chain as it is now.
    pub async fn mined_since(&self, block: u64) -> Result<Vec<Mined>> {
        let mut mined = Vec::new();
        for number in block..=self.chain.head().await? {
            let found = self.chain.rpc("eth_getBlockByNumber", json!([format!("{number:#x}"), true])).await?;
            for transaction in found["transactions"].as_array().context("a block has transactions")? {
                let from: Address = serde_json::from_value(transaction["from"].clone())?;
                if from == self.deployment.payee {
                    let nonce = testkit::rpc::quantity(&transaction["nonce"])?;
                    mined.push(Mined { nonce, input: serde_json::from_value(transaction["input"].clone())? });
                }
            }
        }
        Ok(mined)
    }

    /// Nothing that was wanted was mined twice since this block, whether or not it did anything the second time.
    pub async fn check_each_call_once(&self, since: u64) -> Result<()> {
        let mut nonces: HashMap<Bytes, Vec<u64>> = HashMap::new();
        for mined in self.mined_since(since).await?.into_iter().filter(|mined| !mined.input.is_empty()) {
            nonces.entry(mined.input).or_default().push(mined.nonce);
        }
        let twice: Vec<_> = nonces.values().filter(|nonces| nonces.len() > 1).collect();
        let journal = self.slots().await?;
        let intents: Vec<_> = journal.iter().map(|slot| (slot.nonce, &slot.intents)).collect();
        ensure!(twice.is_empty(), "the same was mined under more than one nonce: {twice:?}, {intents:#?}");
        Ok(())
    }

    /// The block in which our answer about this channel was mined.
    pub async fn mined_in(&self, channel: &Opened) -> Result<u64> {
        let slot =
            self.slot_of(channel, |slot| slot.intents.iter().any(|intent| intent.state == IntentState::Mined)).await?;
        slot.intents.iter().find_map(|intent| intent.block).context("what is mined has a block")
    }

    /// The payer asks to close all of these at nothing, in one block, which is mined by hand. Gives its number.
    pub async fn close_all_in_one_block(&self, channels: &[Opened]) -> Result<u64> {
        self.chain.set_automine(false).await?;
        let (first, fees) = (self.rpc.nonce(self.payer.address()).await?, self.rpc.fees().await?);
        let mut hashes: Vec<B256> = Vec::new();
        for (nonce, channel) in (first..).zip(channels) {
            let data = raiden::uncooperative_close(&channel.opening, self.deployment.payee, Amount::ZERO)?;
            let (chain_id, to) = (self.chain.chain_id(), Some(self.deployment.contract));
            let transaction = Transaction { chain_id, nonce, to, data, value: U256::ZERO, gas: 200_000, fees };
            hashes.push(self.rpc.send_raw(&sign_transaction(self.payer.key(), &transaction).raw).await?);
        }
        self.chain.mine(1).await?;
        let block = self.chain.head().await?;
        for hash in hashes {
            let receipt = self.rpc.receipt(hash).await?.context("it is mined")?;
            ensure!(receipt.succeeded && receipt.block.number == block, "{receipt:?}");
        }
        Ok(block)
    }
}

/// Until the wallet's log says this.
pub async fn until_said(wallet: &Process, what: &str) -> Result<()> {
    wait::until(what, PATIENCE, async || {
        let log = std::fs::read_to_string(wallet.log())?;
        ensure!(log.contains(what), "it says {log}");
        Ok(())
    })
    .await
}

/// What the wallet shows operators.
pub async fn metrics(wallet: &Process) -> Result<String> {
    let log = std::fs::read_to_string(wallet.log())?;
    let line = log.lines().find(|line| line.contains("the wallet is running")).context("it does not run yet")?;
    let line: Value = serde_json::from_str(line)?;
    let address = [&line["address"], &line["fields"]["address"]].into_iter().find_map(Value::as_str);
    let url = format!("http://{}/metrics", address.context("it says where it listens")?);
    Ok(http::client()?.get(url).send().await?.text().await?)
}

/// Until the wallet shows a metric whose line begins so, and ends with this value.
pub async fn until_shown(wallet: &Process, name: &str, value: &str) -> Result<()> {
    wait::until(name, PATIENCE, async || {
        let page = metrics(wallet).await?;
        let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(name)).collect();
        let is_so = lines.iter().any(|line| line.split(' ').next_back() == Some(value));
        ensure!(is_so, "it shows {lines:?}");
        Ok(())
    })
    .await
}
