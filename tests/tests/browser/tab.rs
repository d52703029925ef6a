//! A tab of a real Chromium, and what it did.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chromiumoxide::browser::Browser;
use chromiumoxide::cdp::browser_protocol::accessibility::GetFullAxTreeParams;
use chromiumoxide::cdp::browser_protocol::emulation::{MediaFeature, SetDeviceMetricsOverrideParams};
use chromiumoxide::cdp::browser_protocol::input::{DispatchKeyEventParams, DispatchKeyEventType};
use chromiumoxide::cdp::browser_protocol::network::EventRequestWillBeSent;
use chromiumoxide::cdp::js_protocol::runtime::{
    AddBindingParams, EvaluateParams, EventBindingCalled, EventExceptionThrown,
};
use chromiumoxide::{Page, page::ScreenshotParams};
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::chromium::Chromium;
use testkit::wait;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::wallet::Wallet;

/// How long anything on a page may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long all that happens in a tab may take.
const LIFE: Duration = Duration::from_secs(60);
/// How long one command to the browser may take.
const COMMAND: Duration = Duration::from_secs(5);

/// What a wallet looks like from a page.
#[derive(Clone, Copy, Debug)]
pub enum Appears {
    /// Not at all.
    Not,
    /// As `window.ethereum`.
    Injected,
    /// By EIP-6963.
    Announced,
    /// As the web3 that pages of 2018 expect.
    Legacy,
}

/// What a tab did that a test may ask about.
#[derive(Debug, Default)]
pub struct Seen {
    /// The addresses it asked for.
    pub requests: Vec<String>,
    /// Exceptions nobody caught, and violations of the page's policy.
    pub troubles: Vec<String>,
}

/// A tab, alone in a browser of its own.
pub struct Tab {
    pub page: Page,
    pub wallet: Arc<Wallet>,
    seen: Arc<Mutex<Seen>>,
    end: Instant,
    _tasks: JoinSet<()>,
    _browser: Browser,
    _chromium: Chromium,
}

