//! What a broker promises, and what is lost where it is not asked to: the controls show that these tests can fail.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use ledger::JobId;
use queue::Call;
use testkit::cut::{Cut, Fault};
use testkit::rabbit::{Options, Rabbit};

use crate::common::{POLL, Scene, alone, is_silent, next, ring};

const RINGS: i64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_rings_survive_a_killed_broker_and_those_in_a_classic_transient_queue_do_not() {
    let _turn = alone().await;
    let mut rabbit = Rabbit::start(Options::default()).await.unwrap();
    let scene = Scene::at(rabbit.node(0).url("%2f")).await;
    let mut publisher = scene.broker.publisher();
    publisher.ring(&[ring(1)]).await.unwrap();
    next(&mut scene.rings()).await.done().await;
    // Once in good order: RabbitMQ may forget queues that it made a moment before it is killed.
    rabbit.stop().await.unwrap();
    rabbit.node_mut(0).start_again().await.unwrap();
    publisher.ring(&[ring(1)]).await.expect_err("that connection is gone");
    // The control: the same messages, kept as a queue without our arguments would.
    let connection = Connection::connect(scene.settings.url.expose(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let (declare, bind) = (QueueDeclareOptions::default(), QueueBindOptions::default());
    channel.queue_declare("control".into(), declare, FieldTable::default()).await.unwrap();
    channel
        .queue_bind("control".into(), "sluice".into(), "sync.1337".into(), bind, FieldTable::default())
        .await
        .unwrap();

    publisher.ring(&(1..=RINGS).map(ring).collect::<Vec<_>>()).await.expect("the next one is there");
    assert_eq!(rabbit.node(0).waiting("/", "control").await.unwrap(), 50);
    rabbit.node_mut(0).kill9().unwrap();
    rabbit.node_mut(0).start_again().await.unwrap();
    rabbit.node(0).waiting("/", "control").await.expect_err("the transient queue is gone with all that was in it");
    let mut rings = scene.rings();
    for job in 1..=RINGS {
        let rung = next(&mut rings).await;
        assert_eq!(rung.job, JobId(job));
        rung.done().await;
    }
}

/// A network that swallows everything: who does not wait for the confirmation does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn without_confirmations_a_ring_that_never_arrived_looks_like_one_that_did() {
    let shared = Scene::shared().await;
    let (_, host) = shared.settings.url.expose().rsplit_once('/').unwrap();
    let port = Rabbit::shared().await.unwrap().node(0).port();
    let cut = Cut::start(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let scene = Scene::at(format!("amqp://guest:guest@{}/{host}", cut.address())).await;
    let (mut publisher, mut rings) = (scene.broker.publisher(), shared.rings());
    publisher.ring(&[ring(1)]).await.unwrap();
    next(&mut rings).await.done().await;
    let connection = Connection::connect(scene.settings.url.expose(), ConnectionProperties::default()).await.unwrap();
    let unconfirmed = connection.create_channel().await.unwrap();

    cut.set(Fault::Blackhole);
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let sent = unconfirmed.basic_publish("sluice".into(), "sync.1337".into(), options, b"{\"job\":2}", properties);
    sent.await.unwrap().await.expect("the control believes that all is well");
    publisher.ring(&[ring(2)]).await.expect_err("and we know that it is not");
    assert!(is_silent(&mut rings, Duration::from_millis(500)).await, "it never arrived");
}

/// The order of commit and ack, with the looks and the sweep switched off: nothing else would find the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_acknowledges_before_its_commit_loses_the_job_when_it_dies_between_the_two() {
    for (ack_first, is_heard_again) in [(false, true), (true, false)] {
        let scene = Scene::shared().await;
        let job = scene.add(1).await;
        scene.broker.publisher().ring(&[ring(job.0)]).await.unwrap();
        let mut first = scene.rings();
        let rung = next(&mut first).await;
        if ack_first {
            rung.done().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        } else {
            drop(rung);
        }
        drop(first); // dies here, before its commit
        let mut second = scene.rings();
        assert_eq!(!is_silent(&mut second, Duration::from_secs(2)).await, is_heard_again, "ack first: {ack_first}");
        assert!(scene.ledger.outcome(job).await.unwrap().is_none(), "it is still to be done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_not_kept_from_looking_by_a_broker_that_swallows_everything() {
    let port = Rabbit::shared().await.unwrap().node(0).port();
    let cut = Cut::start(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let scene = Scene::at(format!("amqp://guest:guest@{}/%2f", cut.address())).await;
    cut.set(Fault::Blackhole);
    let mut rings = scene.rings();
    for _ in 0..20 {
        let began = Instant::now();
        assert!(matches!(rings.next(POLL).await, Call::Look));
        assert!(began.elapsed() < POLL * 3, "{:?}", began.elapsed());
    }
}
