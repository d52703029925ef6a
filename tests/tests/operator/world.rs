//! A cluster, the command, and payers by hand.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use channel::{Amount, ChannelId};
use ledger::{Ledger, Settings};
use serde_json::Value;
use testkit::cluster::{self, Cluster, PAYER};
use testkit::{anvil, paths, wait};
use tests::ByHand;

pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a command left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// What it printed, if it ended with 0.
    pub fn ok(self) -> Result<String> {
        ensure!(self.code == 0, "it ended with {}: {}{}", self.code, self.out, self.err);
        Ok(self.out)
    }

    /// What it printed as JSON, whatever its exit code.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("{self:?}"))
    }
}

/// Runs the command with nothing in its environment but where PostgreSQL's programs are.
pub async fn sluice(arguments: &[&str]) -> Result<Ran> {
    let mut command = Command::new(paths::program("sluice")?);
    let postgres = paths::postgres("pg_dump")?;
    let folder = postgres.parent().context("a program is in a folder")?;
    command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", folder.display())).args(arguments);
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output()).await??;
    let code = status.code().context("it was killed")?;
    Ok(Ran { code, out: String::from_utf8(stdout)?, err: String::from_utf8(stderr)? })
}

/// A cluster whose chain mines each transaction at once.
pub struct World {
    pub cluster: Cluster,
}

impl World {
    /// With a watcher, a wallet and a front.
    pub async fn start() -> Result<World> {
        let chain = anvil::Options { block_time: None, ..anvil::Options::default() };
        let options = cluster::Options { fronts: 1, confirmations: 0, chain, ..cluster::Options::default() };
        Ok(World { cluster: Cluster::start(options).await? })
    }

    /// A payer with a channel of this deposit; the first is number 0.
    pub async fn payer(&self, number: usize, deposit: u128) -> Result<ByHand> {
        ByHand::open(&self.cluster, PAYER + number, Amount::new(deposit)).await
    }

    /// The status of buying the file, for 10, with a voucher over `balance`.
    pub async fn buy(&self, payer: &ByHand, balance: u128) -> Result<u16> {
        let url = format!("{}/file.txt", self.cluster.url());
        Ok(payer.pay(&url, Amount::new(balance)).send().await?.status().as_u16())
    }

    /// Buys it, which must succeed.
    pub async fn bought(&self, payer: &ByHand, balances: &[u128]) -> Result<()> {
        for balance in balances {
            let status = self.buy(payer, *balance).await?;
            ensure!(status == 200, "the voucher over {balance} bought nothing: {status}");
        }
        Ok(())
    }

    /// Runs the command on the cluster's configuration.
    pub async fn sluice(&self, arguments: &[&str]) -> Result<Ran> {
        let config = self.cluster.config.to_str().context("a path")?;
        sluice(&[arguments, &["--config", config]].concat()).await
    }

    pub async fn ledger(&self) -> Result<Ledger> {
        Ok(Ledger::connect(&Settings { single_node: true, ..Settings::new(&self.cluster.database) }).await?)
    }

    /// Waits until the ledger says that so much was claimed of the channel.
    pub async fn until_claimed(&self, ledger: &Ledger, channel: ChannelId, claimed: u128) -> Result<()> {
        wait::until("the claim to be seen", PATIENCE, async || {
            let (channel, _) = ledger.view(channel).await?.context("the ledger knows it")?;
            ensure!(channel.facts.claimed == Amount::new(claimed), "{:?}", channel.facts);
            Ok(())
        })
        .await
    }

    /// A file in the cluster's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.cluster.dir().join(name)
    }

    /// What the payee has of the token outside of channels.
    pub async fn earned(&self) -> Result<u128> {
        let contracts = &self.cluster.contracts;
        let has = contracts.balance(&self.cluster.chain, contracts.payee).await?;
        Ok(u128::try_from(has)?)
    }
}
