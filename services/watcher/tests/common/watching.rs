//! Watchers: in this process, or as the real program.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use contracts::Deployment;
use nix::sys::signal::Signal;
use runtime::{Config, Shutdown};
use tempfile::TempDir;
use testkit::process::Process;
use tokio::task::JoinHandle;

use super::book::Book;

/// How a watcher is set up.
#[derive(Clone)]
pub struct Setup {
    pub poll_ms: u64,
    pub rpc_timeout_ms: u64,
    pub max_range: u64,
    pub reorg_depth: u64,
    pub lease_ms: u64,
    pub fastest_block_s: u64,
    pub plan_ms: u64,
    /// Further lines of each deployment's section on claims.
    pub claim: &'static str,
    /// Any free port, when 0.
    pub ops_port: u16,
    /// How much the program logs.
    pub log: &'static str,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            poll_ms: 100,
            rpc_timeout_ms: 1_000,
            max_range: 1_000,
            reorg_depth: 128,
            lease_ms: 2_000,
            fastest_block_s: 1,
            plan_ms: 10_000,
            claim: "",
            ops_port: 0,
            log: "info",
        }
    }
}

/// A deployment, and the node to ask about it.
pub type Target<'a> = (&'a Deployment, String);

impl Setup {
    /// The configuration file, for a database and deployments.
    fn toml(&self, database: &str, targets: &[Target<'_>]) -> Result<String> {
        let Setup { poll_ms, rpc_timeout_ms, max_range, reorg_depth, lease_ms, fastest_block_s, ops_port, .. } = self;
        let Setup { plan_ms, claim, .. } = self;
        let mut toml = format!(
            "[database]\nurl = \"{database}\"\nsingle_node = true\n\
             [watcher]\nops_listen = \"127.0.0.1:{ops_port}\"\npoll_ms = {poll_ms}\nbalance_poll_ms = 200\nplan_ms = {plan_ms}\n\
             rpc_timeout_ms = {rpc_timeout_ms}\nmax_range = {max_range}\nreorg_depth = {reorg_depth}\nlease_ms = {lease_ms}\n"
        );
        for (deployment, rpc_url) in targets {
            let Deployment {
                name, chain_id, contract, token, payee, challenge_period, from_block, confirmations, ..
            } = deployment;
            toml += &format!(
                "[deployments.{name}]\nkind = \"raiden\"\nchain_id = {chain_id}\nrpc_url = \"{rpc_url}\"\n\
                 contract = \"{contract}\"\ntoken = \"{token}\"\npayee = \"{payee}\"\nfastest_block_s = {fastest_block_s}\n\
                 challenge_period = {challenge_period}\nfrom_block = {from_block}\nconfirmations = {confirmations}\n\
                 [deployments.{name}.claim]\n{claim}\n"
            );
        }
        Ok(toml)
    }

    pub fn config(&self, database: &str, targets: &[Target<'_>]) -> Result<Config> {
        let folder = TempDir::new()?;
        let path = folder.path().join("sluice.toml");
        std::fs::write(&path, self.toml(database, targets)?)?;
        Ok(runtime::config::load(&path)?)
    }

    /// Starts a watcher in this process.
    pub fn watch(&self, book: &Book, targets: &[Target<'_>]) -> Result<Watching> {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let config = self.config(&book.url, targets)?;
        let shutdown = Shutdown::default();
        let (ledger, stop) = (book.ledger.clone(), shutdown.clone());
        let task = tokio::spawn(async move { watcher::watch(&config, ledger, stop).await });
        Ok(Watching { shutdown, task })
    }

    /// Starts the real program.
    pub fn spawn(&self, folder: &Path, name: &str, book: &Book, targets: &[Target<'_>]) -> Result<Process> {
        self.spawn_with(folder, name, book, targets, &[])
    }

    /// Likewise, with these further keys of its configuration: `WATCHER__POLL_MS`.
    pub fn spawn_with(
        &self,
        folder: &Path,
        name: &str,
        book: &Book,
        targets: &[Target<'_>],
        keys: &[(&str, &str)],
    ) -> Result<Process> {
        let path = folder.join(format!("{name}.toml"));
        std::fs::write(&path, self.toml(&book.url, targets)?)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_watcher"));
        command.arg("--config").arg(&path).env("RUST_LOG", self.log);
        command.envs(keys.iter().map(|(key, value)| (format!("SLUICE_{key}"), value)));
        Ok(Process::spawn(name, &mut command, &folder.join(format!("{name}.log")))?.ends_with(Signal::SIGKILL))
    }

    /// What a ledger says that has never seen anything but the chain as it is now.
    pub async fn fresh_sync(&self, rpc: &evm::Rpc, targets: &[Target<'_>]) -> Result<String> {
        let book = Book::new().await?;
        let watching = self.watch(&book, targets)?;
        book.caught_up(rpc).await?;
        let dump = book.dump().await?;
        watching.stop().await?;
        Ok(dump)
    }
}

/// A watcher in this process.
pub struct Watching {
    shutdown: Shutdown,
    task: JoinHandle<Result<()>>,
}

impl Watching {
    /// Ends it as SIGTERM would.
    pub async fn stop(mut self) -> Result<()> {
        self.shutdown.begin();
        tokio::time::timeout(Duration::from_secs(10), &mut self.task).await.context("the watcher does not end")??
    }

    /// Lets it end, in its own time.
    pub fn end(&self) {
        self.shutdown.begin();
    }

    /// True while it runs: nothing may end a watcher but its shutdown.
    pub fn is_alive(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}
