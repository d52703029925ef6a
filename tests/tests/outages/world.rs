//! What the scenarios share: one cluster at a time, payers at a steady pace, and what became of their requests.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use channel::Amount;
use futures::future::try_join_all;
use ledger::{Ledger, Settings};
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, PAYER};
use testkit::{http, wait};
use tests::{ByHand, Fared, Traffic};
use tokio::sync::{Mutex, MutexGuard};

/// How long anything may take that is not measured.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What every channel holds: more than is ever spent.
pub const DEPOSIT: Amount = Amount::new(1_000_000);
/// Between two requests of one payer.
pub const PACE: Duration = Duration::from_millis(50);
/// How much longer one request of a hundred may take in an outage, at most.
pub const DELTA: Duration = Duration::from_millis(5);
/// How long it is quiet before an outage, and after it, and half as long as an outage is measured.
const SPAN: Duration = Duration::from_secs(1);
/// When one of a hundred takes longer than this with nothing wrong, the machine does something else, and milliseconds say
/// nothing: then only failures count.
const BUSY: Duration = Duration::from_millis(40);
/// The phases in which something is being broken or mended: starting a broker alone takes a whole core for seconds.
pub const CHANGE: &str = "in between";

/// The machine, for one test.
pub async fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::const_new(());
    MACHINE.lock().await
}

/// The cluster's ledger.
pub async fn ledger(cluster: &Cluster) -> Result<Ledger> {
    Ok(Ledger::connect(&Settings { single_node: true, ..Settings::new(&cluster.database) }).await?)
}

/// A channel for each account that is free to pay, but the last `kept`.
pub async fn payers(cluster: &Cluster, kept: usize) -> Result<Vec<ByHand>> {
    try_join_all((PAYER..KEYS.len() - kept).map(|index| ByHand::open(cluster, index, DEPOSIT))).await
}

/// Lets them buy a page each, again and again.
pub fn traffic(cluster: &Cluster, payers: &[ByHand]) -> Traffic {
    Traffic::start(payers, &format!("{}/page", cluster.url()), PACE, CHANGE)
}

/// The value of a metric: the sum of all lines that begin so.
pub async fn metric(service: &testkit::cluster::Service, line: &str) -> Result<f64> {
    let page = http::client()?.get(format!("http://{}/metrics", service.health)).send().await?.text().await?;
    let values = page.lines().filter(|found| found.starts_with(line)).filter_map(|found| found.rsplit(' ').next());
    let values = values.map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    ensure!(!values.is_empty(), "there is no metric {line}");
    Ok(values.iter().sum())
}

/// Whether a program has logged a line with all of these words.
pub fn logged(service: &testkit::cluster::Service, words: &[&str]) -> Result<bool> {
    let text = std::fs::read_to_string(service.process()?.log())?;
    Ok(text.lines().any(|line| words.iter().all(|word| line.contains(word))))
}

/// Waits until no job is open.
pub async fn until_no_job_is_open(cluster: &Cluster, within: Duration) -> Result<Duration> {
    let (began, sql) = (std::time::Instant::now(), sql(cluster).await?);
    wait::until("all jobs to end", within, async || {
        let open: Vec<String> = sql
            .query("SELECT concat_ws(' ', kind, key, attempts, error) FROM jobs WHERE state = 'open'", &[])
            .await?
            .iter()
            .map(|row| row.get(0))
            .collect();
        ensure!(open.is_empty(), "{} are open: {:?}", open.len(), open.first());
        Ok(())
    })
    .await?;
    Ok(began.elapsed())
}

/// The database, seen from outside.
pub async fn sql(cluster: &Cluster) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(&cluster.database, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A line of the table of figures: an outage, and the quiet around it.
pub struct Figures {
    pub outage: String,
    pub during: Fared,
    pub quiet: Fared,
}

impl Figures {
    /// Of what was measured so far.
    pub fn of(traffic: &Traffic, outage: &str) -> Figures {
        Figures { outage: outage.to_owned(), during: traffic.fared(outage), quiet: traffic.fared(&quiet(outage)) }
    }

    /// Of all these outages as one.
    pub fn of_all(traffic: &Traffic, outages: &BTreeSet<String>) -> Figures {
        let mut all = Figures { outage: "all of it".to_owned(), during: Fared::default(), quiet: Fared::default() };
        for outage in outages {
            let one = Figures::of(traffic, outage);
            (all.during, all.quiet) = (all.during.and(&one.during), all.quiet.and(&one.quiet));
        }
        all
    }

    /// Fails when a paid request failed, or took noticeably longer.
    pub fn check(&self) -> Result<()> {
        let Figures { outage, during, quiet } = self;
        ensure!(during.failed == 0, "{outage}: {} failed: {:?}", during.failed, during.words);
        let (usual, before) = (during.usual_permille(990), quiet.usual_permille(990));
        println!("{outage}: p99 in the median second {usual:.1?}, quiet {before:.1?}");
        if before > BUSY {
            println!("{outage}: the machine is too busy to say what a request takes");
        } else {
            ensure!(usual < before + DELTA, "{outage}: p99 in the median second is {usual:?}, without it {before:?}");
        }
        Ok(())
    }
}

/// Before and after an outage, nothing is wrong for a while: what the outage is compared with.
pub async fn calm(traffic: &Traffic, outage: &str) {
    traffic.enter(&quiet(outage));
    tokio::time::sleep(SPAN).await;
    traffic.enter(CHANGE);
}

/// Lets the outage go on for a while.
pub async fn measure(traffic: &Traffic, outage: &str) {
    traffic.enter(outage);
    tokio::time::sleep(2 * SPAN).await;
}

fn quiet(outage: &str) -> String {
    format!("{outage}, before and after")
}

/// Compares what payers were told with what they were charged; gives the sum.
pub async fn agreed(cluster: &Cluster, told: Vec<u128>, payers: &[ByHand], within: Duration) -> Result<u128> {
    let ledger = ledger(cluster).await?;
    for (payer, told) in payers.iter().zip(&told) {
        wait::until("the holds to end", within, async || {
            let (_, epoch) = ledger.view(payer.channel()).await?.context("the ledger knows the channel")?;
            ensure!(epoch.spent.units() == *told && epoch.held.is_zero(), "{told} were served, {epoch:?}");
            Ok(())
        })
        .await?;
    }
    Ok(told.iter().sum())
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { outage, during, quiet } = self;
        let ms = |fared: &Fared, permille| fared.permille(permille).as_secs_f64() * 1_000.0;
        write!(
            f,
            "{outage:<44} {:>6} paid {:>3} failed   p50 {:>6.1} ms (quiet {:>6.1})   p99 {:>6.1} ms (quiet {:>6.1})",
            during.paid(),
            during.failed,
            ms(during, 500),
            ms(quiet, 500),
            ms(during, 990),
            ms(quiet, 990),
        )
    }
}

/// The first front's answer to somebody who pays; with its refusal in words.
pub async fn answer(payer: &ByHand, url: &str, balance: Amount) -> Result<(u16, String)> {
    let answer = payer.pay(url, balance).send().await?;
    let reason = answer.headers().get("sluice-refusal").map(|reason| reason.to_str().map(str::to_owned));
    let (status, reason) = (answer.status().as_u16(), reason.transpose()?);
    let body = answer.text().await.context("an answer broke off")?;
    Ok((status, reason.unwrap_or(body)))
}
