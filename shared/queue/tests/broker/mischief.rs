//! Messages that come five times, late, in another order, broken, or not at all.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use ledger::JobKind;
use queue::Broker;
use testkit::dup::{Dup, Mischief};
use testkit::rabbit::{Options, Rabbit};
use testkit::{rounds, wait};

use crate::common::{Effects, Scene, added_and_done, alone, next, ring, settings, work};

const LINE: [(&str, &str); 1] = [("sync.1337", "sluice.sync.1337")];
/// What `[queue]` says unless told otherwise: how long a job waits at most whose ring was lost.
const LOOK: Duration = Duration::from_secs(2);

/// Adds so many jobs, ten at a time; gives the longest that one took.
async fn load(scene: &Scene, first: u32, jobs: u32) -> Duration {
    let all = stream::iter(first..first + jobs).map(|key| added_and_done(scene, key)).buffer_unordered(10);
    all.fold(Duration::ZERO, async |longest, took| longest.max(took)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_five_times_late_shuffled_and_broken_has_one_effect_per_job() {
    let scene = Scene::shared().await;
    scene.broker.publisher().ring(&[ring(-1)]).await.unwrap();
    let mischief = Mischief {
        copies: 5,
        delay: Duration::from_millis(800),
        corrupt: true,
        seed: rounds::seed().unwrap(),
        ..Mischief::default()
    };
    let dup = Dup::start(scene.settings.url.expose(), "sluice", &LINE, mischief).await.unwrap();
    let (relay, effects, jobs) = (scene.relay(), Effects::default(), rounds::rounds(100, 2_000));
    let longest = tokio::select! {
        () = work(&scene, &effects) => unreachable!("workers do not end"),
        longest = load(&scene, 0, jobs) => longest,
    };
    println!("{jobs} jobs, {} messages seen by the duplicator, the longest took {longest:?}", dup.seen());
    // What is still on its way finds the jobs done, by whoever works then.
    let later = async { tokio::time::sleep(Duration::from_secs(1)).await };
    tokio::select! { () = work(&scene, &effects) => {}, () = later => {} }
    relay.stop().await;
    let effects = effects.lock().unwrap();
    assert_eq!(effects.len(), usize::try_from(jobs).unwrap());
    assert!(effects.values().all(|times| *times == 1), "{effects:?}");
    assert!(dup.seen() > u64::from(jobs) / 2, "the others went by while the relay made its queues");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_third_message_lost_all_jobs_are_done_and_none_waits_longer_than_a_look() {
    let mut scene = Scene::shared().await;
    scene.settings.look = LOOK;
    scene.broker = Broker::new(&scene.settings).unwrap();
    scene.broker.publisher().ring(&[ring(-1)]).await.unwrap();
    let mischief = Mischief { lose_every: Some(3), ..Mischief::default() };
    let dup = Dup::start(scene.settings.url.expose(), "sluice", &LINE, mischief).await.unwrap();
    let (relay, effects, jobs) = (scene.relay(), Effects::default(), rounds::rounds(60, 1_000));
    let longest = tokio::select! {
        () = work(&scene, &effects) => unreachable!("workers do not end"),
        longest = load(&scene, 0, jobs) => longest,
    };
    relay.stop().await;
    println!("{jobs} jobs, a third of {} messages lost, the longest took {longest:?}", dup.seen());
    assert!(longest < LOOK * 3, "{longest:?}");
    assert_eq!(effects.lock().unwrap().len(), usize::try_from(jobs).unwrap());
    dup.stop().await.unwrap();
}

/// The look is switched off here: what was lost is found by the relay's sweep alone.
#[tokio::test(flavor = "multi_thread")]
async fn purged_queues_are_rung_again_by_the_sweep() {
    let rabbit = Rabbit::shared().await.unwrap();
    let url = rabbit.fresh_host().await.unwrap();
    let host = url.rsplit('/').next().unwrap().to_owned();
    let mut settings = settings(url);
    settings.ring_again = Duration::from_secs(2);
    let scene = Scene::with(settings).await;
    let relay = scene.relay();
    for key in 0..20 {
        scene.add(key).await;
    }
    let queue = "sluice.sync.1337";
    wait::until("the rings", Duration::from_secs(10), async || {
        let waiting = rabbit.node(0).waiting(&host, queue).await?;
        anyhow::ensure!(waiting >= 20, "{waiting}");
        Ok(())
    })
    .await
    .unwrap();
    rabbit.node(0).control(&["purge_queue", "-p", &host, queue]).await.unwrap();
    let (began, mut rings) = (Instant::now(), scene.rings());
    for _ in 0..20 {
        let rung = next(&mut rings).await;
        scene.ledger.finish(rung.job, &serde_json::Value::Null).await.unwrap();
        rung.done().await;
    }
    println!("20 purged rings were repeated within {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_wiped_under_load_loses_nothing() {
    let _turn = alone().await;
    let mut rabbit = Rabbit::start(Options::default()).await.unwrap();
    let mut settings = settings(rabbit.node(0).url("%2f"));
    settings.look = LOOK;
    let scene = Scene::with(settings).await;
    let (relay, effects) = (scene.relay(), Effects::default());
    let wipe = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        rabbit.node_mut(0).kill9().unwrap();
        rabbit.node(0).wipe().unwrap();
        rabbit.node_mut(0).start_again().await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    // Jobs come all the time, whatever becomes of the broker.
    let (mut jobs, mut longest) = (0, Duration::ZERO);
    tokio::pin!(wipe);
    let worker = work(&scene, &effects);
    tokio::pin!(worker);
    loop {
        tokio::select! {
            () = &mut worker => unreachable!("workers do not end"),
            () = &mut wipe => break,
            took = load(&scene, jobs, 10) => longest = longest.max(took),
        }
        jobs += 10;
    }
    tokio::select! { () = &mut worker => {}, () = all_done(&scene) => {} }
    relay.stop().await;
    println!("{jobs} jobs and more, the longest took {longest:?}");
    assert!(longest < LOOK * 2, "{longest:?}");
    assert!(effects.lock().unwrap().values().all(|times| *times == 1));
}

async fn all_done(scene: &Scene) {
    wait::until("all jobs to be done", Duration::from_secs(10), async || {
        let waiting = scene.ledger.waiting().await?;
        anyhow::ensure!(waiting.iter().all(|kind| kind.due == 0), "{waiting:?}");
        Ok(())
    })
    .await
    .unwrap();
}

/// The relay alone, as when the broker was away for long, and a worker that only acknowledges.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_rung_at_a_thousand_a_second_and_more() {
    let scene = Scene::shared().await;
    let jobs = 5_000;
    stream::iter(0..jobs).for_each_concurrent(64, async |key| _ = scene.add(key).await).await;
    let began = Instant::now();
    let relay = scene.relay();
    wait::until("the relay", Duration::from_secs(30), async || {
        anyhow::ensure!(scene.ledger.to_ring(Duration::from_secs(600), 1).await?.is_empty());
        Ok(())
    })
    .await
    .unwrap();
    let rung = began.elapsed();
    let mut rings = scene.rings();
    for _ in 0..jobs {
        next(&mut rings).await.done().await;
    }
    let heard = began.elapsed();
    relay.stop().await;
    println!("{jobs} jobs: rung and confirmed within {rung:?}, heard and acknowledged within {heard:?}");
    assert!(rung.as_secs_f64() < f64::from(jobs) / 1_000.0, "{rung:?}");
    assert_eq!(scene.ledger.due(JobKind::Sync, &["main"], 10_000).await.unwrap().len(), usize::try_from(jobs).unwrap());
}
