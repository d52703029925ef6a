//! PostgreSQL is slow, locked, or out of connections: no heap of requests, refusals at once, and back soon after.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use channel::Amount;
use futures::future::try_join_all;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;
use testkit::cut::Fault;
use testkit::history::{Told, percentile};
use testkit::rounds::rounds;
use testkit::{http, wait};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

use crate::common::{Scene, Setting, clean};

/// Payments that may wait: few, so that more than that come.
const QUEUE: &str = "32";
/// Requests at once while it is slow, of each payer.
const AT_ONCE: usize = 30;
/// How soon a request must be turned away that finds no place.
const SHED: Duration = Duration::from_secs(1);
/// How long any other may wait for its answer.
const ANSWERED: Duration = Duration::from_secs(20);
/// By how much a front may grow, in KiB.
const GROWTH: u64 = 50 << 10;
/// How soon all is as before.
const BACK: Duration = Duration::from_secs(10);
/// Over which time that is measured.
const WINDOW: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_costs_refusals_at_once_and_neither_memory_nor_liveness() -> Result<()> {
    let fronts = vec![("SLUICE_DATABASE__QUEUE_MAX", QUEUE)];
    let scene = Scene::set(Setting { fronts, ..Setting::default() }).await?;
    let load = scene.load();
    tokio::time::sleep(WINDOW * 2).await;
    let before = scene.history.took(Told::Served, WINDOW, WINDOW * 2);
    let usual = percentile(&before, 99);
    println!("p99 {usual:?} of {} requests in a second", before.len());
    for delay in [Duration::from_millis(500), Duration::from_secs(5)] {
        let late = async |scene: &Scene| {
            scene.links.iter().for_each(|link| link.set(Fault::Delay(delay)));
            flood(scene, delay).await?;
            scene.links.iter().for_each(|link| link.set(Fault::None));
            anyhow::Ok(())
        };
        under(&scene, &format!("each piece is {delay:?} late"), usual, late).await?;
    }
    under(&scene, "the counters are locked", usual, locked).await?;
    under(&scene, "there are no connections left", usual, exhausted).await?;
    load.stop().await?;
    clean(&scene.verdict().await?.given_away_at_most(0))
}

/// Does something to PostgreSQL, and looks at what becomes of the fronts meanwhile and afterwards.
async fn under(scene: &Scene, what: &str, usual: Duration, act: impl AsyncFnOnce(&Scene) -> Result<()>) -> Result<()> {
    let before = memory(scene)?;
    scene.history.nemesis(what);
    let watch = Watch::start(scene)?;
    act(scene).await?;
    let healed = scene.history.nemesis("no longer");
    let back = wait::until("the usual pace", BACK, async || {
        let now = scene.history.now();
        let took = scene.history.took(Told::Served, now.saturating_sub(WINDOW).max(healed), now);
        let slowest = percentile(&took, 99);
        ensure!(took.len() > 20 && slowest <= usual * 2 + Duration::from_millis(20), "{slowest:?} of {}", took.len());
        Ok(now - healed)
    })
    .await?;
    let (asked, dead) = watch.stop().await?;
    let grown = memory(scene)?.saturating_sub(before);
    println!("           back to the usual pace after {back:?}; grown by {grown} KiB; alive at all {asked} looks");
    ensure!(dead == 0, "not alive at {dead} of {asked} looks");
    ensure!(grown <= GROWTH, "grown by {grown} KiB");
    Ok(())
}

