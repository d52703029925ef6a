//! A wallet that keeps something filled, and what became of that.

use std::process::Command;
use std::time::Duration;

use alloy_primitives::{Address, U256};
use anyhow::{Context, Result, ensure};
use contracts::{Opening, raiden};
use ledger::Slot;
use serde_json::json;
use testkit::anvil::KEYS;
use testkit::process::Process;
use testkit::wait;

use super::{PATIENCE, Scene, key, write_secret};

/// Quick, and deep after two blocks.
const SETTINGS: &str = "refill_poll_ms = 200\nresend_ms = 500\nconfirmations = 2\nlease_ms = 1000\n";

/// A wallet to be started with further sections in its configuration.
pub struct Keeper<'a> {
    pub scene: &'a Scene,
    pub sections: String,
    pub node: String,
}

impl<'a> Keeper<'a> {
    pub fn of(scene: &'a Scene, sections: &str) -> Result<Keeper<'a>> {
        for (name, index) in [("payer.key", 1), ("funding.key", 3)] {
            write_secret(&scene.folder.path().join(name), KEYS[index], 0o600)?;
        }
        Ok(Keeper { scene, sections: sections.to_owned(), node: scene.chain.url() })
    }

    fn command(&self, name: &str) -> Result<Command> {
        let command = self.scene.wallet_command(name, &self.node)?;
        let config = self.scene.folder.path().join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&config)?.replace("            lease_ms = 1500\n", SETTINGS);
        std::fs::write(&config, format!("{text}\n{}", self.sections))?;
        Ok(command)
    }

    pub fn start(&self, name: &str) -> Result<Process> {
        Process::spawn(name, &mut self.command(name)?, &self.log(name))
    }

    /// One that does `action` when it gets to `point`.
    pub fn start_armed(&self, name: &str, point: &str, action: &str) -> Result<Process> {
        let mut command = self.command(name)?;
        command.env("FAILPOINTS", format!("{point}=1*{action}"));
        Process::spawn(name, &mut command, &self.log(name))
    }

    pub fn log(&self, name: &str) -> std::path::PathBuf {
        self.scene.folder.path().join(format!("{name}.log"))
    }

    /// How often a wallet said this so far.
    pub fn told(&self, name: &str, what: &str) -> Result<usize> {
        Ok(std::fs::read_to_string(self.log(name))?.matches(what).count())
    }

    pub async fn until_told(&self, name: &str, what: &str) -> Result<()> {
        wait::until(what, PATIENCE, async || {
            ensure!(self.told(name, what)? > 0, "it says {}", std::fs::read_to_string(self.log(name))?);
            Ok(())
        })
        .await
    }
}

/// Who refills gas.
pub fn funding() -> Result<Address> {
    Ok(key(3)?.address())
}

impl Scene {
    pub async fn set_balance(&self, account: Address, wei: u128) -> Result<()> {
        self.chain.rpc("anvil_setBalance", json!([account, U256::from(wei)])).await?;
        Ok(())
    }

    pub async fn wei(&self, account: Address) -> Result<u128> {
        Ok(u128::try_from(self.rpc.balance(account).await?)?)
    }

    /// Mines until all that this account sent is deep, and it sent `times`.
    pub async fn until_sent(&self, account: Address, times: usize) -> Result<Vec<Slot>> {
        wait::until("what was sent to be deep", PATIENCE, async || {
            self.chain.mine(1).await?;
            let slots = self.ledger.slots(self.chain.chain_id(), account, 0).await?;
            let deep = slots.iter().flat_map(|slot| &slot.intents).filter(|intent| intent.confirmed).count();
            ensure!(slots.len() == times && deep == times, "there is {slots:?}");
            Ok(slots)
        })
        .await
    }

    /// For a while, in which blocks are mined, this account sends nothing more.
    pub async fn nothing_more(&self, account: Address, times: u64) -> Result<()> {
        for _ in 0..8 {
            self.chain.mine(1).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        ensure!(self.rpc.mined_nonce(account).await? == times, "it sent more");
        Ok(())
    }

    /// The deposit of a channel from the payer to `receiver`.
    pub async fn deposit(&self, opening: &Opening, receiver: Address) -> Result<u128> {
        let question = raiden::channel_info(opening, receiver)?;
        let info = raiden::read_channel_info(&self.rpc.call(self.deployment.contract, question).await?)?;
        u128::try_from(U256::from(info.deposit)).context("it is small")
    }
}
