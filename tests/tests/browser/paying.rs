//! Buying pages.

use alloy_primitives::U256;
use anyhow::Result;
use channel::Amount;
use contracts::token;

use crate::tab::Appears;
use crate::world::{Shopper, TOKENS, shop};

const FILE: &str = "A file worth paying for.";

#[tokio::test(flavor = "multi_thread")]
async fn opens_a_channel_pays_and_pays_the_next_page_from_it() -> Result<()> {
    let shopper = Shopper::arrives("opens and pays").await?;
    let tab = &shopper.tab;
    shopper.visits("/file.txt").await?;
    assert_eq!(tab.text("h1").await?, "The Daily Sluice");
    assert_eq!(tab.text("#price").await?, "0.1 TKN");
    tab.click("#connect button").await?;
    tab.until_shown("#open").await?;
    assert_eq!(tab.value::<String>("document.querySelector('#open-amount').value").await?, "1", "ten times the price");
    tab.click("#open-button").await?;
    shopper.reads(FILE).await?;
    assert_eq!(shopper.tokens().await?, TOKENS - 100);
    assert_eq!(shopper.spent().await?, Amount::new(10));
    assert_eq!(tab.wallet.times("eth_sendTransaction"), 2, "approve and createChannel");

    shopper.visits("/page").await?;
    tab.until_shown("#pay").await?;
    let shown = (tab.text("#deposit").await?, tab.text("#spent").await?, tab.text("#left").await?);
    assert_eq!(shown, ("1 TKN".into(), "0.1 TKN".into(), "0.9 TKN".into()));
    tab.click("#pay").await?;
    tab.until("!document.querySelector('#page')").await?;
    assert_eq!(shopper.spent().await?, Amount::new(11));
    assert_eq!((tab.wallet.times("eth_sendTransaction"), tab.wallet.times("eth_signTypedData")), (2, 2));
    shopper.assert_quiet();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_a_page_again_costs_nothing_unless_it_is_paid_again() -> Result<()> {
    let shopper = Shopper::arrives("loads again").await?;
    shopper.opens_with("1", "/file.txt", FILE).await?;
    shopper.visits("/file.txt").await?;
    shopper.tab.until_shown("#pay").await?;
    assert_eq!(shopper.tab.text("#problem").await?, "");
    assert_eq!(shopper.spent().await?, Amount::new(10));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tops_up_when_the_deposit_is_used_up() -> Result<()> {
    let shopper = Shopper::arrives("tops up").await?;
    let tab = &shopper.tab;
    shopper.opens_with("0.15", "/file.txt", FILE).await?;
    shopper.visits("/file.txt").await?;
    tab.until_says("#top-up-button", "Top up and pay").await?;
    assert!(!tab.is("document.querySelector('#pay').checkVisibility()").await?, "0.05 TKN are not enough");
    tab.fill("#top-up-amount", "0.01").await?;
    tab.click("#top-up-button").await?;
    tab.until_says("#problem", "At least 0.05 TKN is needed.").await?;
    tab.fill("#top-up-amount", "0.25").await?;
    tab.click("#top-up-button").await?;
    shopper.reads(FILE).await?;
    assert_eq!(shopper.tokens().await?, TOKENS - 40);
    assert_eq!(shopper.spent().await?, Amount::new(20));
    shopper.assert_quiet();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowance_that_is_there_already_is_set_to_zero_first() -> Result<()> {
    let shopper = Shopper::arrives("has an allowance").await?;
    let contracts = &shopper.cluster.contracts;
    let approve = |amount: u64| shopper.sends(contracts.token, token::approve(contracts.channels, U256::from(amount)));
    approve(5).await?;
    approve(6).await.expect_err("the token refuses");
    shopper.opens_with("1", "/file.txt", FILE).await?;
    assert_eq!(shopper.tab.wallet.times("eth_sendTransaction"), 3, "two approvals and createChannel");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_announces_itself_is_offered_by_its_name() -> Result<()> {
    let shopper = Shopper::with(shop().await?, "announced", Appears::Announced).await?;
    shopper.visits("/file.txt").await?;
    shopper.tab.until_says("#connect button", "Connect Test Wallet").await?;
    shopper.opens_with("1", "/file.txt", FILE).await?;
    shopper.pays_for("/file.txt", FILE).await?;
    assert_eq!(shopper.spent().await?, Amount::new(20));
    Ok(())
}

/// Another browser, or one whose memory was cleared: the seller shows our own signature, and we believe that.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_without_a_memory_learns_what_was_spent() -> Result<()> {
    let shopper = Shopper::arrives("forgets").await?;
    let tab = &shopper.tab;
    shopper.opens_with("1", "/file.txt", FILE).await?;
    shopper.pays_for("/file.txt", FILE).await?;
    tab.run("localStorage.clear()").await?;
    tab.page.execute(chromiumoxide::cdp::browser_protocol::network::ClearBrowserCookiesParams::default()).await?;
    shopper.visits("/file.txt").await?;
    tab.until_shown("#pay").await?;
    assert_eq!(tab.text("#spent").await?, "0.2 TKN, says the seller");
    tab.click("#pay").await?;
    tab.until_says("#status", "This channel was also used elsewhere: 0.2 TKN are spent.").await?;
    assert_eq!(shopper.spent().await?, Amount::new(20));
    tab.click("#pay").await?;
    shopper.reads(FILE).await?;
    assert_eq!(shopper.spent().await?, Amount::new(30));
    Ok(())
}
