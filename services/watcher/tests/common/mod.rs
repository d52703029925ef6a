//! A world to watch: a chain with our contract on it, payers who use it, and ledgers that should say the same about it.
#![allow(dead_code)] // each test file uses its own part of it

pub mod book;
pub mod watching;

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use anyhow::{Context, Result};
use channel::{Amount, Key, Signature};
use contracts::raiden::{self, abi};
use contracts::{Contract, Deployment, Kind, Opening, SolCall, artifacts, token};
use evm::{Fees, Receipt, Rpc, Transaction, sign_transaction};
use serde_json::json;
use testkit::anvil::{Anvil, KEYS, Options};

/// The contract's least.
pub const CHALLENGE_PERIOD: u32 = 500;
/// What every payer begins with.
pub const FUNDS: u64 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(10);
/// Enough for every call; the base fee never gets near.
const GAS: u64 = 3_000_000;
const FEES: Fees = Fees { max_fee: 100_000_000_000, max_priority_fee: 1_000_000_000 };

/// The key of one of the chain's rich accounts: 0 deploys, 1 is the payee, the others pay.
pub fn key(index: usize) -> Key {
    let bytes = hex::decode_to_array(KEYS[index]).expect("well-known keys are hex");
    Key::from_bytes(&bytes).expect("well-known keys are keys")
}

pub const PAYEE: usize = 1;

pub struct World {
    pub chain: Anvil,
    pub rpc: Rpc,
    pub deployment: Deployment,
    /// The raw transactions sent, to have them mined again after a reorganisation.
    pub raw: BTreeMap<B256, Bytes>,
    novelties: u64,
}

impl World {
    /// A chain on which `payers` (from account 2 on) have tokens and the contract is deployed.
    pub async fn new(payers: usize) -> Result<World> {
        World::with(payers, Options::default()).await
    }

    pub async fn with(payers: usize, options: Options) -> Result<World> {
        let chain = Anvil::start_with(options).await?;
        let rpc = Rpc::connect(&chain.url(), chain.chain_id(), PATIENCE).await?;
        let deployment = Deployment {
            name: "main".to_owned(),
            kind: Kind::Raiden,
            chain_id: chain.chain_id(),
            contract: Address::ZERO,
            token: Address::ZERO,
            payee: key(PAYEE).address(),
            challenge_period: CHALLENGE_PERIOD,
            from_block: 0,
            confirmations: 1,
        };
        let mut world = World { chain, rpc, deployment, raw: BTreeMap::new(), novelties: 0 };
        let supply = U256::from(FUNDS) * U256::from(100);
        let code = artifacts::TEST_TOKEN.deploy(&artifacts::token_arguments(supply, "Token", "TKN", 0));
        world.deployment.token = world.deploy(code).await?;
        for payer in 2..2 + payers {
            let data = token::transfer(key(payer).address(), U256::from(FUNDS));
            world.send(0, world.deployment.token, data).await?;
        }
        world.deploy_channels().await?;
        Ok(world)
    }

    /// Deploys the contract and watches from there.
    pub async fn deploy_channels(&mut self) -> Result<()> {
        let arguments = artifacts::channels_arguments(self.deployment.token, CHALLENGE_PERIOD, &[]);
        self.deployment.contract = self.deploy(artifacts::CHANNELS.deploy(&arguments)).await?;
        self.deployment.from_block = self.rpc.head().await?.number;
        Ok(())
    }

    async fn deploy(&mut self, code: Bytes) -> Result<Address> {
        let hash = self.submit(0, None, code).await?;
        let receipt = self.mined(hash).await?;
        receipt.contract.context("no contract was made")
    }

    /// Signs and submits; the transaction need not be mined at once.
    pub async fn submit(&mut self, from: usize, to: Option<Address>, data: Bytes) -> Result<B256> {
        let nonce = self.rpc.nonce(key(from).address()).await?;
        let chain_id = self.deployment.chain_id;
        let transaction = Transaction { chain_id, nonce, to, data, value: U256::ZERO, gas: GAS, fees: FEES };
        let signed = sign_transaction(&key(from), &transaction);
        self.raw.insert(signed.hash, signed.raw.clone());
        Ok(self.rpc.send_raw(&signed.raw).await?)
    }

    pub async fn mined(&self, hash: B256) -> Result<Receipt> {
        let receipt = self.rpc.wait_mined(hash, PATIENCE).await?;
        anyhow::ensure!(receipt.succeeded, "transaction {hash} failed");
        Ok(receipt)
    }

    pub async fn send(&mut self, from: usize, to: Address, data: Bytes) -> Result<Receipt> {
        let hash = self.submit(from, Some(to), data).await?;
        self.mined(hash).await
    }

    /// Opens a channel with one transfer of tokens.
    pub async fn open(&mut self, payer: usize, deposit: u64) -> Result<Opening> {
        let receipt = self.send_open(payer, deposit).await?;
        Ok(self.opening(payer, &receipt))
    }

    pub async fn send_open(&mut self, payer: usize, deposit: u64) -> Result<Receipt> {
        let hash = self.submit_open(payer, deposit).await?;
        self.mined(hash).await
    }

