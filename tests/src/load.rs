use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use channel::Amount;
use futures::future::try_join_all;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use testkit::history::{Ask, History, Told};
use tokio::task::JoinHandle;

use crate::ByHand;

/// How often a request whose end is unknown is repeated.
const REPETITIONS: usize = 2;
/// Before it is, and after an answer that we are to blame for.
const PAUSE: Duration = Duration::from_millis(50);

/// Payers who pay without a pause, one request after the other on each channel, and note what they are told.
///
/// A request without a clear answer is repeated as it is, under its own name; then the payer goes on from what the front
/// says that it has recorded.
#[derive(Debug)]
pub struct Load {
    over: Arc<AtomicBool>,
    payers: Vec<JoinHandle<Result<()>>>,
}

impl Load {
    /// Lets each of them buy what costs one unit at the first of `urls`; where one does not answer, at the next.
    pub fn start(payers: &[ByHand], urls: &[String], history: &Arc<History>) -> Load {
        let over = Arc::new(AtomicBool::new(false));
        let pay = |(place, payer): (usize, &ByHand)| {
            let (history, over) = (history.clone(), over.clone());
            let urls = urls.iter().cycle().skip(place % urls.len()).take(urls.len()).cloned().collect();
            let payer = Payer { payer: payer.clone(), urls, history, asked: 0, recorded: 0 };
            tokio::spawn(payer.pay_on(over))
        };
        Load { payers: payers.iter().enumerate().map(pay).collect(), over }
    }

    /// Lets the requests under way end, and sends no more.
    ///
    /// # Errors
    /// When a payer was told something that cannot be.
    pub async fn stop(self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        try_join_all(self.payers).await?.into_iter().collect()
    }
}

struct Payer {
    payer: ByHand,
    urls: Vec<String>,
    history: Arc<History>,
    asked: usize,
    /// The highest voucher that the fronts are known to have.
    recorded: u128,
}

impl Payer {
    async fn pay_on(mut self, over: Arc<AtomicBool>) -> Result<()> {
        while !over.load(Ordering::Relaxed) {
            self.asked += 1;
            let channel = self.payer.channel();
            let request = format!("{}-{}", &channel.to_string()[..10], self.asked);
            let voucher = Amount::new(self.recorded + 1);
            self.buy(Ask { request, channel, voucher, price: Amount::new(1) }).await?;
        }
        Ok(())
    }

    /// Asks, and asks again while nobody says how it ended.
    async fn buy(&mut self, ask: Ask) -> Result<()> {
        for _ in 0..=REPETITIONS {
            let number = self.history.asks(ask.clone());
            let request = self.payer.pay(&self.urls[0], ask.voucher).header("Idempotency-Key", &ask.request);
            let heard = hear(request.send().await).await?;
            self.history.hears(number, heard.told);
            if let Some(recorded) = heard.recorded {
                self.recorded = recorded;
            }
            match heard.told {
                Told::Served | Told::Credited => self.recorded = self.recorded.max(ask.voucher.units()),
                Told::Refused => {}
                Told::Failed => tokio::time::sleep(PAUSE).await,
                Told::Unknown => {
                    self.urls.rotate_left(1);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            if heard.is_busy {
                // It is recorded, and its call goes on or its front is gone: the next voucher is another matter.
                self.recorded = self.recorded.max(ask.voucher.units());
            }
            return Ok(());
        }
        Ok(())
    }
}

/// An answer, or none, as it concerns the payer.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// What it comes to.
    pub told: Told,
    /// The voucher that the front says it has.
    pub recorded: Option<u128>,
    /// The request is recorded already.
    pub is_busy: bool,
}

/// What an answer comes to. Only our own words count: what a load balancer says of a front that died is nothing.
///
/// # Errors
/// When it is an answer that must never be.
pub async fn hear(answer: reqwest::Result<Response>) -> Result<Heard> {
    let unheard = Heard { told: Told::Unknown, recorded: None, is_busy: false };
    let Ok(answer) = answer else { return Ok(unheard) };
    let status = answer.status();
    let recorded = answer.headers().get("rdn-sender-balance");
    let recorded = recorded.map(|text| text.to_str()?.parse().context("no balance")).transpose()?;
    let heard = |told| Heard { told, recorded, is_busy: false };
    let Ok(body) = answer.bytes().await else { return Ok(unheard) };
    let reason = serde_json::from_slice::<Value>(&body).ok();
    let reason = reason.as_ref().and_then(|body| body["reason"].as_str()).unwrap_or_default();
    Ok(match (status, reason) {
        (StatusCode::OK, _) => heard(Told::Served),
        (StatusCode::PAYMENT_REQUIRED, _) => heard(Told::Refused),
        (StatusCode::CONFLICT, "busy" | "already_paid") => Heard { is_busy: true, ..heard(Told::Refused) },
        (StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable" | "overloaded" | "chain_stale" | "too_many_calls") => {
            heard(Told::Failed)
        }
        // A load balancer never says that: the upstream did.
        (StatusCode::INTERNAL_SERVER_ERROR, "") => heard(Told::Credited),
        (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT, "upstream_unreachable" | "upstream_timeout") => {
            heard(Told::Credited)
        }
        (status, "outcome_unknown" | "") if status.is_server_error() => unheard,
        (status, reason) => bail!("answered with {status} {reason}"),
    })
}
