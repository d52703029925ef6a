//! A chain with our contract, a ledger that follows it, a payer with a channel, and the wallet as the program it is.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod ground;
pub mod journal;
pub mod kept;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alloy_primitives::{Address, U256, keccak256};
use anyhow::{Context, Result, bail, ensure};
use channel::{Amount, ChannelId, Key, Refusal, Request, RequestHash, Signature, Status, Step, Terms, Voucher};
use contracts::{Contract, Deployment, Kind, Opening, artifacts, raiden, token};
use evm::{Account, Rpc};
use ledger::{
    Advance, Cursor, DeploymentRow, JobKind, JobOutcome, Ledger, NewEvent, NewJob, Order, Receipt, Refused, Settings,
    When,
};
use testkit::anvil::{Anvil, KEYS};
use testkit::postgres::Postgres;
use testkit::process::Process;
use testkit::scratch::Scratch;
use testkit::{ports, wait};

pub const DEPLOYMENT: &str = "main";
/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The least that the contract takes.
pub const CHALLENGE_PERIOD: u32 = 500;
const SUPPLY: u128 = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(10);

pub struct Scene {
    pub chain: Anvil,
    pub rpc: Rpc,
    pub ledger: Ledger,
    pub database: String,
    pub deployment: Deployment,
    pub payer: Account,
    pub payee: Key,
    pub folder: Scratch,
}

/// A channel that was opened.
pub struct Opened {
    pub id: ChannelId,
    pub opening: Opening,
}

pub fn amount(units: u128) -> Amount {
    Amount::new(units)
}

pub fn key(index: usize) -> Result<Key> {
    let bytes = alloy_primitives::hex::decode_to_array(KEYS[index])?;
    Key::from_bytes(&bytes).context("anvil's keys are keys")
}

impl Scene {
    /// The contract deployed, the payer rich, the ledger following.
    pub async fn set() -> Result<Scene> {
        let chain = Anvil::start().await?;
        let rpc = Rpc::connect(&chain.url(), chain.chain_id(), TIMEOUT).await?;
        let payer = Account::new(rpc.clone(), key(1)?);
        let payee = key(2)?;
        let coin = artifacts::token_arguments(U256::from(SUPPLY), "Test", "TST", 0);
        let (coin, _) = payer.deploy(artifacts::TEST_TOKEN.deploy(&coin)).await?;
        let channels = artifacts::channels_arguments(coin, CHALLENGE_PERIOD, &[]);
        let (contract, _) = payer.deploy(artifacts::CHANNELS.deploy(&channels)).await?;
        let deployment = Deployment {
            name: DEPLOYMENT.to_owned(),
            kind: Kind::Raiden,
            chain_id: chain.chain_id(),
            contract,
            token: coin,
            payee: payee.address(),
            challenge_period: CHALLENGE_PERIOD,
            from_block: 0,
            confirmations: 0,
        };
        let database = Postgres::shared().await?.fresh_database().await?;
        let ledger = Ledger::connect(&Settings { single_node: true, ..Settings::new(&database) }).await?;
        let Deployment { chain_id, contract, token, payee: payee_address, .. } = deployment;
        let id = DEPLOYMENT.to_owned();
        ledger.register(&DeploymentRow { id, chain_id, contract, token, payee: payee_address }).await?;
        testkit::clear::all_clear(&ledger, DEPLOYMENT).await?;
        let folder = Scratch::new("wallet")?;
        let scene = Scene { chain, rpc, ledger, database, deployment, payer, payee, folder };
        write_secret(&scene.key_file(), KEYS[2], 0o600)?;
        scene.follow().await?;
        Ok(scene)
    }

