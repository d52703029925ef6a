use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use channel::Amount;
use http::{StatusCode, Version};
use reqwest::Url;
use testkit::cluster::Service;
use testkit::history::{Ask, Books, Event, History, Told, check};
use tokio::task::JoinSet;

use crate::{ByHand, Line};

/// Payers who keep their connections, pay one unit after the other, and never ask twice: what fails has failed.
#[derive(Debug, Default)]
pub struct Regulars {
    history: Arc<History>,
    served: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    payers: JoinSet<Fared>,
    lines: Vec<Arc<Line>>,
}

/// What somebody buys again and again.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where it is, for one unit.
    pub path: String,
    /// What it is.
    pub is: Bytes,
    /// How long nothing is asked after each answer.
    pub pause: Duration,
}

impl Wish {
    /// What the upstream has there, without a pause.
    ///
    /// # Errors
    /// When it has nothing.
    pub async fn of(upstream: &Service, path: &str) -> Result<Wish> {
        let answer =
            testkit::http::client()?.get(format!("{}{path}", upstream.url())).send().await?.error_for_status()?;
        Ok(Wish { path: path.to_owned(), is: answer.bytes().await?, pause: Duration::ZERO })
    }
}

/// How one of them fared.
#[derive(Debug)]
struct Fared {
    kind: String,
    served: usize,
    /// What ended it, if not the end of all.
    failed: Option<String>,
}

/// How all of them fared.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many requests were paid and answered with what was paid for.
    pub served: usize,
    /// Of those, how many by each kind of payer.
    pub kinds: BTreeMap<String, usize>,
    /// How many connections that took,
    pub connections: usize,
    /// and how many requests had to go on another because the other end was just saying goodbye: see [`Line`].
    pub turned_away: usize,
    /// What was not, in words; a payer whose request fails asks no more.
    pub failed: Vec<String>,
    history: Arc<History>,
}

impl Regulars {
    /// A connection for one of them, or on HTTP/2 for several.
    ///
    /// # Errors
    /// As [`Line::to`].
    pub fn line(&mut self, server: &str, version: Version) -> Result<Arc<Line>> {
        let line = Arc::new(Line::to(server, version)?);
        self.lines.push(line.clone());
        Ok(line)
    }

    /// Lets another one pay.
    pub fn add(&mut self, kind: &str, payer: ByHand, line: &Arc<Line>, wish: Wish) {
        let regular = Regular { payer, line: line.clone(), wish, history: self.history.clone() };
        let (kind, total, over) = (kind.to_owned(), self.served.clone(), self.over.clone());
        self.payers.spawn(async move {
            let mut served = 0;
            let mut failed = None;
            while failed.is_none() && !over.load(Ordering::Relaxed) {
                match regular.buy(served + 1).await {
                    Ok(()) => {
                        served += 1;
                        total.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(regular.wish.pause).await;
                    }
                    Err(error) => failed = Some(format!("{kind}, voucher {}: {error:#}", served + 1)),
                }
            }
            Fared { kind, served, failed }
        });
    }

    /// How many requests were served so far.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Lets the requests under way end, and sends no more.
    pub async fn stop(self) -> Outcome {
        self.over.store(true, Ordering::Relaxed);
        let mut outcome = Outcome { history: self.history, ..Outcome::default() };
        for fared in self.payers.join_all().await {
            outcome.served += fared.served;
            *outcome.kinds.entry(fared.kind).or_default() += fared.served;
            outcome.failed.extend(fared.failed);
        }
        outcome.connections = self.lines.iter().map(|line| line.connections()).sum();
        outcome.turned_away = self.lines.iter().map(|line| line.turned_away()).sum();
        outcome
    }
}

impl Outcome {
    /// Fails unless the books show what was served, and nothing else: each request one sale, charged, and one call; and of
    /// each channel what its last voucher says.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn agrees_with(&self, books: &Books) -> Result<()> {
        let verdict = check(&self.history.lines(), books);
        ensure!(verdict.violations.is_empty(), "{verdict}");
        let asked = self.history.lines().iter().filter(|(_, event)| matches!(event, Event::Asks { .. })).count();
        ensure!(asked == self.served, "{asked} were asked, {} served", self.served);
        let charged: u128 = books.accounts.iter().map(|account| account.spent.units()).sum();
        let authorised: u128 = books.accounts.iter().map(|account| account.authorised.units()).sum();
        let served = u128::try_from(self.served)?;
        ensure!((charged, authorised) == (served, served), "{charged} charged of {authorised}, {served} served");
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { served, kinds, connections, turned_away, failed, .. } = self;
        writeln!(
            f,
            "{served} served on {connections} connections ({turned_away} turned away first), {} failed",
            failed.len()
        )?;
        write!(f, "  {kinds:?}")?;
        failed.iter().try_for_each(|failed| write!(f, "\n  {failed}"))
    }
}

/// One of them.
struct Regular {
    payer: ByHand,
    line: Arc<Line>,
    wish: Wish,
    history: Arc<History>,
}

impl Regular {
    async fn buy(&self, voucher: usize) -> Result<()> {
        let channel = self.payer.channel();
        let (name, voucher) = (format!("{}-{voucher}", &channel.to_string()[..10]), Amount::new(voucher as u128));
        let number = self.history.asks(Ask { request: name.clone(), channel, voucher, price: Amount::new(1) });
        let bought = self.send(&name, voucher).await;
        self.history.hears(number, if bought.is_ok() { Told::Served } else { Told::Unknown });
        bought
    }

    async fn send(&self, name: &str, voucher: Amount) -> Result<()> {
        let url: Url = Url::parse("http://shop")?.join(&self.wish.path)?;
        let request = self.payer.pay(url.as_str(), voucher).header("Idempotency-Key", name).build()?;
        let answer = self.line.ask(request).await?;
        ensure!(answer.status() == StatusCode::OK, "{answer:?}");
        ensure!(*answer.body() == self.wish.is, "another body: {answer:?}");
        Ok(())
    }
}
