//! One cluster, and accounts of their own for whoever pays.

use std::time::Duration;

use alloy_primitives::{Address, B256, U256, keccak256};
use anyhow::{Context, Result, ensure};
use channel::{Channel, Epoch, Key};
use contracts::token;
use ledger::{ChannelFilter, Ledger, Settings};
use serde_json::json;
use testkit::cluster::{Cluster, DEPLOYER, Options};
use testkit::wait;
use tokio::sync::Mutex;

/// What a new account gets.
pub const TOKENS: u64 = 1_000_000;
/// How long a client may take.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// Closes move the payee's balance; one at a time, so that each is seen to the unit.
pub static CLOSES: Mutex<()> = Mutex::const_new(());

/// The node gives two transfers that come at once the same nonce.
static TRANSFERS: Mutex<()> = Mutex::const_new(());

/// Deposits need some blocks, so that the clients meet the answers that tell them to wait. All payers share one address,
/// and ask ten times as often as they do by default: that is not to be too often.
pub async fn cluster() -> Result<&'static Cluster> {
    let more = "[front.budget]\nper_minute = 10000\nburst = 10000\n".to_owned();
    Cluster::shared(Options { confirmations: 6, more, ..Options::default() }).await
}

/// An account with gas and tokens. Its key comes from its name.
pub async fn account(cluster: &Cluster, name: &str) -> Result<(B256, Address)> {
    let secret = keccak256(name);
    let account = Key::from_bytes(&secret.0).context("a hash is a key, but for a miracle")?.address();
    let chain = &cluster.chain;
    chain.rpc("anvil_setBalance", json!([account, U256::from(10).pow(U256::from(18))])).await?;
    let (from, data) = (cluster.contracts.accounts[DEPLOYER], token::transfer(account, U256::from(TOKENS)));
    let transfer = json!([{"from": from, "to": cluster.contracts.token, "data": data, "gas": "0x186a0"}]);
    {
        let _alone = TRANSFERS.lock().await;
        chain.rpc("eth_sendTransaction", transfer).await?;
    }
    wait::until("the tokens to arrive", PATIENCE, async || {
        ensure!(!cluster.contracts.balance(chain, account).await?.is_zero(), "they have not");
        Ok(())
    })
    .await?;
    Ok((secret, account))
}

/// The tokens of a payer and of the payee.
pub async fn balances(cluster: &Cluster, payer: Address) -> Result<(i128, i128)> {
    let of = async |who| anyhow::Ok(i128::try_from(cluster.contracts.balance(&cluster.chain, who).await?)?);
    Ok((of(payer).await?, of(cluster.contracts.payee).await?))
}

/// A payer's only channel, as the ledger has it once it is so.
pub async fn ledger(cluster: &Cluster, payer: Address, is_so: impl Fn(&Channel) -> bool) -> Result<(Channel, Epoch)> {
    let settings = Settings { single_node: true, ..Settings::new(&cluster.database) };
    let ledger = Ledger::connect(&settings).await?;
    let filter = ChannelFilter { payer: Some(payer), ended: true, ..ChannelFilter::default() };
    wait::until("the ledger", PATIENCE, async || {
        let found = ledger.channels(&filter).await?;
        let [(channel, epoch)] = &found[..] else { anyhow::bail!("{} channels", found.len()) };
        ensure!(is_so(channel), "it has {:?}", channel.facts);
        Ok((channel.clone(), epoch.clone()))
    })
    .await
}
