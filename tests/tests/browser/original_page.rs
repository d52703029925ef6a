//! The page that the original client's package brings (microraiden 0.2.6), with its own scripts, pays our front.
//!
//! It is configured as a page of the seller's own. What it loads from content delivery networks is served from npm's
//! packages of the same versions; nobody else is asked.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use channel::Amount;
use chromiumoxide::Page;
use chromiumoxide::cdp::browser_protocol::fetch::{
    EnableParams, EventRequestPaused, FulfillRequestParams, HeaderEntry, RequestPattern,
};
use chromiumoxide::cdp::browser_protocol::page::{EventJavascriptDialogOpening, HandleJavaScriptDialogParams};
use futures::StreamExt;
use testkit::cluster::{Cluster, Options};
use testkit::paths;
use tokio::task::JoinSet;

use crate::tab::Appears;
use crate::world::{Shopper, TOKENS};

const FILE: &str = "A file worth paying for.";
/// What the page loads from elsewhere, and where npm puts it. Fonts it does without.
const LIBRARIES: [(&str, &str, &str); 4] = [
    ("jquery-3.3.1.min.js", "jquery/dist/jquery.min.js", "text/javascript"),
    ("bootstrap.min.js", "bootstrap/dist/js/bootstrap.min.js", "text/javascript"),
    ("bootstrap.min.css", "bootstrap/dist/css/bootstrap.min.css", "text/css"),
    ("js.cookie.min.js", "js-cookie/src/js.cookie.js", "text/javascript"),
];

/// A shop that shows the original's page.
async fn shop(page: &Path) -> Result<&'static Cluster> {
    let page = page.display();
    let more = format!(
        "[front.paywall]\npage = \"{page}/index.html\"\n\n\
         [[front.routes]]\nprefix = \"/js\"\nfolder = \"{page}/js\"\nprice = 0\n"
    );
    let cluster = Cluster::start(Options { fronts: 1, more, ..Options::default() }).await?;
    Ok(Box::leak(Box::new(cluster)))
}

/// Answers what the page asks of the world, and says yes when it asks whether one is sure.
async fn attend(page: &Page) -> Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let mut paused = page.event_listener::<EventRequestPaused>().await?;
    let mut dialogs = page.event_listener::<EventJavascriptDialogOpening>().await?;
    let foreign = RequestPattern::builder().url_pattern("https://*").build();
    page.execute(EnableParams::builder().pattern(foreign).build()).await?;
    let answering = page.clone();
    tasks.spawn(async move {
        while let Some(asked) = paused.next().await {
            if let Ok(answer) = from_npm(&asked) {
                let _ = answering.execute(answer).await;
            }
        }
    });
    let answering = page.clone();
    tasks.spawn(async move {
        while dialogs.next().await.is_some() {
            let _ = answering.execute(HandleJavaScriptDialogParams::new(true)).await;
        }
    });
    Ok(tasks)
}

fn from_npm(asked: &Arc<EventRequestPaused>) -> Result<FulfillRequestParams> {
    let known = LIBRARIES.iter().find(|(name, ..)| asked.request.url.ends_with(name));
    let answer = FulfillRequestParams::builder().request_id(asked.request_id.clone());
    let answer = match known {
        Some((_, file, kind)) => {
            let body = BASE64_STANDARD.encode(std::fs::read(paths::page_library(file)?)?);
            let headers = [("Content-Type", *kind), ("Access-Control-Allow-Origin", "*")];
            let headers = headers.map(|(name, value)| HeaderEntry { name: name.into(), value: value.into() });
            answer.response_code(200).response_headers(headers).body(body)
        }
        None => answer.response_code(404),
    };
    answer.build().map_err(anyhow::Error::msg)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_page_opens_signs_shows_and_closes() -> Result<()> {
    let page = paths::original_page()?;
    let shopper = Shopper::with(shop(&page).await?, "the original page", Appears::Legacy).await?;
    let tab = &shopper.tab;
    tab.wallet.conduct().is_connected = true;
    let _attending = attend(&tab.page).await?;

    // Nothing yet: it asks for a deposit, which it sends as one ERC-223 transfer, and signs by itself then.
    shopper.visits("/file.txt").await?;
    tab.until_shown("#channel_missing").await?;
    assert_eq!(tab.text("#amount").await?, "1e-17", "10 base units of a token with 18 decimals");
    tab.run("$('#channel_missing_deposit').val('0.0000000000000001')").await?;
    tab.click("#channel_missing_start").await?;
    shopper.reads(FILE).await?;
    assert_eq!((shopper.tokens().await?, shopper.spent().await?), (TOKENS - 100, Amount::new(10)));
    assert_eq!(tab.wallet.times("eth_sendTransaction"), 1);

    // The next page: it checks what the cookies say it paid, and signs by itself again.
    shopper.visits("/file.txt").await?;
    shopper.reads(FILE).await?;
    assert_eq!(shopper.spent().await?, Amount::new(20));

    // Its owner declines, looks around, and signs by the button.
    let decline = || tab.wallet.conduct().declines.push("eth_signTypedData");
    decline();
    shopper.visits("/page").await?;
    tab.until("!!document.querySelector('#channel_present .channel_present_sign.green-btn')?.checkVisibility()")
        .await?;
    assert_eq!(tab.text("#channel_present_balance").await?, "8e-17");
    tab.click("#channel_present .channel_present_sign").await?;
    tab.until("!document.querySelector('#channel_present')").await?;
    assert_eq!(shopper.spent().await?, Amount::new(21));

    decline();
    shopper.visits("/file.txt").await?;
    tab.until("!!document.querySelector('#channel_present .channel_present_sign.green-btn')?.checkVisibility()")
        .await?;
    tab.click("#channel_present .channel_present_close").await?;
    tab.until_shown("#channel_present .status .on-state-settled").await?;
    assert_eq!(shopper.tokens().await?, TOKENS - 21);
    let troubles = tab.seen().troubles.clone();
    troubles.is_empty().then_some(()).with_context(|| format!("{troubles:?}"))
}
