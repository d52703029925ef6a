//! The page can be used by everybody: by keyboard alone, with a screen reader, on a small screen, in the dark.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::paths;

use crate::tab::Appears;
use crate::world::{Shopper, TOKENS, shop};

const FILE: &str = "A file worth paying for.";
/// A laptop, a telephone by day and by night, and the smallest screen there is.
const LOOKS: [(i64, &str); 4] = [(1280, "light"), (390, "light"), (390, "dark"), (320, "light")];
/// A seller that does not count the deposit for as long as somebody looks at the page.
const SLOW_SELLER: &str = r#"
    window.isSlow = true;
    const ask = window.fetch;
    const nothing = () => Promise.resolve(new Response('""', { status: 404 }));
    window.fetch = (url, options) => (window.isSlow && /\d$/.test(url) ? nothing() : ask(url, options))"#;
/// More than there is to step through on the page.
const STEPS: usize = 12;

impl Shopper {
    /// Steps on with the tab key until this has the focus.
    async fn tabs_to(&self, selector: &str) -> Result<()> {
        for _ in 0..STEPS {
            self.tab.press("Tab").await?;
            if self.tab.is(&format!("document.activeElement.matches({selector:?})")).await? {
                return Ok(());
            }
        }
        anyhow::bail!("{selector} cannot be reached by keyboard")
    }

    async fn has_focus_on(&self, selector: &str) -> Result<()> {
        self.tab.until(&format!("document.activeElement.matches({selector:?})")).await
    }

    /// What is on the page now can be used by everybody, and is on paper for people to look at.
    async fn looks_at(&self, state: &str) -> Result<()> {
        for (role, name, takes_focus) in self.tab.accessibility_tree().await? {
            let is_control = ["button", "link", "textbox", "DisclosureTriangle"].contains(&role.as_str());
            ensure!(!(is_control || takes_focus) || !name.is_empty(), "{state}: a {role} has no name");
        }
        let dir = pictures()?;
        for (width, colours) in LOOKS {
            self.tab.appearance(width, colours).await?;
            let fits = self.tab.is(&format!("document.documentElement.scrollWidth <= {width}")).await?;
            ensure!(fits, "{state}: it does not fit into {width} pixels");
            let problems = self.problems().await?;
            ensure!(problems.is_empty(), "{state}, {width} wide, {colours}: {problems:#?}");
            self.tab.picture(&dir.join(format!("{state}-{width}-{colours}.png"))).await?;
        }
        Ok(())
    }

    /// What axe-core finds wrong.
    async fn problems(&self) -> Result<Vec<Value>> {
        let axe = std::fs::read_to_string(paths::page_library("axe-core/axe.min.js")?)?;
        self.tab.page.evaluate_expression(axe).await?;
        let found: Value = self.tab.promised("axe.run().then(({ violations }) => violations)").await?;
        let violations = found.as_array().cloned().unwrap_or_default();
        Ok(violations.into_iter().map(|violation| serde_json::json!([violation["id"], violation["nodes"]])).collect())
    }
}

fn pictures() -> Result<PathBuf> {
    let dir = paths::target_dir()?.join("paywall");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_paying_and_closing_need_no_mouse() -> Result<()> {
    let shopper = Shopper::arrives("keyboard").await?;
    let tab = &shopper.tab;
    shopper.visits("/file.txt").await?;
    tab.until_shown("#connect button").await?;
    shopper.tabs_to("#connect button").await?;
    tab.press("Enter").await?;
    shopper.has_focus_on("#open-amount").await?;
    tab.press("Enter").await?;
    shopper.reads(FILE).await?;

    shopper.visits("/page").await?;
    tab.until_shown("#pay").await?;
    shopper.tabs_to("#pay").await?;
    tab.press("Enter").await?;
    tab.until("!document.querySelector('#page')").await?;

    shopper.visits("/file.txt").await?;
    tab.until_shown("#pay").await?;
    shopper.tabs_to("#manage").await?;
    tab.press("Enter").await?;
    tab.until_says("h1", "Your payment channel").await?;
    tab.until_shown("#close").await?;
    shopper.tabs_to("#close").await?;
    tab.press("Enter").await?;
    tab.until_says("#returned", "0.89 TKN came back to you.").await?;
    assert_eq!(shopper.tokens().await?, TOKENS - 11);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_has_names_contrast_and_room() -> Result<()> {
    let shopper = Shopper::arrives("looks").await?;
    let tab = &shopper.tab;
    tab.wallet.conduct().chain_id = 1;
    shopper.visits("/file.txt").await?;
    tab.until_shown("#connect button").await?;
    shopper.looks_at("connect").await?;
    tab.click("#connect button").await?;
    tab.until_shown("#wrong-chain").await?;
    shopper.looks_at("wrong-chain").await?;
    tab.click("#switch").await?;
    tab.until_shown("#open").await?;
    shopper.looks_at("no-channel").await?;
    tab.fill("#open-amount", "5000").await?;
    tab.click("#open-button").await?;
    tab.until_says("#problem", "You have 1000 TKN").await?;
    shopper.looks_at("problem").await?;
    tab.run(SLOW_SELLER).await?;
    tab.fill("#open-amount", "2.5").await?;
    tab.click("#open-button").await?;
    tab.until_says("#status", "Waiting for the deposit to be confirmed").await?;
    shopper.looks_at("waiting").await?;
    tab.run("window.isSlow = false").await?;
    shopper.reads(FILE).await?;
    shopper.visits("/file.txt").await?;
    tab.until_shown("#pay").await?;
    shopper.looks_at("channel").await?;
    tab.appearance(700, "light").await?;
    tab.picture(&pictures()?.join("readme.png")).await?;
    tab.click("#close").await?;
    tab.until_shown("#returned").await?;
    shopper.looks_at("closed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_wallet_too() -> Result<()> {
    let shopper = Shopper::with(shop().await?, "looks without a wallet", Appears::Not).await?;
    shopper.visits("/file.txt").await?;
    shopper.tab.until_shown("#no-wallet").await?;
    shopper.looks_at("no-wallet").await
}
