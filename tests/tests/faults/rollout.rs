//! Fronts are restarted one by one behind the load balancer: no request fails, not even a slow one that is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use channel::Amount;
use futures::future::try_join_all;
use nix::sys::signal::Signal;
use reqwest::{Client, StatusCode, Version};
use testkit::rounds::rounds;
use testkit::wait;
use tests::ByHand;
use tokio::task::JoinHandle;

use crate::common::{Scene, Setting};

/// Between SIGTERM and the end of accepting: a load balancer needs two looks to notice.
const DRAIN_DELAY_MS: &str = "1500";
/// The rest of what a front may take to end.
const GRACE: Duration = Duration::from_secs(25);
/// How long a load balancer takes to use a front again that is ready.
const NOTICED: Duration = Duration::from_millis(700);

/// Who asks without a pause, each on a connection that it keeps.
struct Callers {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

impl Callers {
    /// Pays for `url`, one voucher after the other.
    fn pay(&mut self, payer: ByHand, url: String, client: Client, version: Version) {
        let (over, answered) = (self.over.clone(), self.answered.clone());
        self.tasks.push(tokio::spawn(async move {
            for voucher in 1.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let request = payer.pay(&url, Amount::new(voucher)).version(version).build()?;
                let answer = client.execute(request).await?;
                ensure!(answer.status() == StatusCode::OK, "voucher {voucher} at {url}: {answer:?}");
                ensure!(answer.version() == version, "{:?}", answer.version());
                answer.bytes().await?;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }));
    }

    async fn stop(self) -> Result<usize> {
        self.over.store(true, Ordering::Relaxed);
        try_join_all(self.tasks).await?.into_iter().collect::<Result<()>>()?;
        Ok(self.answered.load(Ordering::Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_request_and_each_front_ends_in_good_time() -> Result<()> {
    let slow_ms = rounds(3_000, 20_000);
    let fronts =
        vec![("SLUICE_FRONT__TIMEOUTS__DRAIN_DELAY_MS", DRAIN_DELAY_MS), ("SLUICE_FRONT__TIMEOUTS__GRACE_MS", "25000")];
    let mut scene = Scene::set(Setting { fronts, ..Setting::default() }).await?;
    let mut callers = Callers { over: Arc::default(), answered: Arc::default(), tasks: Vec::new() };
    let slow = format!("{}/slow/{slow_ms}", scene.cluster.url());
    for (place, payer) in scene.payers.iter().enumerate() {
        let own = Client::builder().no_proxy().timeout(Duration::from_secs(60));
        let (client, version) = if place % 2 == 0 {
            (own.build()?, Version::HTTP_11)
        } else {
            (own.http2_prior_knowledge().build()?, Version::HTTP_2)
        };
        let url = if place < 4 { slow.clone() } else { scene.page() };
        callers.pay(payer.clone(), url, client, version);
    }
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    let most = rounds(0, 20_000);
    let mut restarts = 0;
    while restarts < 3 || callers.answered.load(Ordering::Relaxed) < most {
        let front = &mut scene.cluster.fronts[restarts % 3];
        front.process()?.signal(Signal::SIGTERM)?;
        let told = Instant::now();
        wait::until("the front to end", Duration::from_millis(1_500) + GRACE, async || {
            ensure!(!front.is_running(), "it runs");
            Ok(())
        })
        .await?;
        slowest = slowest.max(told.elapsed());
        front.stop().await?; // it has ended: this only clears its place
        front.start_again()?;
        front.ready().await?;
        tokio::time::sleep(NOTICED).await;
        restarts += 1;
    }
    let answered = callers.stop().await?;
    println!(
        "{answered} requests over {restarts} restarts in {:?}, 0 failed; the slowest end took {slowest:?}",
        began.elapsed()
    );
    ensure!(answered >= most.max(500), "only {answered} requests");
    Ok(())
}
