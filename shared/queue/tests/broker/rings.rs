//! A ring's way while nothing is wrong with the broker.

use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicPublishOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use ledger::JobId;
use queue::Broker;
use runtime::config::Queue;
use testkit::wait;

use crate::common::{Scene, is_silent, next, ring};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rung_is_heard_once_with_its_trace() {
    let scene = Scene::shared().await;
    scene.broker.publisher().ring(&[ring(1), ring(2)]).await.unwrap();
    let mut rings = scene.rings();
    for job in [1, 2] {
        let rung = next(&mut rings).await;
        assert_eq!((rung.job, rung.trace.clone()), (JobId(job), ring(job).trace));
        rung.done().await;
    }
    assert!(is_silent(&mut rings, Duration::from_millis(300)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_was_not_acknowledged_is_delivered_again() {
    let scene = Scene::shared().await;
    scene.broker.publisher().ring(&[ring(7)]).await.unwrap();
    let mut first = scene.rings();
    let rung = next(&mut first).await;
    drop((rung, first)); // the worker died before its commit
    assert_eq!(next(&mut scene.rings()).await.job, JobId(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_put_among_the_dead_and_holds_nobody_up() {
    let scene = Scene::shared().await;
    scene.broker.publisher().ring(&[ring(1)]).await.unwrap();
    let connection = Connection::connect(scene.settings.url.expose(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    for body in [&b"not json"[..], b"{\"job\": \"x\"}", b"\xff\xfe", b"{\"job\": 1, \"more\": 2}"] {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel.basic_publish("sluice".into(), "sync.1337".into(), options, body, properties);
        sent.await.unwrap().await.unwrap();
    }
    scene.broker.publisher().ring(&[ring(3)]).await.unwrap();
    let mut rings = scene.rings();
    for job in [1, 3] {
        let rung = next(&mut rings).await;
        assert_eq!(rung.job, JobId(job));
        rung.done().await;
    }
    let mut dead = 0;
    wait::until("4 unreadable messages among the dead", Duration::from_secs(5), async || {
        while channel.basic_get("sluice.dead".into(), BasicGetOptions::default()).await?.is_some() {
            dead += 1;
        }
        anyhow::ensure!(dead == 4, "{dead} of 4");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_kills_its_worker_again_and_again_ends_among_the_dead_while_others_are_heard() {
    let mut scene = Scene::shared().await;
    scene.settings.delivery_limit = 3;
    scene.broker = Broker::new(&scene.settings).unwrap();
    let mut publisher = scene.broker.publisher();
    publisher.ring(&[ring(9), ring(10)]).await.unwrap();
    let (mut rings, mut deliveries, mut others) = (scene.rings(), 0, 0);
    while deliveries < 4 || others < 1 {
        let rung = next(&mut rings).await;
        if rung.job == JobId(9) {
            deliveries += 1;
            rung.again().await;
        } else {
            others += 1;
            rung.done().await;
        }
    }
    assert!(is_silent(&mut rings, Duration::from_millis(500)).await);
    assert_eq!((deliveries, others), (4, 1));
    wait::until("the dead", Duration::from_secs(5), async || {
        let dead = publisher.dead().await;
        anyhow::ensure!(dead == Some(1), "{dead:?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_rings_as_soon_as_it_is_added() {
    let scene = Scene::shared().await;
    let relay = scene.relay();
    let mut rings = scene.rings();
    for key in 0..3 {
        let added = scene.add(key).await;
        let rung = next(&mut rings).await;
        assert_eq!(rung.job, added);
        scene.ledger.finish(added, &serde_json::Value::Null).await.unwrap();
        rung.done().await;
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_put_off_rings_again_when_its_time_has_come() {
    let scene = Scene::shared().await;
    let (ledger, again) = (&scene.ledger, Duration::from_secs(30));
    let id = scene.add(1).await;
    assert_eq!(ledger.to_ring(again, 10).await.unwrap().len(), 1);
    ledger.rung(&[id]).await.unwrap();
    assert!(ledger.to_ring(again, 10).await.unwrap().is_empty(), "it was rung a moment ago");
    ledger.retry(id, "not yet", Duration::from_millis(300)).await.unwrap();
    assert!(ledger.to_ring(again, 10).await.unwrap().is_empty(), "its time has not come");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(ledger.to_ring(again, 10).await.unwrap().len(), 1);
    ledger.rung(&[id]).await.unwrap();
    assert_eq!(ledger.to_ring(Duration::ZERO, 10).await.unwrap().len(), 1, "a ring that led to nothing is repeated");
}

#[test]
fn an_address_that_is_none_is_refused_without_being_shown() {
    let settings = Queue { url: "amqp://user:hush@[half/%2f".to_owned().into(), ..Queue::default() };
    let error = Broker::new(&settings).unwrap_err().to_string();
    assert!(error.starts_with("queue.url") && !error.contains("hush"), "{error}");
}