impl Tab {
    pub async fn open(wallet: Wallet, appears: Appears) -> Result<Tab> {
        let chromium = Chromium::start().await?;
        let (browser, mut handler) = Browser::connect(chromium.socket()).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { while handler.next().await.is_some() {} });
        let page = browser.new_page("about:blank").await?;
        let (wallet, seen) = (Arc::new(wallet), Arc::new(Mutex::new(Seen::default())));
        let end = Instant::now() + LIFE;
        let tab = Tab { page, wallet, seen, end, _tasks: tasks, _browser: browser, _chromium: chromium };
        tab.watch(appears).await
    }

    async fn watch(mut self, appears: Appears) -> Result<Tab> {
        let how = match appears {
            Appears::Not => "not",
            Appears::Injected => "injected",
            Appears::Announced => "announced",
            Appears::Legacy => "legacy",
        };
        let page = &self.page;
        let note = |seen: &Arc<Mutex<Seen>>| {
            let seen = seen.clone();
            move |tell: &dyn Fn(&mut Seen)| tell(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let requests = page.event_listener::<EventRequestWillBeSent>().await?;
        let noted = note(&self.seen);
        self._tasks.spawn(each(requests, move |event| noted(&|seen| seen.requests.push(event.request.url.clone()))));
        let exceptions = page.event_listener::<EventExceptionThrown>().await?;
        let noted = note(&self.seen);
        self._tasks.spawn(each(exceptions, move |event| {
            noted(&|seen| seen.troubles.push(format!("{:?}", event.exception_details)));
        }));
        let mut asked = page.event_listener::<EventBindingCalled>().await?;
        let (wallet, noted, answering) = (self.wallet.clone(), note(&self.seen), page.clone());
        self._tasks.spawn(async move {
            while let Some(call) = asked.next().await {
                if call.name == "testSees" {
                    noted(&|seen| seen.troubles.push(call.payload.clone()));
                    continue;
                }
                // Each by itself: a wallet may be asked several things at once.
                let (wallet, page) = (wallet.clone(), answering.clone());
                tokio::spawn(async move { answer(&wallet, &page, &call).await });
            }
        });
        page.execute(AddBindingParams::new("walletAsk")).await?;
        page.execute(AddBindingParams::new("testSees")).await?;
        page.evaluate_on_new_document(include_str!("provider.js").replace("HOW", how)).await?;
        Ok(self)
    }

    /// Goes to a page; returns when it has loaded.
    pub async fn goto(&self, url: &str) -> Result<()> {
        timeout(PATIENCE, self.page.goto(url)).await.with_context(|| format!("{url} does not load"))??;
        Ok(())
    }

    /// What an expression is worth in the page.
    pub async fn value<T: DeserializeOwned>(&self, expression: &str) -> Result<T> {
        let evaluated = timeout(COMMAND, self.page.evaluate_expression(expression)).await;
        let evaluated = evaluated.with_context(|| format!("the page does not say {expression}"))??;
        Ok(serde_json::from_value(evaluated.value().cloned().unwrap_or_default())?)
    }

    /// Whether an expression is true in the page.
    pub async fn is(&self, expression: &str) -> Result<bool> {
        self.value(expression).await
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Result<()> {
        self.value::<Value>(&format!("{{ {script}; }} null")).await.map(drop)
    }

    /// What a promise is kept with.
    pub async fn promised<T: DeserializeOwned>(&self, expression: &str) -> Result<T> {
        let asked = EvaluateParams::builder().expression(expression).await_promise(true).return_by_value(true).build();
        let asked = self.page.execute(asked.map_err(anyhow::Error::msg)?);
        let kept = timeout(PATIENCE, asked).await.with_context(|| format!("the page does not keep {expression}"))??;
        ensure!(kept.exception_details.is_none(), "{expression}: {:?}", kept.exception_details);
        Ok(serde_json::from_value(kept.result.result.value.unwrap_or_default())?)
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&self, expression: &str) -> Result<()> {
        let patience = PATIENCE.min(self.end.saturating_duration_since(Instant::now()));
        let found = wait::until(expression, patience, async || {
            ensure!(self.is(expression).await?, "it is not so");
            Ok(())
        });
        match found.await {
            Ok(()) => Ok(()),
            Err(error) => {
                let text: String = self.value("document.body.innerText").await.unwrap_or_default();
                Err(error.context(format!("the page says:\n{text}\nand did {:?}", self.seen())))
            }
        }
    }

    /// Waits until this can be seen.
    pub async fn until_shown(&self, selector: &str) -> Result<()> {
        self.until(&format!("!!document.querySelector({selector:?})?.checkVisibility()")).await
    }

    /// Waits until an element's text contains this.
    pub async fn until_says(&self, selector: &str, text: &str) -> Result<()> {
        self.until(&format!("!!document.querySelector({selector:?})?.textContent.includes({text:?})")).await
    }

    /// An element's text.
    pub async fn text(&self, selector: &str) -> Result<String> {
        self.value(&format!("document.querySelector({selector:?}).textContent.trim()")).await
    }

    /// Clicks, once it can be seen.
    pub async fn click(&self, selector: &str) -> Result<()> {
        self.until_shown(selector).await?;
        timeout(COMMAND, async { self.page.find_element(selector).await?.click().await.map(drop) }).await??;
        Ok(())
    }

    /// Writes into a field instead of what is there.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        self.until_shown(selector).await?;
        self.run(&format!("document.querySelector({selector:?}).value = ''")).await?;
        let field = self.page.find_element(selector).await?;
        field.click().await?.type_str(text).await?;
        Ok(())
    }

    /// Presses `Tab` or `Enter`, wherever the focus is.
    pub async fn press(&self, key: &str) -> Result<()> {
        let code = if key == "Tab" { 9 } else { 13 };
        let event = |kind| {
            let event =
                DispatchKeyEventParams::builder().r#type(kind).key(key).code(key).windows_virtual_key_code(code);
            if key == "Enter" { event.text("\r") } else { event }.build().map_err(anyhow::Error::msg)
        };
        self.page.execute(event(DispatchKeyEventType::KeyDown)?).await?;
        self.page.execute(event(DispatchKeyEventType::KeyUp)?).await?;
        Ok(())
    }

    /// What a screen reader knows of the page: role and name of everything, as (role, name, whether it takes the focus).
    pub async fn accessibility_tree(&self) -> Result<Vec<(String, String, bool)>> {
        let tree = self.page.execute(GetFullAxTreeParams::default()).await?;
        let text = |value: &Option<chromiumoxide::cdp::browser_protocol::accessibility::AxValue>| {
            let value = value.as_ref().and_then(|value| value.value.clone()).unwrap_or_default();
            value.as_str().unwrap_or_default().to_owned()
        };
        let nodes = tree.nodes.iter().filter(|node| !node.ignored);
        Ok(nodes
            .map(|node| {
                let properties = json!(node.properties).as_array().cloned().unwrap_or_default();
                let takes_focus = properties.iter().any(|p| p["name"] == "focusable" && p["value"]["value"] == true);
                (text(&node.role), text(&node.name), takes_focus)
            })
            .collect())
    }

    /// Makes the window so wide, and its owner prefer `light` or `dark`.
    pub async fn appearance(&self, width: i64, colours: &str) -> Result<()> {
        let size = SetDeviceMetricsOverrideParams::new(width, 900, 1.0, width < 600);
        self.page.execute(size).await?;
        let scheme = MediaFeature { name: "prefers-color-scheme".to_owned(), value: colours.to_owned() };
        self.page.emulate_media_features(vec![scheme]).await?;
        Ok(())
    }

    /// A picture of the page, as it looks now. The window loses its [`Tab::appearance`] by it.
    pub async fn picture(&self, file: &Path) -> Result<()> {
        let picture = timeout(PATIENCE, self.page.screenshot(ScreenshotParams::builder().full_page(true).build()));
        std::fs::write(file, picture.await??).with_context(|| format!("cannot write {}", file.display()))
    }

    /// What it did so far.
    pub fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn each<T>(mut events: impl Stream<Item = Arc<T>> + Unpin, note: impl Fn(&T)) {
    while let Some(event) = events.next().await {
        note(&event);
    }
}

/// Answers what a page asked its wallet. The page may be gone by then.
async fn answer(wallet: &Wallet, page: &Page, call: &EventBindingCalled) {
    let asked: Value = serde_json::from_str(&call.payload).unwrap_or_default();
    let method = asked["method"].as_str().unwrap_or_default();
    let (error, result) = match wallet.answer(method, asked["params"].clone()).await {
        Ok(result) => (Value::Null, result),
        Err((code, message)) => (json!({"code": code, "message": message}), Value::Null),
    };
    let words = format!("walletSays({}, {error}, {result})", asked["id"]);
    let context = call.execution_context_id;
    if let Ok(saying) = EvaluateParams::builder().expression(words).context_id(context).build() {
        let _ = page.execute(saying).await;
    }
}
