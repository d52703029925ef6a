use std::time::Duration;

use alloy_primitives::{Bytes, U256, hex};
use anyhow::{Context, Result, ensure};
use channel::{Amount, ChannelId, Key};
use contracts::{Deployment, Kind, Opening, raiden, token};
use evm::{Account, Receipt, Rpc};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::json;
use testkit::anvil::{Anvil, KEYS};
use testkit::cluster::{Cluster, Contracts};
use testkit::{http, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// A payer that speaks RDN by hand: which voucher it sends, and how often, is the test's to choose.
#[derive(Clone, Debug)]
pub struct ByHand {
    key: Key,
    deployment: Deployment,
    opening: Opening,
    client: Client,
}

/// Where a payer opens a channel, and what it buys there.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The deployment's name.
    pub deployment: &'a str,
    /// Its chain.
    pub chain: &'a Anvil,
    /// What is deployed on it.
    pub contracts: &'a Contracts,
    /// Something that is for sale there.
    pub url: String,
}

impl<'a> Place<'a> {
    /// A cluster's first deployment.
    pub fn main(cluster: &'a Cluster) -> Place<'a> {
        let Cluster { chain, contracts, .. } = cluster;
        Place { deployment: "main", chain, contracts, url: format!("{}/page", cluster.url()) }
    }
}

impl ByHand {
    /// Opens a channel with the account of [`KEYS`] at `index`, and waits until the ledger has its deposit confirmed.
    ///
    /// # Errors
    /// When the chain or the cluster does not go along.
    pub async fn open(cluster: &Cluster, index: usize, deposit: Amount) -> Result<ByHand> {
        ByHand::open_at(&Place::main(cluster), index, deposit).await
    }

    /// Likewise, elsewhere than in the cluster's first deployment.
    ///
    /// # Errors
    /// As [`ByHand::open`].
    pub async fn open_at(place: &Place<'_>, index: usize, deposit: Amount) -> Result<ByHand> {
        let Place { deployment: name, chain, contracts, url } = place;
        let key = Key::from_bytes(&hex::decode_to_array(KEYS[index])?).context("anvil's keys are keys")?;
        let chain_id = chain.chain_id();
        let account = Account::new(Rpc::connect(&chain.url(), chain_id, PATIENCE).await?, key.clone());
        let data = raiden::open_data(key.address(), contracts.payee);
        let transfer = token::transfer_with_data(contracts.channels, deposit, data);
        let receipt = account.send(Some(contracts.token), transfer, U256::ZERO).await?;
        let opening = raiden::opening(key.address(), u32::try_from(receipt.block.number)?);
        let deployment = Deployment {
            name: (*name).to_owned(),
            kind: Kind::Raiden,
            chain_id,
            contract: contracts.channels,
            token: contracts.token,
            payee: contracts.payee,
            challenge_period: contracts.challenge_period,
            from_block: contracts.from_block,
            confirmations: 0,
        };
        let payer = ByHand { key, deployment, opening, client: http::client()? };
        // A voucher over nothing buys nothing; once it is only refused for that, the channel is known.
        wait::until("the channel to be confirmed", PATIENCE, async || {
            let answer = payer.pay(url, Amount::ZERO).send().await?;
            let plain = answer.headers().keys().all(|name| !FAILURES.contains(&name.as_str()));
            ensure!(answer.status() == StatusCode::PAYMENT_REQUIRED && plain, "it is not: {answer:?}");
            Ok(())
        })
        .await?;
        Ok(payer)
    }

    /// A request that pays with a voucher over `balance`, cumulative.
    pub fn pay(&self, url: &str, balance: Amount) -> RequestBuilder {
        let digest = self.deployment.kind.contract().digest(&self.deployment, &self.opening, balance);
        let block = raiden::open_block(&self.opening.params).unwrap_or_default();
        self.client
            .get(url)
            .header("RDN-Contract-Address", self.deployment.contract.to_string())
            .header("RDN-Receiver-Address", self.deployment.payee.to_string())
            .header("RDN-Sender-Address", self.key.address().to_string())
            .header("RDN-Open-Block", block)
            .header("RDN-Balance", balance.to_string())
            .header("RDN-Balance-Signature", hex::encode_prefixed(self.key.sign(digest).as_bytes()))
    }

    /// The channel as the REST interface names it.
    pub fn path(&self) -> String {
        let block = raiden::open_block(&self.opening.params).unwrap_or_default();
        format!("channels/{}/{block}", self.key.address())
    }

    /// The request for our signature under closing at `balance`. `url` is the front's or the load balancer's.
    pub fn ask_to_close(&self, url: &str, balance: Amount) -> RequestBuilder {
        let channel = format!("{url}/api/1/{}", self.path());
        let form = "application/x-www-form-urlencoded";
        self.client.delete(channel).header("Content-Type", form).body(format!("balance={balance}"))
    }

    /// What asks the contract to close at `balance`, without the payee.
    ///
    /// # Errors
    /// When the amount is more than the contract can count.
    pub fn close_request(&self, balance: Amount) -> Result<Bytes> {
        Ok(raiden::uncooperative_close(&self.opening, self.deployment.payee, balance)?)
    }

    /// Sends [`ByHand::close_request`], and waits until it is mined.
    ///
    /// # Errors
    /// When the chain does not go along.
    pub async fn close_alone(&self, chain: &Anvil, balance: Amount) -> Result<Receipt> {
        let rpc = Rpc::connect(&chain.url(), chain.chain_id(), PATIENCE).await?;
        let account = Account::new(rpc, self.key.clone());
        Ok(account.send(Some(self.deployment.contract), self.close_request(balance)?, U256::ZERO).await?)
    }

    /// Adds to the deposit, and waits until that is mined.
    ///
    /// # Errors
    /// When the chain does not go along.
    pub async fn top_up(&self, chain: &Anvil, added: Amount) -> Result<Receipt> {
        let rpc = Rpc::connect(&chain.url(), chain.chain_id(), PATIENCE).await?;
        let data = raiden::top_up_data(&self.opening, self.deployment.payee)?;
        let transfer = token::transfer_with_data(self.deployment.contract, added, data);
        Ok(Account::new(rpc, self.key.clone()).send(Some(self.deployment.token), transfer, U256::ZERO).await?)
    }

    /// What the contract holds for the channel, at the head; nothing when there is none.
    ///
    /// # Errors
    /// When the chain does not answer.
    pub async fn on_chain(&self, chain: &Anvil) -> Result<Option<Amount>> {
        let question = raiden::channel_info(&self.opening, self.deployment.payee)?;
        let call = json!([{"to": self.deployment.contract, "data": question}, "latest"]);
        let Ok(answer) = chain.rpc("eth_call", call).await else { return Ok(None) }; // it reverts
        let answer: Bytes = serde_json::from_value(answer)?;
        Ok(Some(Amount::new(raiden::read_channel_info(&answer)?.deposit.to())))
    }

    /// The ledger's name of the channel.
    pub fn channel(&self) -> ChannelId {
        self.deployment.kind.contract().channel_id(&self.deployment, &self.opening)
    }
}

const FAILURES: [&str; 4] =
    ["rdn-nonexisting-channel", "rdn-insufficient-confirmations", "rdn-invalid-balance-proof", "rdn-invalid-amount"];
