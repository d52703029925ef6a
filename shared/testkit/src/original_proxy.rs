//! The original µRaiden proxy of 2018 as a peer to measure ours against: `loadtest/peers/microraiden_proxy.py` on a
//! chain of its own, with the original contracts, and channels that were opened in them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use channel::{Amount, Key};
use payer::ChannelKey;
use serde_json::{Value, json};

use crate::anvil::{Anvil, KEYS, Options};
use crate::cluster::{Contracts, PAYEE, PAYER, Source};
use crate::process::Process;
use crate::scratch::Scratch;
use crate::{http, original, paths, ports};

/// It loads much, and asks the chain before it listens.
const START: Duration = Duration::from_secs(60);

/// A running proxy. Dropped, it and its chain are gone.
#[derive(Debug)]
pub struct OriginalProxy {
    /// Its open channels, each with the key of who pays.
    pub channels: Vec<(Key, ChannelKey)>,
    process: Process,
    port: u16,
    _chain: Anvil, // it is asked for the payee's balance in every request
    _scratch: Scratch,
}

impl OriginalProxy {
    /// Opens so many channels of `deposit` each, starts the proxy, and waits until it sells to all of them.
    pub async fn start(channels: usize, deposit: Amount) -> Result<OriginalProxy> {
        let chain = Anvil::start_with(Options { block_time: None, ..Options::default() }).await?;
        let contracts = Contracts::deploy(&chain, Source::Original).await?;
        let channels = open(&chain, &contracts, channels, deposit).await?;
        let (scratch, port) = (Scratch::new("original-proxy")?, ports::free()?);
        let config = json!({
            "rpc": chain.url(),
            "contract": contracts.channels,
            "from_block": contracts.from_block,
            "key": KEYS[PAYEE],
            "state": scratch.path().join("state.db"),
            "port": port,
        });
        let mut command = original::python()?.into_std();
        command.arg(paths::root().join("loadtest/peers/microraiden_proxy.py")).arg(config.to_string());
        command.env("PYTHONPATH", paths::root().join("tests/raiden-client")).current_dir(scratch.path());
        let process = Process::spawn("the original proxy", &mut command, &scratch.path().join("log"))?;
        let mut proxy = OriginalProxy { channels, process, port, _chain: chain, _scratch: scratch };
        proxy.sells().await?;
        Ok(proxy)
    }

    /// What it sells, for one unit.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/page", self.port)
    }

    /// The process: to find it in /proc.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What was paid on all channels together, as it says itself.
    pub async fn paid(&self) -> Result<Amount> {
        let sum = stats(self.port).await?["balance_sum"].as_u64();
        Ok(Amount::new(sum.context("it does not say what was paid")?.into()))
    }

    async fn sells(&mut self) -> Result<()> {
        let (port, expected) = (self.port, self.channels.len());
        let stats = self.process.answers(START, async || stats(port).await).await?;
        ensure!(stats["open_channels"] == expected, "it knows other channels than were opened: {stats}");
        Ok(())
    }
}

/// Opens them, spread over the chain's accounts, and lets the block pass that the proxy wants to see on top.
async fn open(chain: &Anvil, contracts: &Contracts, count: usize, deposit: Amount) -> Result<Vec<(Key, ChannelKey)>> {
    let mut channels = Vec::with_capacity(count);
    for index in (PAYER..KEYS.len()).cycle().take(count) {
        let open_block = contracts.open(chain, index, deposit).await?;
        let key = alloy_primitives::hex::decode_to_array(KEYS[index])?;
        let key = Key::from_bytes(&key).context("the chain's keys are keys")?;
        channels.push((key, ChannelKey { contract: contracts.channels, receiver: contracts.payee, open_block }));
    }
    chain.mine(1).await?;
    Ok(channels)
}

/// What it says about itself; without its ABIs that is short.
async fn stats(port: u16) -> Result<Value> {
    let url = format!("http://127.0.0.1:{port}/api/1/stats");
    Ok(http::client()?.get(url).send().await?.error_for_status()?.json().await?)
}
