//! Collectors that are dead, slow or refuse: nobody notices but who looks at the metrics.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use channel::Amount;
use futures::{StreamExt, stream};
use testkit::cluster::PAYER;
use testkit::collector::Mood;
use testkit::{http, wait};
use tests::ByHand;

use crate::world::{DEPOSIT, PATIENCE, World, alone, metric};

/// How many requests are measured.
const PAID: u128 = 200;
/// How much longer the usual one may take.
const DELTA: Duration = Duration::from_millis(10);
/// What the end of a process may take longer for its last spans,
const FAREWELL: Duration = Duration::from_secs(2);
/// and for what else the machine does.
const SLACK: Duration = Duration::from_millis(1_500);
/// More spans than wait for a collector.
const FLOOD: usize = 6_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_hangs_or_is_gone_keeps_nobody_waiting() -> Result<()> {
    let _alone = alone().await;
    let World { mut cluster, collector } = World::new(0, "sample = 1.0", &[]).await?;
    let payer = ByHand::open(&cluster, PAYER, DEPOSIT).await?;
    let mut balance = 0;
    let quiet = usual(&cluster.url(), &payer, &mut balance).await?;
    let usual_end = end(&mut cluster.fronts[0]).await?;
    let mut collector = Some(collector);
    for mood in [Some(Mood::Refuses(503)), Some(Mood::Refuses(400)), Some(Mood::Hangs), None] {
        match (&collector, mood) {
            (Some(collector), Some(mood)) => collector.is_in(mood),
            _ => collector = None, // nobody listens there any more
        }
        let took = usual(&cluster.url(), &payer, &mut balance).await?;
        ensure!(took < quiet + DELTA, "{mood:?}: {took:?}, without trouble {quiet:?}");
        wait::until("spans to be dropped", PATIENCE, async || {
            let dropped = metric(&cluster.fronts[0], "telemetry_spans_dropped_total{reason=\"collector\"}").await?;
            ensure!(dropped > 0.0, "{mood:?}: none was");
            Ok(())
        })
        .await?;
        // There is something to be sent at the end, too.
        usual(&cluster.url(), &payer, &mut balance).await?;
        let took = end(&mut cluster.fronts[0]).await?;
        println!("{mood:?}: the end took {took:.1?}, without trouble {usual_end:.1?}");
        ensure!(took < usual_end + FAREWELL + SLACK, "{mood:?}: the end took {took:?}, without trouble {usual_end:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_collector_hangs_spans_wait_in_bounded_memory_and_it_gets_them_again_later() -> Result<()> {
    let _alone = alone().await;
    let world = World::new(0, "sample = 1.0", &[]).await?;
    let (front, client) = (&world.cluster.fronts[0], http::client()?);
    world.collector.is_in(Mood::Hangs);
    let url = format!("{}/page", world.cluster.url());
    let flood = stream::iter(0..FLOOD).map(|_| client.get(&url).send()).buffer_unordered(64);
    let statuses: Vec<_> = flood.map(|answer| answer.map(|answer| answer.status().as_u16())).collect().await;
    ensure!(statuses.iter().all(|status| matches!(status, Ok(402))), "somebody was not answered");
    let full = metric(front, "telemetry_spans_dropped_total{reason=\"queue\"}").await?;
    ensure!(full > 0.0, "everything found a place");
    world.collector.is_in(Mood::Takes);
    let taken = metric(front, "telemetry_spans_exported_total").await?;
    wait::until("the collector to be told again", PATIENCE, async || {
        let now = metric(front, "telemetry_spans_exported_total").await?;
        ensure!(now > taken, "{now} spans were sent");
        Ok(())
    })
    .await
}

/// What a paid request takes in the median.
async fn usual(url: &str, payer: &ByHand, balance: &mut u128) -> Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..PAID {
        *balance += 1;
        let began = Instant::now();
        let answer = payer.pay(&format!("{url}/page"), Amount::new(*balance)).send().await?;
        ensure!(answer.status() == 200, "{answer:?}");
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

/// Has a front ended and started again; says how long the end took.
async fn end(front: &mut testkit::cluster::Service) -> Result<Duration> {
    let took = front.stop().await?;
    front.start_again()?;
    front.ready().await?;
    front.sells().await?;
    Ok(took)
}
