//! `kill -9` of the whole PostgreSQL, again and again, while payers pay.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use channel::Amount;
use futures::future::try_join_all;
use ledger::{Ledger, Settings};
use reqwest::StatusCode;
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options, PAYER};
use testkit::wait;
use tests::ByHand;

const KILLS: usize = 8;
/// How long payers pay between two kills.
const LOAD: Duration = Duration::from_millis(1_500);
/// How long the first paid answer may take once the database answers again.
const RECOVERY: Duration = Duration::from_secs(5);
const PAGE: &str = "/page";

/// What one payer was told.
#[derive(Debug, Default)]
struct Told {
    /// Vouchers whose request was answered with 200, by amount.
    paid: Vec<u128>,
    /// Answers 503, and requests without one.
    unknown: usize,
}

#[derive(Debug, Default)]
struct Load {
    over: AtomicBool,
    paid: AtomicU64,
}

/// Pays one unit a request, one after the other. A request without a clear answer is repeated as it is; where the server
/// has recorded it meanwhile, it says so, and the payer goes on from there.
async fn pay_on(payer: ByHand, url: String, load: Arc<Load>) -> Result<Told> {
    let mut told = Told::default();
    let mut next = 1;
    while !load.over.load(Ordering::Relaxed) {
        let Ok(answer) = payer.pay(&url, Amount::new(next)).send().await else {
            told.unknown += 1;
            continue;
        };
        match answer.status() {
            StatusCode::OK => {
                told.paid.push(next);
                load.paid.fetch_add(1, Ordering::Relaxed);
                next += 1;
            }
            StatusCode::PAYMENT_REQUIRED => {
                let recorded = answer.headers().get("rdn-sender-balance").context("it knows the channel")?;
                let recorded: u128 = recorded.to_str()?.parse()?;
                ensure!(told.paid.last().is_none_or(|paid| *paid <= recorded), "{told:?} but it says {recorded}");
                next = recorded + 1;
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                told.unknown += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            status => anyhow::bail!("answered with {status}"),
        }
    }
    Ok(told)
}

/// How many paid calls the upstream logged.
fn calls(log: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(log)?;
    Ok(text.lines().filter(|line| line.contains(PAGE)).count().try_into()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_payment_is_lost() -> Result<()> {
    let mut cluster = Cluster::start(Options::default()).await?;
    let opened = (PAYER..KEYS.len()).map(|index| ByHand::open(&cluster, index, Amount::new(1_000_000)));
    let payers = try_join_all(opened).await?;
    let (load, url) = (Arc::new(Load::default()), format!("{}{PAGE}", cluster.url()));
    let paying: Vec<_> =
        payers.iter().map(|payer| tokio::spawn(pay_on(payer.clone(), url.clone(), load.clone()))).collect();
    for kill in 1..=KILLS {
        tokio::time::sleep(LOAD).await;
        cluster.postgres.kill9()?;
        cluster.postgres.start_again().await?;
        let (back, before) = (Instant::now(), load.paid.load(Ordering::Relaxed));
        wait::until("the first paid answer", RECOVERY, async || {
            ensure!(load.paid.load(Ordering::Relaxed) > before, "nobody was served");
            Ok(())
        })
        .await?;
        println!("kill {kill}: {before} paid before, the first after {:?}", back.elapsed());
    }
    tokio::time::sleep(LOAD).await;
    load.over.store(true, Ordering::Relaxed);
    let told: Vec<Told> = try_join_all(paying).await?.into_iter().collect::<Result<_>>()?;

    let ledger = Ledger::connect(&Settings { single_node: true, ..Settings::new(&cluster.database) }).await?;
    let mut spent = 0;
    for (payer, told) in payers.iter().zip(&told) {
        // Holds of unknown outcome are not renewed: they end by themselves.
        let epoch = wait::until("the holds to end", Duration::from_secs(40), async || {
            let (_, epoch) = ledger.view(payer.channel()).await?.context("the channel is known")?;
            ensure!(epoch.held.is_zero(), "{} is held", epoch.held);
            Ok(epoch)
        })
        .await?;
        let last = told.paid.last().copied().unwrap_or_default();
        assert!(epoch.authorised.units() >= last, "{epoch:?} but {last} was acknowledged");
        assert!(epoch.spent.units() >= u128::try_from(told.paid.len())?, "{epoch:?} but {} were paid", told.paid.len());
        assert!(told.paid.is_sorted_by(|one, next| one < next), "a voucher was sold twice");
        spent += u64::try_from(epoch.spent.units())?;
        // The wallet has survived it too.
        let answer = payer.ask_to_close(&cluster.url(), epoch.spent).send().await?;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await?);
    }
    let acknowledged: usize = told.iter().map(|told| told.paid.len()).sum();
    let unknown: usize = told.iter().map(|told| told.unknown).sum();
    let calls = calls(&cluster.dir().join("upstream.calls"))?;
    println!(
        "{KILLS} kills: {acknowledged} acknowledged, {unknown} without answer, {calls} calls, {spent} spent, 0 lost"
    );
    // Every answered payment was a call, and every call is charged: nothing was free, nothing charged twice.
    assert!(calls >= u64::try_from(acknowledged)?);
    assert_eq!(spent, calls);
    Ok(())
}