    /// Does what a watcher does, from scratch: reads the whole chain into the ledger.
    pub async fn follow(&self) -> Result<()> {
        let head = self.rpc.head().await?;
        let contract = self.contract();
        let logs = self.rpc.logs(&contract.filter(&self.deployment), 0, head.number).await?;
        let events = logs.iter().filter_map(|log| contract.decode(&self.deployment, log).transpose());
        let named = |(opening, event): (Opening, _)| NewEvent { event, payer: opening.payer, params: opening.params };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let (block, block_time) = (head.reference(), head.time);
        let advance = Advance {
            deployment: DEPLOYMENT.to_owned(),
            from: self.ledger.cursor(DEPLOYMENT).await?.map(|cursor| cursor.block),
            to: Cursor { block, block_time, anchor: block, halted: None },
            events: events.map(|event| event.map(named)).collect::<Result<_, _>>()?,
            rescan_from: 0,
            confirmed: head.number,
            safe_until: now + 3_600,
        };
        Ok(self.ledger.advance(&advance).await?)
    }

    pub fn contract(&self) -> &'static dyn Contract {
        self.deployment.kind.contract()
    }

    /// The payer opens a channel with this deposit.
    pub async fn open(&self, deposit: u128) -> Result<Opened> {
        let Deployment { contract, token: coin, payee, .. } = self.deployment;
        let data = raiden::open_data(self.payer.address(), payee);
        let transfer = token::transfer_with_data(contract, U256::from(deposit), data);
        let receipt = self.payer.send(Some(coin), transfer, U256::ZERO).await?;
        let opening = raiden::opening(self.payer.address(), u32::try_from(receipt.block.number)?);
        self.follow().await?;
        Ok(Opened { id: self.contract().channel_id(&self.deployment, &opening), opening })
    }

    /// The payer's signature under a cumulative amount.
    pub fn voucher(&self, channel: &Opened, cumulative: u128) -> Signature {
        self.payer.key().sign(self.contract().digest(&self.deployment, &channel.opening, amount(cumulative)))
    }

    /// Sells for `price` with a voucher over `cumulative`.
    pub async fn sell(&self, channel: &Opened, cumulative: u128, price: u128) -> Result<Result<Receipt, Refused>> {
        self.order(channel, cumulative, price, When::Now).await
    }

    /// Sells likewise, charged now or when the call is over.
    pub async fn order(
        &self,
        channel: &Opened,
        cumulative: u128,
        price: u128,
        settle: When,
    ) -> Result<Result<Receipt, Refused>> {
        let digest = self.contract().digest(&self.deployment, &channel.opening, amount(cumulative));
        let signature = self.voucher(channel, cumulative);
        let voucher = Voucher { channel: channel.id, epoch: 0, amount: amount(cumulative), signature }
            .verify(digest, self.payer.address())?;
        let request = Request { id: None, hash: RequestHash(keccak256(uuid::Uuid::now_v7())) };
        let terms = Terms { step: Step::Any, ..Terms::default() };
        let (deployment, route) = (Arc::from(DEPLOYMENT), Arc::from("goods"));
        Ok(self.ledger.sell(Order { deployment, route, voucher, price: amount(price), terms, request, settle }).await?)
    }

    /// Sells, which must succeed.
    pub async fn pay(&self, channel: &Opened, cumulative: u128, price: u128) -> Result<Receipt> {
        match self.sell(channel, cumulative, price).await? {
            Ok(receipt) => Ok(receipt),
            Err(refused) => bail!("{:?}", refused.refusal),
        }
    }

    /// Why a sale is refused.
    pub async fn refusal(&self, channel: &Opened, cumulative: u128, price: u128) -> Result<Option<Refusal>> {
        Ok(self.sell(channel, cumulative, price).await?.err().map(|refused| refused.refusal))
    }

    /// Asks the wallet for a closing signature as a front does.
    pub async fn ask_to_close(&self, channel: &Opened, final_amount: u128) -> Result<serde_json::Value> {
        let job = NewJob {
            kind: JobKind::Sign,
            key: format!("{} {final_amount}", channel.id),
            deployment: DEPLOYMENT.to_owned(),
            channel: Some(channel.id),
            amount: Some(amount(final_amount)),
        };
        let job = self.ledger.enqueue(&job).await?;
        match self.ledger.wait(job, PATIENCE).await? {
            Some(JobOutcome::Done(outcome)) => Ok(outcome),
            other => bail!("the job ended with {other:?}"),
        }
    }

    /// The payer asks to close at `balance`, alone. Returns the block of its request.
    pub async fn close_alone(&self, channel: &Opened, balance: u128) -> Result<u64> {
        let block = self.close_unnoticed(channel, balance).await?;
        self.follow().await?;
        Ok(block)
    }

    /// Likewise; the ledger does not hear of it yet.
    pub async fn close_unnoticed(&self, channel: &Opened, balance: u128) -> Result<u64> {
        let data = raiden::uncooperative_close(&channel.opening, self.deployment.payee, amount(balance))?;
        let receipt = self.payer.send(Some(self.deployment.contract), data, U256::ZERO).await?;
        Ok(receipt.block.number)
    }

    /// Follows the chain until the channel is closed.
    pub async fn until_closed(&self, channel: &Opened) -> Result<()> {
        wait::until("the channel to be closed", PATIENCE, async || {
            self.follow().await?;
            match self.status(channel).await? {
                Status::Closed => Ok(()),
                status => bail!("it is {status:?}"),
            }
        })
        .await
    }

    pub async fn status(&self, channel: &Opened) -> Result<Status> {
        let (channel, _) = self.ledger.view(channel.id).await?.context("the ledger knows the channel")?;
        Ok(channel.facts.status)
    }

    /// How much of the token an account has.
    pub async fn tokens(&self, account: Address) -> Result<u128> {
        let answer = self.rpc.call(self.deployment.token, token::balance_of(account)).await?;
        Ok(u128::try_from(token::read_amount(&answer)?)?)
    }

    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("payee.key")
    }

    /// The wallet's command line. Its log is beside its configuration.
    pub fn wallet_command(&self, name: &str, rpc_url: &str) -> Result<Command> {
        let Deployment { chain_id, contract, token, payee, challenge_period, .. } = self.deployment;
        let text = format!(
            r#"
            [database]
            url = "{database}"
            single_node = true
            [deployments.{DEPLOYMENT}]
            kind = "raiden"
            chain_id = {chain_id}
            rpc_url = "{rpc_url}"
            contract = "{contract}"
            token = "{token}"
            payee = "{payee}"
            challenge_period = {challenge_period}
            confirmations = 0
            [wallet]
            ops_listen = "127.0.0.1:{port}"
            key_file = "payee.key"
            rpc_timeout_ms = 2000
            poll_ms = 100
            lease_ms = 1500
            "#,
            database = self.database,
            port = ports::free()?,
        );
        let config = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&config, text)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_wallet"));
        command.arg("--config").arg(config);
        Ok(command)
    }

    /// A running wallet, with these further keys of its configuration: `WALLET__BUMP_MS`.
    pub fn wallet_with(&self, name: &str, keys: &[(&str, &str)]) -> Result<Process> {
        let log = self.folder.path().join(format!("{name}.log"));
        let mut command = self.wallet_command(name, &self.chain.url())?;
        command.envs(keys.iter().map(|(key, value)| (format!("SLUICE_{key}"), value)));
        Process::spawn(name, &mut command, &log)
    }

    /// A channel with 100 deposited and 30 paid for.
    pub async fn used_channel(&self) -> Result<Opened> {
        let channel = self.open(100).await?;
        for cumulative in [10, 20, 30] {
            self.pay(&channel, cumulative, 10).await?;
        }
        Ok(channel)
    }

    /// A running wallet.
    pub fn wallet(&self, name: &str) -> Result<Process> {
        self.wallet_at(name, &self.chain.url())
    }

    /// A running wallet that asks another node.
    pub fn wallet_at(&self, name: &str, rpc_url: &str) -> Result<Process> {
        let log = self.folder.path().join(format!("{name}.log"));
        Process::spawn(name, &mut self.wallet_command(name, rpc_url)?, &log)
    }
}

/// Until this one holds the lease.
pub async fn until_active(wallet: &Process) -> Result<()> {
    wait::until("the wallet to be active", PATIENCE, async || {
        let log = std::fs::read_to_string(wallet.log())?;
        ensure!(log.contains(r#""message":"active""#), "it says {log}");
        Ok(())
    })
    .await
}

/// Writes a file that only we may read, or with another mode.
pub fn write_secret(path: &Path, text: &str, mode: u32) -> Result<()> {
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}
