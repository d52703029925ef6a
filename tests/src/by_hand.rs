use std::time::Duration;

use alloy_primitives::{U256, hex};
use anyhow::{Context, Result, ensure};
use channel::{Amount, ChannelId, Key};
use contracts::{Deployment, Kind, Opening, raiden, token};
use evm::{Account, Rpc};
use reqwest::{Client, RequestBuilder, StatusCode};
use testkit::anvil::KEYS;
use testkit::cluster::Cluster;
use testkit::{http, wait};

const DEPLOYMENT: &str = "main";
const PATIENCE: Duration = Duration::from_secs(30);

/// A payer that speaks RDN by hand: which voucher it sends, and how often, is the test's to choose.
#[derive(Clone, Debug)]
pub struct ByHand {
    key: Key,
    deployment: Deployment,
    opening: Opening,
    client: Client,
}

impl ByHand {
    /// Opens a channel with the account of [`KEYS`] at `index`, and waits until the ledger has its deposit confirmed.
    ///
    /// # Errors
    /// When the chain or the cluster does not go along.
    pub async fn open(cluster: &Cluster, index: usize, deposit: Amount) -> Result<ByHand> {
        let key = Key::from_bytes(&hex::decode_to_array(KEYS[index])?).context("anvil's keys are keys")?;
        let contracts = &cluster.contracts;
        let chain_id = cluster.chain.chain_id();
        let account = Account::new(Rpc::connect(&cluster.chain.url(), chain_id, PATIENCE).await?, key.clone());
        let data = raiden::open_data(key.address(), contracts.payee);
        let transfer = token::transfer_with_data(contracts.channels, deposit, data);
        let receipt = account.send(Some(contracts.token), transfer, U256::ZERO).await?;
        let opening = raiden::opening(key.address(), u32::try_from(receipt.block.number)?);
        let deployment = Deployment {
            name: DEPLOYMENT.to_owned(),
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
        let url = format!("{}/page", cluster.url());
        wait::until("the channel to be confirmed", PATIENCE, async || {
            let answer = payer.pay(&url, Amount::ZERO).send().await?;
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

    /// The request for our signature under closing at `balance`. `url` is the front's or the load balancer's.
    pub fn ask_to_close(&self, url: &str, balance: Amount) -> RequestBuilder {
        let block = raiden::open_block(&self.opening.params).unwrap_or_default();
        let channel = format!("{url}/api/1/channels/{}/{block}", self.key.address());
        let form = "application/x-www-form-urlencoded";
        self.client.delete(channel).header("Content-Type", form).body(format!("balance={balance}"))
    }

    /// The ledger's name of the channel.
    pub fn channel(&self) -> ChannelId {
        self.deployment.kind.contract().channel_id(&self.deployment, &self.opening)
    }
}

const FAILURES: [&str; 4] =
    ["rdn-nonexisting-channel", "rdn-insufficient-confirmations", "rdn-invalid-balance-proof", "rdn-invalid-amount"];
