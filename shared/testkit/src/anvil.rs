//! The development chain. Its defaults suit the clients of 2018: they cannot sign for a chain id above 110.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::process::Process;
use crate::scratch::Scratch;
use crate::{paths, ports, rpc};

const START: Duration = Duration::from_secs(15);
const STOP: Duration = Duration::from_secs(15);

/// The private keys of the accounts that every such chain gives 10 000 ether: known to all the world, worth nothing.
pub const KEYS: [&str; 10] = [
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
];

/// How to run it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The chain's id.
    pub chain_id: u64,
    /// Seconds between blocks; `None` mines a block for each transaction at once.
    pub block_time: Option<u64>,
    /// Makes `finalized` the head less twice this many blocks, `safe` the head less once.
    pub slots_in_an_epoch: u64,
    /// The time at which it begins, in seconds since 1970; its clock goes on from there. `None`: now.
    pub genesis_time: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { chain_id: 61, block_time: None, slots_in_an_epoch: 1, genesis_time: None }
    }
}

/// A running chain. Dropped, it is gone.
#[derive(Debug)]
pub struct Anvil {
    process: Option<Process>,
    options: Options,
    port: u16,
    scratch: Scratch,
}

impl Anvil {
    /// A chain that mines each transaction at once.
    pub async fn start() -> Result<Anvil> {
        Self::start_with(Options::default()).await
    }

    /// Likewise, with options.
    pub async fn start_with(options: Options) -> Result<Anvil> {
        Self::start_in(Scratch::new("anvil")?, ports::free()?, options).await
    }

    /// A chain whose state lives in `scratch`; what an earlier chain left there is taken up.
    pub async fn start_in(scratch: Scratch, port: u16, options: Options) -> Result<Anvil> {
        let mut chain = Anvil { process: None, options, port, scratch };
        chain.start_again().await?;
        Ok(chain)
    }

    /// Its address for JSON-RPC.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its id.
    pub fn chain_id(&self) -> u64 {
        self.options.chain_id
    }

    /// Any JSON-RPC call.
    pub async fn rpc(&self, method: &str, params: Value) -> Result<Value> {
        rpc::call(&self.url(), method, params).await
    }

    /// The number of its newest block.
    pub async fn head(&self) -> Result<u64> {
        rpc::quantity(&self.rpc("eth_blockNumber", json!([])).await?)
    }

    /// Mines so many blocks now.
    pub async fn mine(&self, blocks: u64) -> Result<()> {
        self.rpc("anvil_mine", json!([blocks])).await.map(drop)
    }

    /// Replaces the last `depth` blocks by others without their transactions, which are forgotten. Never mix it with
    /// snapshots: one taken before cannot be gone back to.
    pub async fn reorg(&self, depth: u64) -> Result<()> {
        self.rpc("anvil_reorg", json!([depth, []])).await.map(drop)
    }

    /// Likewise, with these signed transactions in the new blocks: each with its place, 0 for the first block.
    pub async fn reorg_with(&self, depth: u64, transactions: &[(String, u64)]) -> Result<()> {
        self.rpc("anvil_reorg", json!([depth, transactions])).await.map(drop)
    }

    /// Sets what the next block asks per unit of gas.
    pub async fn set_next_base_fee(&self, wei: u128) -> Result<()> {
        self.rpc("anvil_setNextBlockBaseFeePerGas", json!([format!("{wei:#x}")])).await.map(drop)
    }

    /// Lets it mine each transaction at once, or only on [`Anvil::mine`].
    pub async fn set_automine(&self, on: bool) -> Result<()> {
        self.rpc("evm_setAutomine", json!([on])).await.map(drop)
    }

    /// The process, while it runs: to pause it (a node that hangs) and let it go on.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("the chain is not running")
    }

    /// Stops it as an operator does; the chain waits on disk for [`Anvil::start_again`].
    pub async fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the chain is not running")?;
        process.stop(STOP).await.map(drop)
    }

    /// Kills it; all since the last start is lost, as on a node that was set up anew.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.take().context("the chain is not running")?.kill9()
    }

    /// Starts it on the same port, with the chain that [`Anvil::stop`] left, and waits until it answers.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the chain is running already");
        let mut process = self.spawn()?;
        let (url, expected) = (self.url(), self.options.chain_id);
        let id = process.answers(START, async || rpc::call(&url, "eth_chainId", json!([])).await);
        let id = rpc::quantity(&id.await?)?;
        ensure!(id == expected, "port {} is somebody else's chain, {id}", self.port);
        self.process = Some(process);
        Ok(())
    }

    /// Lets it outlive us; gives its process id.
    pub fn keep(mut self) -> Result<u32> {
        self.scratch.keep();
        self.process.take().context("the chain is not running")?.keep()
    }

    fn spawn(&self) -> Result<Process> {
        let Options { chain_id, block_time, slots_in_an_epoch, genesis_time } = self.options;
        let mut command = Command::new(paths::anvil()?);
        command.args(["--host", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--chain-id", &chain_id.to_string()]);
        command.args(["--slots-in-an-epoch", &slots_in_an_epoch.to_string()]);
        if let Some(seconds) = block_time {
            command.args(["--block-time", &seconds.to_string()]);
        }
        if let Some(seconds) = genesis_time {
            command.args(["--timestamp", &seconds.to_string()]);
        }
        command.arg("--state").arg(self.scratch.path().join("state.json"));
        command.arg("--cache-path").arg(self.scratch.path().join("cache"));
        command.current_dir(self.scratch.path());
        Ok(Process::spawn("anvil", &mut command, &self.scratch.path().join("log"))?.ends_with(Signal::SIGKILL))
    }
}
