//! What goes wrong, and what the page says then.

use anyhow::{Context, Result};
use channel::Amount;
use chromiumoxide::cdp::browser_protocol::network::CookieParam;
use contracts::{raiden, token};
use serde_json::json;

use crate::tab::Appears;
use crate::world::{Shopper, TOKENS, shop};

const FILE: &str = "A file worth paying for.";
const DECLINED: &str = "You declined in your wallet. Nothing was paid.";

#[tokio::test(flavor = "multi_thread")]
async fn without_a_wallet_the_page_says_so_and_notices_one_that_comes_later() -> Result<()> {
    let shopper = Shopper::with(shop().await?, "no wallet", Appears::Not).await?;
    let tab = &shopper.tab;
    shopper.visits("/file.txt").await?;
    tab.until_shown("#no-wallet").await?;
    let provider = include_str!("provider.js").replace("HOW", "announced");
    tab.run(&provider).await?;
    tab.until_says("#connect button", "Connect Test Wallet").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn declining_in_the_wallet_costs_nothing_and_can_be_repeated() -> Result<()> {
    let shopper = Shopper::arrives("declines").await?;
    let tab = &shopper.tab;
    let decline = |method| tab.wallet.conduct().declines.push(method);
    decline("eth_requestAccounts");
    shopper.visits("/file.txt").await?;
    tab.click("#connect button").await?;
    tab.until_says("#problem", DECLINED).await?;
    tab.click("#connect button").await?;
    decline("eth_sendTransaction");
    tab.click("#open-button").await?;
    tab.until_says("#problem", DECLINED).await?;
    decline("eth_signTypedData");
    tab.click("#open-button").await?;
    tab.until_says("#problem", DECLINED).await?;
    assert_eq!(shopper.tokens().await?, TOKENS - 100, "the channel is open");
    assert_eq!(shopper.spent().await?, Amount::ZERO);
    tab.click("#pay").await?;
    shopper.reads(FILE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_on_another_chain_is_asked_to_switch() -> Result<()> {
    let shopper = Shopper::arrives("wrong chain").await?;
    let tab = &shopper.tab;
    tab.wallet.conduct().chain_id = 1;
    shopper.visits("/file.txt").await?;
    tab.click("#connect button").await?;
    tab.until_says("#wrong-chain p", "Your wallet is on chain 1. Payments are made on chain 61.").await?;
    tab.wallet.conduct().declines.push("wallet_switchEthereumChain");
    tab.click("#switch").await?;
    tab.until_says("#problem", DECLINED).await?;
    tab.click("#switch").await?;
    tab.until_shown("#open").await?;
    assert_eq!(tab.text("#problem").await?, "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_that_cannot_be_deposited_are_refused_before_the_wallet_is_asked() -> Result<()> {
    let shopper = Shopper::arrives("mistypes").await?;
    let tab = &shopper.tab;
    shopper.visits("/file.txt").await?;
    tab.click("#connect button").await?;
    for (written, says) in [
        ("much", "Enter an amount such as 0.1."),
        ("0.001", "Enter an amount such as 0.1."),
        ("-1", "Enter an amount such as 0.1."),
        ("0.09", "At least 0.1 TKN is needed."),
        ("1000.01", "You have 1000 TKN, not 1000.01 TKN."),
    ] {
        tab.fill("#open-amount", written).await?;
        tab.click("#open-button").await?;
        tab.until_says("#problem", says).await?;
        assert!(tab.is("document.activeElement.matches('#open-amount[aria-invalid=true]')").await?, "{written}");
    }
    assert_eq!(tab.wallet.times("eth_sendTransaction"), 0);
    Ok(())
}

/// A voucher in the cookies, as a page leaves it there.
async fn brings_a_voucher(shopper: &Shopper, block: u32, balance: u64) -> Result<()> {
    let contracts = &shopper.cluster.contracts;
    let item = |kind: &str, name: &str, value: String| json!({"type": kind, "name": name, "value": value});
    let proof = json!([
        item("string", "message_id", "Sender balance proof signature".into()),
        item("address", "receiver", contracts.payee.to_string()),
        item("uint32", "block_created", block.to_string()),
        item("uint192", "balance", balance.to_string()),
        item("address", "contract", contracts.channels.to_string()),
    ]);
    let signed = shopper.tab.wallet.answer("eth_signTypedData", json!([proof, shopper.account])).await;
    let signature = signed.map_err(|(_, message)| anyhow::Error::msg(message))?;
    for (name, value) in [
        ("RDN-Sender-Address", shopper.account.to_string()),
        ("RDN-Open-Block", block.to_string()),
        ("RDN-Sender-Balance", balance.to_string()),
        ("RDN-Balance-Signature", signature.as_str().context("a signature")?.to_owned()),
    ] {
        let mut cookie = CookieParam::new(name, value);
        cookie.url = Some(shopper.cluster.url());
        shopper.tab.page.set_cookie(cookie).await?;
    }
    Ok(())
}

/// The front does not count the deposit yet: the page waits until it does, and the voucher buys then.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_before_the_deposit_is_confirmed_is_repeated_when_it_is() -> Result<()> {
    let shopper = Shopper::arrives("hurries").await?;
    let contracts = &shopper.cluster.contracts;
    shopper.tab.wallet.conduct().is_connected = true;
    let data = raiden::open_data(shopper.account, contracts.payee);
    let deposit = token::transfer_with_data(contracts.channels, Amount::new(50), data);
    let receipt = shopper.sends(contracts.token, deposit).await?;
    let block = u32::try_from(testkit::rpc::quantity(&receipt["blockNumber"])?)?;
    brings_a_voucher(&shopper, block, 10).await?;
    shopper.visits("/file.txt").await?;
    assert!(shopper.tab.is("!!document.querySelector('#page')").await?, "it was sold before it was confirmed");
    shopper.reads(FILE).await?;
    assert_eq!(shopper.tab.wallet.times("eth_signTypedData"), 1, "the one that was brought");
    assert_eq!(shopper.spent().await?, Amount::new(10));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_from_a_channel_that_is_not_there_opens_the_way_to_a_new_one() -> Result<()> {
    let shopper = Shopper::arrives("gone").await?;
    let tab = &shopper.tab;
    tab.wallet.conduct().is_connected = true;
    brings_a_voucher(&shopper, 7, 10).await?;
    shopper.visits("/file.txt").await?;
    tab.until_says("#problem", "The seller has no open channel for that payment, so nothing was paid.").await?;
    tab.click("#open-button").await?;
    shopper.reads(FILE).await
}

/// A seller that names a balance must show our signature under it before we sign as much.
#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_was_never_signed_is_not_believed() -> Result<()> {
    let shopper = Shopper::arrives("is lied to").await?;
    let tab = &shopper.tab;
    shopper.opens_with("1", "/file.txt", FILE).await?;
    shopper.pays_for("/file.txt", FILE).await?;
    let (id, _) = shopper.ledger().await?;
    // The books of a seller that claims two more payments.
    let sql = "UPDATE epochs SET authorised = 40, spent = 40 WHERE channel = $1";
    shopper.database().await?.execute(sql, &[&id.0.as_slice()]).await?;
    shopper.visits("/file.txt").await?;
    tab.until_says("#problem", "The seller names a balance that you have not signed.").await?;
    tab.until_says("#to-seller", "0.2 TKN").await?;
    tab.click("#close").await?;
    tab.until_says("#problem", "The seller does not sign the close now").await?;
    Ok(())
}
