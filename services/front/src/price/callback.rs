//! A price that the seller's own server says.
//!
//! ```text
//! GET {callback}?method=GET&path=/reports/today&query=a%3Db   ─►   200 {"price": "123"}
//! ```
//! One question at a time is asked for the same method, path and query, and its answer holds for `cache_ms`. Whatever goes
//! wrong is 503 `price_unavailable`, before anything is held; it holds for [`A_MOMENT`], so that a server that is down is
//! not asked by every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use channel::Amount;
use http::{Method, StatusCode, Uri};
use moka::future::Cache;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::{Quote, key};
use crate::fault::Fault;
use crate::goods::Caller;
use crate::metrics;

/// How long a failure holds.
const A_MOMENT: Duration = Duration::from_millis(250);
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 4 << 10;
/// Questions of one route in flight; further ones fail.
const MAX_QUESTIONS: usize = 64;
/// What the remembered prices of one route may take, in bytes.
const MAX_MEMORY: u64 = 8 << 20;
/// What one of them takes beside its key, in bytes.
const ENTRY: usize = 256;

/// Where prices are asked for.
pub(super) struct Callback {
    route: String,
    url: Uri,
    timeout: Duration,
    cache: Duration,
    grace: Duration,
    caller: Arc<Caller>,
    places: Semaphore,
    answers: Cache<String, Answer>,
    is_failing: AtomicBool,
}

/// What was last said about one request.
#[derive(Clone, Copy)]
struct Answer {
    /// `None`: nothing that makes sense.
    price: Option<Amount>,
    /// Until then it is not asked again.
    fresh_until: Instant,
    /// The price before this one, and until when it is taken too.
    former: Option<(Amount, Instant)>,
}

#[derive(Deserialize)]
struct Said {
    price: Amount,
}

impl Callback {
    pub(super) fn new(
        route: &str,
        url: &Uri,
        timeout: Duration,
        cache: Duration,
        grace: Duration,
        caller: &Arc<Caller>,
    ) -> Callback {
        let weight = |key: &String, _: &Answer| u32::try_from(key.len() + ENTRY).unwrap_or(u32::MAX);
        let answers = Cache::builder().weigher(weight).max_capacity(MAX_MEMORY);
        Callback {
            route: route.to_owned(),
            url: url.clone(),
            timeout,
            cache,
            grace,
            caller: caller.clone(),
            places: Semaphore::new(MAX_QUESTIONS),
            // Stale answers stay for what they say about the former price.
            answers: answers.time_to_live(cache.max(A_MOMENT) + grace).build(),
            is_failing: AtomicBool::new(false),
        }
    }

    /// What the request costs, from memory if that is fresh.
    pub(super) async fn ask(&self, method: &Method, path: &str, uri: &Uri) -> Result<Quote, Fault> {
        let key = key(method, path, uri);
        let before = self.answers.get(&key).await;
        let answer = match before {
            Some(answer) if answer.is_fresh() => answer,
            _ => {
                let ask = self.ask_now(method, path, uri, before);
                let answer = self.answers.entry(key).or_insert_with_if(ask, |answer| !answer.is_fresh()).await;
                answer.into_value()
            }
        };
        let former = answer.former.filter(|(_, until)| Instant::now() < *until).map(|(amount, _)| amount);
        let price = answer.price.ok_or(Fault::PriceUnavailable)?;
        Ok(Quote { price, former })
    }

    /// What was last said, if that was not long ago.
    pub(super) fn remembered(&self, method: &Method, path: &str, uri: &Uri) -> Option<Amount> {
        use futures::FutureExt;
        // Reading waits for nobody.
        self.answers.get(&key(method, path, uri)).now_or_never().flatten()?.price
    }

    async fn ask_now(&self, method: &Method, path: &str, uri: &Uri, before: Option<Answer>) -> Answer {
        let said = self.fetch(method, path, uri).await;
        metrics::priced(&self.route, said.is_ok());
        // Said once, not for every request that strangers send.
        match (&said, self.is_failing.swap(said.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => {
                tracing::warn!(route = self.route, error = &**error as &dyn std::error::Error, "no price was said");
            }
            (Ok(_), true) => tracing::info!(route = self.route, "prices are said again"),
            _ => {}
        }
        let price = said.ok();
        let fresh_until = Instant::now() + if price.is_some() { self.cache } else { A_MOMENT };
        let former = before.and_then(|before| match before.price {
            // It was quoted until it was stale.
            Some(amount) if price != Some(amount) => Some((amount, before.fresh_until + self.grace)),
            _ => before.former,
        });
        Answer { price, fresh_until, former }
    }

    async fn fetch(&self, method: &Method, path: &str, uri: &Uri) -> anyhow::Result<Amount> {
        let _place = self.places.try_acquire().context("too many questions at a time")?;
        let url = self.question(method, path, uri)?;
        let (status, body) = self.caller.get(url, self.timeout, MAX_ANSWER).await?;
        ensure!(status == StatusCode::OK, "the answer is {status}");
        said(&body).context("the answer is not {\"price\": \"…\"}")
    }

    fn question(&self, method: &Method, path: &str, uri: &Uri) -> anyhow::Result<Uri> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("method", method.as_str()).append_pair("path", path);
        if let Some(asked) = uri.query() {
            query.append_pair("query", asked);
        }
        let own = self.url.query().map_or_else(String::new, |own| format!("{own}&"));
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = Some(format!("{}?{own}{}", self.url.path(), query.finish()).parse()?);
        Ok(Uri::from_parts(parts)?)
    }
}

/// The price that an answer's body says.
pub(crate) fn said(body: &[u8]) -> serde_json::Result<Amount> {
    serde_json::from_slice(body).map(|said: Said| said.price)
}

impl Answer {
    fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }
}
