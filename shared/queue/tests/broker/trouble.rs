//! A broker that dies, forgets, hangs or takes nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lapin::options::QueueDeleteOptions;
use lapin::{Connection, ConnectionProperties};
use ledger::JobId;
use queue::{Call, QueueError};
use testkit::cut::{Cut, Fault};
use testkit::rabbit::{Alarm, Options, Rabbit};
use testkit::{rounds, wait};

use crate::common::{POLL, Scene, alone, next, ring, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_was_killed_and_lost_everything_costs_only_time() {
    let _turn = alone().await;
    let mut rabbit = Rabbit::start(Options::default()).await.unwrap();
    let mut settings = settings(rabbit.node(0).url("%2f"));
    settings.ring_again = Duration::from_secs(2);
    let scene = Scene::with(settings).await;
    let relay = scene.relay();
    let first = scene.add(1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    rabbit.node_mut(0).kill9().unwrap();
    rabbit.node(0).wipe().unwrap();
    let second = scene.add(2).await;
    let mut rings = scene.rings();
    let began = Instant::now();
    assert!(matches!(rings.next(POLL).await, Call::Look), "without a broker one looks by oneself");
    assert!(began.elapsed() < POLL * 3, "and does not wait for it");
    rabbit.node_mut(0).start_again().await.unwrap();
    let mut heard = [next(&mut rings).await, next(&mut rings).await];
    heard.sort_by_key(|rung| rung.job);
    assert_eq!(heard.map(|rung| rung.job), [first, second]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_a_worker_hears_the_ledger_itself() {
    let scene = Scene::at("amqp://guest:guest@127.0.0.1:1/%2f".to_owned()).await;
    let mut rings = scene.rings();
    for key in 0..3 {
        let began = Instant::now();
        let (_, call) = tokio::join!(scene.add(key), rings.next(Duration::from_secs(20)));
        assert!(matches!(call, Call::Look) && began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    assert!(scene.broker.check().unwrap_err().contains("sync.1337: the broker is away"), "{:?}", scene.broker.check());
    drop(rings);
    scene.broker.check().expect("nobody wants to reach it now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_short_of_memory_or_disk_is_waited_for_and_not_flooded() {
    let _turn = alone().await;
    let rabbit = Rabbit::start(Options::default()).await.unwrap();
    let scene = Scene::at(rabbit.node(0).url("%2f")).await;
    let (mut publisher, mut rings) = (scene.broker.publisher(), scene.rings());
    publisher.ring(&[ring(1)]).await.unwrap();
    next(&mut rings).await.done().await;

    for (number, alarm) in [(2, Alarm::Memory), (4, Alarm::Disk)] {
        rabbit.node(0).alarm(alarm, true).await.unwrap();
        let began = Instant::now();
        assert!(matches!(publisher.ring(&[ring(number)]).await, Err(QueueError::Silent)), "{alarm:?}");
        assert!(began.elapsed() < Duration::from_secs(4), "{alarm:?}: {:?}", began.elapsed());
        for _ in 0..50 {
            assert!(matches!(publisher.ring(&[ring(number)]).await, Err(QueueError::Blocked)), "it has said so");
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{alarm:?}: {:?}", began.elapsed());
        assert!(scene.broker.check().unwrap_err().contains("takes no messages"), "{alarm:?}");
        let connections = ["-q", "list_connections", "--no-table-headers", "name"];
        let connections = rabbit.node(0).control(&connections).await.unwrap();
        assert_eq!(connections.lines().count(), 2, "one that rings and one that hears: {connections}");

        rabbit.node(0).alarm(alarm, false).await.unwrap();
        wait::until("the broker to take messages", Duration::from_secs(10), async || {
            Ok(publisher.ring(&[ring(number + 1)]).await?)
        })
        .await
        .unwrap();
        let mut heard = next(&mut rings).await;
        while heard.job != JobId(number + 1) {
            heard.done().await; // one that was on its way all the time
            heard = next(&mut rings).await;
        }
        heard.done().await;
    }
    scene.broker.check().unwrap();
}

/// By SIGSTOP, as a machine that hangs, and by a network that swallows everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_is_given_up_after_two_heartbeats_and_taken_up_again() {
    let _turn = alone().await;
    let rabbit = Rabbit::start(Options::default()).await.unwrap();
    let cut = Cut::start(SocketAddr::from(([127, 0, 0, 1], rabbit.node(0).port()))).await.unwrap();
    let mut settings = settings(format!("amqp://guest:guest@{}/%2f", cut.address()));
    (settings.heartbeat_s, settings.timeout) = (1, Duration::from_secs(1));
    let scene = Scene::with(settings).await;
    let (mut publisher, mut rings) = (scene.broker.publisher(), scene.rings());
    publisher.ring(&[ring(1)]).await.unwrap();
    next(&mut rings).await.done().await;
    let threads = threads();

    for (number, black_hole) in [(2, false), (3, true)] {
        let began = Instant::now();
        if black_hole {
            cut.set(Fault::Blackhole)
        } else {
            rabbit.node(0).process().unwrap().pause().unwrap()
        }
        while let Call::Rung(rung) = rings.next(POLL).await {
            rung.done().await; // rung twice, by a publisher that was not sure
        }
        assert!(began.elapsed() < Duration::from_secs(5), "noticed after {:?}", began.elapsed());
        for _ in 0..5 {
            let asked = Instant::now();
            assert!(publisher.ring(&[ring(number)]).await.is_err());
            assert!(asked.elapsed() < Duration::from_millis(2_500), "{:?}", asked.elapsed());
        }
        if black_hole {
            cut.set(Fault::None)
        } else {
            rabbit.node(0).process().unwrap().resume().unwrap()
        }
        wait::until("the broker", Duration::from_secs(10), async || Ok(publisher.ring(&[ring(number)]).await?))
            .await
            .unwrap();
        loop {
            let rung = next(&mut rings).await;
            let job = rung.job;
            rung.done().await;
            if job == JobId(number) {
                break;
            }
        }
    }
    wait::until("broken connections to be gone", Duration::from_secs(20), async || {
        anyhow::ensure!(self::threads() <= threads + 2, "{} threads, {threads} before", self::threads());
        Ok(())
    })
    .await
    .unwrap();
}

fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.contains("lapin")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_that_somebody_removes_are_made_again() {
    let mut settings = Scene::shared().await.settings;
    settings.ring_again = Duration::from_secs(2);
    let scene = Scene::with(settings).await;
    let (relay, mut rings) = (scene.relay(), scene.rings());
    let first = scene.add(1).await;
    let rung = next(&mut rings).await;
    scene.ledger.finish(first, &serde_json::Value::Null).await.unwrap();
    rung.done().await;
    let connection = Connection::connect(scene.settings.url.expose(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.queue_delete("sluice.sync.1337".into(), QueueDeleteOptions::default()).await.unwrap();
    let second = scene.add(2).await;
    assert_eq!(next(&mut rings).await.job, second);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_nodes_any_one_may_die() {
    let _turn = alone().await;
    let mut rabbit = Rabbit::start(Options { nodes: 3, ..Options::default() }).await.unwrap();
    let mut settings = settings(rabbit.node(0).url("%2f"));
    settings.urls = rabbit.nodes()[1..].iter().map(|node| node.url("%2f").into()).collect();
    let scene = Scene::with(settings).await;
    let (relay, mut rings) = (scene.relay(), scene.rings());
    for (key, victim) in rounds::rounds(vec![0, 1], vec![0, 1, 2, 0, 1, 2]).into_iter().enumerate() {
        rabbit.node_mut(victim).kill9().unwrap();
        let began = Instant::now();
        let added = scene.add(u32::try_from(key).unwrap()).await;
        let rung = next(&mut rings).await;
        assert_eq!(rung.job, added);
        println!("node {victim} dead: rung after {:?}", began.elapsed());
        scene.ledger.finish(added, &serde_json::Value::Null).await.unwrap();
        rung.done().await;
        rabbit.node_mut(victim).start_again().await.unwrap();
    }
    relay.stop().await;
}
