//! A shop, and somebody who comes to it with a browser, a wallet and some tokens.

use std::time::Duration;

use alloy_primitives::{Address, Bytes, U256, hex, keccak256};
use anyhow::{Context, Result, ensure};
use channel::{Amount, ChannelId, Epoch, Key};
use contracts::token;
use ledger::{ChannelFilter, Ledger, Settings};
use serde_json::{Value, json};
use testkit::cluster::{Cluster, DEPLOYER, Options, Source};
use testkit::wait;

use crate::tab::{Appears, Tab};
use crate::wallet::Wallet;

/// What everybody comes with, in base units; the page shows 100 of them as one TKN.
pub const TOKENS: u64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(20);
const PAYWALL: &str = r#"
[front.paywall]
title = "The Daily Sluice"
text = "Each article costs a few cents. No account, no subscription: open a channel once, and pay what you read."
"#;

/// Somebody with a browser.
pub struct Shopper {
    pub cluster: &'static Cluster,
    pub tab: Tab,
    pub account: Address,
}

/// The shop. Its contracts are µRaiden's own, whose token changes an allowance only from or to zero.
pub async fn shop() -> Result<&'static Cluster> {
    let options = Options { confirmations: 2, source: Source::Original, ..Options::default() };
    Cluster::shared(Options { more: PAYWALL.to_owned(), ..options }).await
}

impl Shopper {
    /// Somebody new, with a wallet that the page can see.
    pub async fn arrives(name: &str) -> Result<Shopper> {
        Shopper::with(shop().await?, name, Appears::Injected).await
    }

    pub async fn with(cluster: &'static Cluster, name: &str, appears: Appears) -> Result<Shopper> {
        let key = Key::from_bytes(&keccak256(name).0).context("a hash is a key, but for a miracle")?;
        let account = key.address();
        fund(cluster, account).await?;
        let wallet = Wallet::new(key, cluster.chain.url(), cluster.chain.chain_id());
        Ok(Shopper { cluster, tab: Tab::open(wallet, appears).await?, account })
    }

    /// Goes to what is for sale at `path`, without waiting for more than the page.
    pub async fn visits(&self, path: &str) -> Result<()> {
        self.tab.goto(&format!("{}{path}", self.cluster.url())).await
    }

    /// Goes to a page, connects, and opens a channel with a deposit as people write it; the page is bought with it.
    pub async fn opens_with(&self, deposit: &str, path: &str, content: &str) -> Result<()> {
        self.visits(path).await?;
        self.tab.click("#connect button").await?;
        self.tab.fill("#open-amount", deposit).await?;
        self.tab.click("#open-button").await?;
        self.reads(content).await
    }

    /// As [`Shopper::opens_with`], by somebody whose wallet knows the page.
    pub async fn opens_again_with(&self, deposit: &str, path: &str, content: &str) -> Result<()> {
        self.visits(path).await?;
        self.tab.fill("#open-amount", deposit).await?;
        self.tab.click("#open-button").await?;
        self.reads(content).await
    }

    /// Goes to another page, and pays for it from the channel.
    pub async fn pays_for(&self, path: &str, content: &str) -> Result<()> {
        self.visits(path).await?;
        self.tab.click("#pay").await?;
        self.reads(content).await
    }

    /// Waits for what was bought: it is shown at its own address, in place of the paywall.
    pub async fn reads(&self, content: &str) -> Result<()> {
        self.tab
            .until(&format!("!document.querySelector('#page') && document.body.innerText.includes({content:?})"))
            .await
    }

    /// Tokens outside of channels.
    pub async fn tokens(&self) -> Result<u64> {
        Ok(self.cluster.contracts.balance(&self.cluster.chain, self.account).await?.to())
    }

    /// The only channel's name and counters, as the ledger has them.
    pub async fn ledger(&self) -> Result<(ChannelId, Epoch)> {
        let settings = Settings { single_node: true, ..Settings::new(&self.cluster.database) };
        let ledger = Ledger::connect(&settings).await?;
        let filter = ChannelFilter { payer: Some(self.account), ended: true, ..ChannelFilter::default() };
        let found = ledger.channels(&filter).await?;
        let [(channel, epoch)] = &found[..] else { anyhow::bail!("{} channels", found.len()) };
        Ok((channel.id, epoch.clone()))
    }

    /// What was sold to this account, in base units.
    pub async fn spent(&self) -> Result<Amount> {
        Ok(self.ledger().await?.1.spent)
    }

    /// A connection to the books, for what only a dishonest seller would do.
    pub async fn database(&self) -> Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(&self.cluster.database, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A transaction of the account's, by the test's own hand; gives its receipt.
    pub async fn sends(&self, to: Address, data: Bytes) -> Result<Value> {
        send(self.cluster, self.account, to, &data).await
    }

    /// Nothing went wrong in the browser, and nothing was asked of anybody but us.
    pub fn assert_quiet(&self) {
        let (seen, ours) = (self.tab.seen(), self.cluster.url());
        assert_eq!(seen.troubles, [""; 0]);
        let foreign = seen.requests.iter().filter(|url| !url.starts_with(&ours) && !url.starts_with("data:"));
        assert_eq!(foreign.collect::<Vec<_>>(), [""; 0]);
    }
}

/// Gives an account gas and tokens, and lets the node send for it.
async fn fund(cluster: &Cluster, account: Address) -> Result<()> {
    let chain = &cluster.chain;
    chain.rpc("anvil_setBalance", json!([account, U256::from(10).pow(U256::from(18))])).await?;
    chain.rpc("anvil_impersonateAccount", json!([account])).await?;
    let transfer = token::transfer(account, U256::from(TOKENS));
    send(cluster, cluster.contracts.accounts[DEPLOYER], cluster.contracts.token, &transfer).await.map(drop)
}

async fn send(cluster: &Cluster, from: Address, to: Address, data: &[u8]) -> Result<Value> {
    let transaction = json!([{"from": from, "to": to, "data": hex::encode_prefixed(data), "gas": "0x7a120"}]);
    let hash = cluster.chain.rpc("eth_sendTransaction", transaction).await?;
    wait::until("the transaction to be mined", PATIENCE, async || {
        let receipt = cluster.chain.rpc("eth_getTransactionReceipt", json!([hash])).await?;
        ensure!(!receipt.is_null(), "it is not");
        ensure!(receipt["status"] == "0x1", "it failed: {receipt}");
        Ok(receipt)
    })
    .await
}
