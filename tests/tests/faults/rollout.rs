//! Fronts are restarted one by one behind a load balancer that asks them itself whether they are ready: no request fails, not even a
//! slow one that is under way. (How Kubernetes does it is rehearsed with the chart.)

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http::Version;
use testkit::rounds::rounds;
use tests::{Regulars, Wish};

use crate::common::{PAGE, Scene, Setting};

/// Between SIGTERM and the end of accepting: a load balancer needs two looks to notice.
const DRAIN_DELAY_MS: &str = "1500";
/// That, and what a front may take to end after it.
const GRACE: Duration = Duration::from_millis(26_500);
/// How long a load balancer takes to use a front again that is ready.
const NOTICED: Duration = Duration::from_millis(700);

#[tokio::test]
async fn a_rolling_restart_fails_no_request_and_each_front_ends_in_good_time() -> Result<()> {
    let fronts =
        vec![("SLUICE_FRONT__TIMEOUTS__DRAIN_DELAY_MS", DRAIN_DELAY_MS), ("SLUICE_FRONT__TIMEOUTS__GRACE_MS", "25000")];
    let mut scene = Scene::set(Setting { fronts, ..Setting::default() }).await?;
    let slow = format!("/slow/{}", rounds(3_000, 20_000));
    let (slow, page) =
        (Wish::of(&scene.cluster.upstream, &slow).await?, Wish::of(&scene.cluster.upstream, PAGE).await?);
    let mut regulars = Regulars::default();
    for (place, payer) in scene.payers.iter().enumerate() {
        let version = if place % 2 == 0 { Version::HTTP_11 } else { Version::HTTP_2 };
        let line = regulars.line(&scene.cluster.url(), version)?;
        let (kind, wish) = if place < 4 { ("slow", &slow) } else { ("pages", &page) };
        regulars.add(&format!("{version:?}, {kind}"), payer.clone(), &line, wish.clone());
    }
    let (mut slowest, mut restarts) = (Duration::ZERO, 0);
    while restarts < 3 || regulars.served() < rounds(500, 20_000) {
        let front = &mut scene.cluster.fronts[restarts % 3];
        let told = Instant::now();
        front.ends(GRACE).await?;
        slowest = slowest.max(told.elapsed());
        front.start_again()?;
        front.ready().await?;
        tokio::time::sleep(NOTICED).await;
        restarts += 1;
    }
    let outcome = regulars.stop().await;
    println!("{restarts} restarts, the slowest end took {slowest:?}\n{outcome}");
    ensure!(outcome.failed.is_empty(), "{outcome}");
    outcome.agrees_with(&scene.books().await?)
}
