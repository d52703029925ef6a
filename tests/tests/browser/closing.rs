//! Taking back what was not spent.

use anyhow::Result;

use crate::world::{Shopper, TOKENS};

const FILE: &str = "A file worth paying for.";

#[tokio::test(flavor = "multi_thread")]
async fn closing_gives_both_sides_their_tokens_to_the_unit() -> Result<()> {
    let shopper = Shopper::arrives("closes").await?;
    let tab = &shopper.tab;
    shopper.opens_with("1", "/file.txt", FILE).await?;
    shopper.pays_for("/page", "").await?;
    shopper.visits("/file.txt").await?;
    tab.click("#manage").await?;
    tab.until_says("h1", "Your payment channel").await?;
    tab.until_shown("#close").await?;
    assert!(tab.is("location.pathname === '/api/1/' && !document.querySelector('#pay').checkVisibility()").await?);
    tab.click("#close").await?;
    tab.until_says("#returned", "0.89 TKN came back to you. The seller got 0.11 TKN.").await?;
    assert_eq!(shopper.tokens().await?, TOKENS - 11);
    tab.until("!document.cookie.includes('RDN-Balance-Signature')").await?;

    shopper.visits("/api/1/").await?;
    tab.until_says("#no-channel", "This account has no open channel here.").await?;
    shopper.opens_again_with("0.5", "/file.txt", FILE).await?;
    assert_eq!(shopper.tokens().await?, TOKENS - 11 - 50);
    shopper.assert_quiet();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_was_never_used_is_closed_for_nothing() -> Result<()> {
    let shopper = Shopper::arrives("closes unused").await?;
    let tab = &shopper.tab;
    tab.wallet.conduct().declines.push("eth_signTypedData");
    shopper.visits("/file.txt").await?;
    tab.click("#connect button").await?;
    tab.click("#open-button").await?;
    tab.click("#close").await?;
    tab.until_says("#returned", "1 TKN came back to you. The seller got 0 TKN.").await?;
    assert_eq!(shopper.tokens().await?, TOKENS);
    Ok(())
}

/// The seller has signed by then and sells nothing more: the page remembers, and offers the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_was_interrupted_can_be_finished_later() -> Result<()> {
    let shopper = Shopper::arrives("closes later").await?;
    let tab = &shopper.tab;
    shopper.opens_with("1", "/file.txt", FILE).await?;
    shopper.visits("/api/1/").await?;
    tab.until_shown("#close").await?;
    tab.wallet.conduct().declines.push("eth_sendTransaction");
    tab.click("#close").await?;
    tab.until_says("#problem", "You declined in your wallet.").await?;
    shopper.visits("/file.txt").await?;
    tab.until_says("#closing", "The seller agreed to close this channel.").await?;
    tab.click("#finish").await?;
    tab.until_says("#returned", "0.9 TKN came back to you. The seller got 0.1 TKN.").await?;
    assert_eq!(shopper.tokens().await?, TOKENS - 10);
    Ok(())
}