/// Many more requests than may wait, once in a while, for a bit longer than the delay.
async fn flood(scene: &Scene, delay: Duration) -> Result<()> {
    let pages = scene.pages();
    let until = Instant::now() + delay.max(Duration::from_secs(2)) + Duration::from_secs(1);
    let (mut shed, mut others, mut slowest) = (0, 0, Duration::ZERO);
    while Instant::now() < until {
        let one = async |number: usize| {
            let payer = &scene.payers[number % scene.payers.len()];
            // A voucher over nothing: it takes its place in the queue, and buys nothing.
            let (began, url) = (Instant::now(), &pages[number % pages.len()]);
            let answer = payer.pay(url, Amount::ZERO).send().await?;
            let (status, retry) = (answer.status(), answer.headers().get(RETRY_AFTER).cloned());
            let body = answer.bytes().await?;
            let reason = serde_json::from_slice::<Value>(&body).map(|body| body["reason"].clone()).unwrap_or_default();
            let is_ours = status == StatusCode::SERVICE_UNAVAILABLE && retry.is_some();
            ensure!(status == StatusCode::PAYMENT_REQUIRED || is_ours, "{status} {reason}");
            let is_shed = reason == "overloaded";
            ensure!(!is_shed || retry.is_some_and(|seconds| seconds == "1"), "when to come back is not said");
            Ok((is_shed, began.elapsed()))
        };
        for (is_shed, took) in try_join_all((0..AT_ONCE * scene.payers.len()).map(one)).await? {
            if is_shed {
                shed += 1;
                slowest = slowest.max(took);
            } else {
                others += 1;
                ensure!(took <= ANSWERED, "an answer took {took:?}");
            }
        }
    }
    println!("           {shed} turned away, the slowest after {slowest:?}; {others} others");
    ensure!(shed > 0 && slowest <= SHED, "{shed} were turned away, the slowest after {slowest:?}");
    Ok(())
}

/// Nobody gets at the counters.
async fn locked(scene: &Scene) -> Result<()> {
    let sql = scene.sql().await?;
    sql.batch_execute("BEGIN; LOCK TABLE epochs IN ACCESS EXCLUSIVE MODE").await?;
    tokio::time::sleep(rounds(Duration::from_secs(5), Duration::from_secs(20))).await;
    Ok(sql.batch_execute("ROLLBACK").await?)
}

/// Everybody's connections end, and others take their places.
async fn exhausted(scene: &Scene) -> Result<()> {
    let sql = scene.sql().await?;
    let ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'sluice%'";
    let mut taken = Vec::new();
    let until = Instant::now() + rounds(Duration::from_secs(4), Duration::from_secs(20));
    while Instant::now() < until {
        while let Ok((client, connection)) = tokio_postgres::connect(&scene.cluster.database, NoTls).await {
            tokio::spawn(connection);
            taken.push(client);
        }
        sql.execute(ours, &[]).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("           {} connections were taken", taken.len());
    ensure!(taken.len() > 100, "{} connections were taken", taken.len());
    Ok(())
}

/// What the largest front has in memory, in KiB.
fn memory(scene: &Scene) -> Result<u64> {
    let of = |pid: u32| -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    let sizes: Result<Vec<u64>> = scene.cluster.fronts.iter().map(|front| of(front.process()?.pid())).collect();
    Ok(sizes?.into_iter().max().unwrap_or_default())
}

/// Looks whether all fronts say that they are alive, again and again.
struct Watch {
    over: Arc<AtomicBool>,
    looks: JoinHandle<Result<(usize, usize)>>,
}

impl Watch {
    fn start(scene: &Scene) -> Result<Watch> {
        let urls: Vec<String> =
            scene.cluster.fronts.iter().map(|front| format!("http://{}/livez", front.health)).collect();
        let (over, client) = (Arc::new(AtomicBool::new(false)), http::client()?);
        let is_over = over.clone();
        let looks = tokio::spawn(async move {
            let (mut asked, mut dead) = (0, 0);
            while !is_over.load(Ordering::Relaxed) {
                for url in &urls {
                    let answer = client.get(url).timeout(Duration::from_secs(1)).send().await;
                    asked += 1;
                    dead += usize::from(!answer.is_ok_and(|answer| answer.status() == StatusCode::OK));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok((asked, dead))
        });
        Ok(Watch { over, looks })
    }

    /// How often it looked, and how often somebody was not.
    async fn stop(self) -> Result<(usize, usize)> {
        self.over.store(true, Ordering::Relaxed);
        self.looks.await?
    }
}