    pub async fn submit_open(&mut self, payer: usize, deposit: u64) -> Result<B256> {
        let data = raiden::open_data(key(payer).address(), self.deployment.payee);
        let call = token::transfer_with_data(self.deployment.contract, U256::from(deposit), data);
        self.submit(payer, Some(self.deployment.token), call).await
    }

    pub fn opening(&self, payer: usize, receipt: &Receipt) -> Opening {
        raiden::opening(key(payer).address(), u32::try_from(receipt.block.number).expect("a short chain"))
    }

    pub async fn top_up(&mut self, payer: usize, opening: &Opening, added: u64) -> Result<Receipt> {
        let hash = self.submit_top_up(payer, opening, added).await?;
        self.mined(hash).await
    }

    pub async fn submit_top_up(&mut self, payer: usize, opening: &Opening, added: u64) -> Result<B256> {
        let data = raiden::top_up_data(opening, self.deployment.payee)?;
        let call = token::transfer_with_data(self.deployment.contract, U256::from(added), data);
        self.submit(payer, Some(self.deployment.token), call).await
    }

    pub async fn request_close(&mut self, payer: usize, opening: &Opening, balance: u64) -> Result<Receipt> {
        let hash = self.submit_request_close(payer, opening, balance).await?;
        self.mined(hash).await
    }

    pub async fn submit_request_close(&mut self, payer: usize, opening: &Opening, balance: u64) -> Result<B256> {
        let amount = Amount::new(balance.into());
        let call = raiden::uncooperative_close(opening, self.deployment.payee, amount)?;
        self.submit(payer, Some(self.deployment.contract), call).await
    }

    pub async fn settle(&mut self, payer: usize, opening: &Opening) -> Result<Receipt> {
        let call = raiden::settle(opening, self.deployment.payee)?;
        self.send(payer, self.deployment.contract, call).await
    }

    pub async fn withdraw(&mut self, payer: usize, opening: &Opening, balance: u64) -> Result<Receipt> {
        let hash = self.submit_withdraw(payer, opening, balance).await?;
        self.mined(hash).await
    }

    pub async fn submit_withdraw(&mut self, payer: usize, opening: &Opening, balance: u64) -> Result<B256> {
        let voucher = self.voucher(payer, opening, balance);
        let call = abi::withdrawCall {
            _open_block_number: raiden::open_block(&opening.params)?,
            _balance: balance.try_into()?,
            _balance_msg_sig: Bytes::copy_from_slice(voucher.as_bytes()),
        };
        self.submit(PAYEE, Some(self.deployment.contract), call.abi_encode().into()).await
    }

    pub async fn close_together(&mut self, payer: usize, opening: &Opening, balance: u64) -> Result<Receipt> {
        let hash = self.submit_close_together(payer, opening, balance).await?;
        self.mined(hash).await
    }

    pub async fn submit_close_together(&mut self, payer: usize, opening: &Opening, balance: u64) -> Result<B256> {
        let amount = Amount::new(balance.into());
        let voucher = self.voucher(payer, opening, balance);
        let closing = key(PAYEE).sign(self.contract().closing_digest(&self.deployment, opening, amount));
        let call = self.contract().cooperative_close(&self.deployment, opening, amount, &voucher, &closing)?;
        self.submit(payer, Some(self.deployment.contract), call).await
    }

    /// The payer's signature under a cumulative amount.
    pub fn voucher(&self, payer: usize, opening: &Opening, balance: u64) -> Signature {
        let amount = Amount::new(balance.into());
        key(payer).sign(self.contract().digest(&self.deployment, opening, amount))
    }

    /// What a watcher needs to know of this world.
    pub fn target(&self) -> watching::Target<'_> {
        (&self.deployment, self.chain.url())
    }

    pub fn contract(&self) -> &'static dyn Contract {
        self.deployment.kind.contract()
    }

    pub fn channel(&self, opening: &Opening) -> channel::ChannelId {
        self.contract().channel_id(&self.deployment, opening)
    }

    /// Replaces the last `depth` blocks; `again` names what of theirs is mined anew, and in which of the new blocks.
    pub async fn reorg(&mut self, depth: u64, again: &[(B256, u64)]) -> Result<()> {
        let before = self.rpc.head().await?;
        // Blocks of the same content and second would be the same blocks: something new is in them.
        let mut transactions = vec![(self.novelty(before.number - depth).await?, 0)];
        transactions.extend(again.iter().map(|(hash, place)| (self.raw[hash].to_string(), *place)));
        self.chain.reorg_with(depth, &transactions).await?;
        let after = self.rpc.head().await?;
        anyhow::ensure!(after.hash != before.hash, "the reorganisation changed nothing");
        Ok(())
    }

    /// A transaction that was never there, valid after a block.
    async fn novelty(&mut self, after: u64) -> Result<String> {
        let key = key(9);
        let nonce = self.chain.rpc("eth_getTransactionCount", json!([key.address(), format!("{after:#x}")])).await?;
        self.novelties += 1;
        let transaction = Transaction {
            chain_id: self.deployment.chain_id,
            nonce: testkit::rpc::quantity(&nonce)?,
            to: Some(key.address()),
            data: Bytes::new(),
            value: U256::from(self.novelties),
            gas: 21_000,
            fees: FEES,
        };
        Ok(sign_transaction(&key, &transaction).raw.to_string())
    }
}
