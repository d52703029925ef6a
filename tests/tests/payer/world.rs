//! A chain with contracts, a shop, and a payer that owns all tokens.

use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::{Address, U256, hex};
use anyhow::{Context, Result};
use bytes::Bytes;
use channel::{Amount, Key};
use contracts::artifacts;
use evm::{Account, Rpc};
use payer::{Allowed, Answer, Limits, Options, Payer, PayerError, Settings};
use tempfile::TempDir;
use testkit::anvil::{Anvil, KEYS};

use crate::shop::Shop;

/// What the shop asks for a request, unless a test says otherwise.
pub const PRICE: Amount = Amount::new(10);

pub struct World {
    pub anvil: Anvil,
    pub contract: Address,
    pub token: Address,
    pub shop: Shop,
    pub state: TempDir,
}

pub fn key(index: usize) -> Key {
    let bytes = hex::decode_to_array(KEYS[index]).expect("anvil's keys are hex");
    Key::from_bytes(&bytes).expect("anvil's keys are keys")
}

pub fn amount(units: u128) -> Amount {
    Amount::new(units)
}

impl World {
    pub async fn new() -> Result<World> {
        let anvil = Anvil::start().await?;
        let rpc = Rpc::connect(&anvil.url(), anvil.chain_id(), Duration::from_secs(5)).await?;
        let account = Account::new(rpc.clone(), key(0));
        let supply = U256::from(1_000_000_000u64);
        let code = artifacts::TEST_TOKEN.deploy(&artifacts::token_arguments(supply, "Test", "TST", 0));
        let (token, _) = account.deploy(code).await?;
        let code = artifacts::CHANNELS.deploy(&artifacts::channels_arguments(token, 500, &[]));
        let (contract, _) = account.deploy(code).await?;
        let shop = Shop::open(rpc, contract, token, key(1)).await?;
        Ok(World { anvil, contract, token, shop, state: TempDir::new()? })
    }

    /// Limits that let pass everything the tests do.
    pub fn limits(&self) -> Limits {
        Limits {
            max_price: amount(100),
            max_deposit: amount(10_000),
            contracts: Allowed::These(vec![self.contract]),
            ..Limits::default()
        }
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.anvil.url(), self.anvil.chain_id(), self.state.path());
        settings.limits = self.limits();
        settings.patience.poll = Duration::from_millis(50);
        settings.patience.confirmed = Duration::from_secs(5);
        settings.patience.answer = Duration::from_secs(5);
        settings.patience.lock = Duration::from_millis(200);
        settings
    }

    pub async fn payer(&self) -> Result<Payer> {
        Ok(self.payer_with(|_| {}).await?)
    }

    pub async fn payer_with(&self, change: impl FnOnce(&mut Settings)) -> Result<Payer, PayerError> {
        let mut settings = self.settings();
        change(&mut settings);
        Payer::new(settings, key(0)).await
    }

    /// The payer's tokens outside of channels.
    pub async fn tokens(&self, payer: &Payer) -> Result<u128> {
        Ok(payer.tokens(self.token).await?.to::<u128>())
    }

    /// The file the payer remembers its channels in.
    pub fn state_file(&self) -> Result<PathBuf> {
        let mut dirs = std::fs::read_dir(self.state.path())?;
        Ok(dirs.next().context("there is no state")??.path().join("state"))
    }

    pub fn spending_log(&self) -> Result<Vec<serde_json::Value>> {
        let text = std::fs::read_to_string(self.state_file()?.with_file_name("spending.jsonl"))?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

impl World {
    pub fn request(&self, path: &str) -> http::Request<Bytes> {
        http::Request::get(format!("{}{path}", self.shop.url())).body(Bytes::new()).expect("the shop's address is one")
    }

    pub async fn get(&self, payer: &Payer, path: &str) -> Result<Answer, PayerError> {
        payer.pay(self.request(path), Options::default()).await
    }
}
