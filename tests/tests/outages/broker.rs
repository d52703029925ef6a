//! RabbitMQ is stopped, hangs, is wiped, parted, out of memory, out of reach. Nobody who pays notices, and the work is done.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options};
use testkit::cut::{Cut, Fault};
use testkit::rabbit::{Alarm, Rabbit};
use testkit::rounds::{rounds, seed};
use testkit::wait;
use tests::Traffic;

use crate::errands::{close_dishonestly, close_together};
use crate::world::{CHANGE, Figures, PATIENCE, alone, calm, measure, payers, traffic, until_no_job_is_open};

const NODES: u32 = 3;
/// How soon all that waited is done, once the broker is back.
const DRAINED: Duration = Duration::from_secs(60);

/// How long those who had to wait for a command that took the machine may take to be served.
const SETTLED: Duration = Duration::from_secs(2);

/// What becomes of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    OneNodeKilled,
    AllHang,
    OutOfMemory,
    OutOfReach,
    Parted,
    KilledAndWiped,
}

const OUTAGES: [Outage; 6] = [
    Outage::OneNodeKilled,
    Outage::AllHang,
    Outage::OutOfMemory,
    Outage::OutOfReach,
    Outage::Parted,
    Outage::KilledAndWiped,
];

impl Outage {
    /// Others take a command, which is a program that takes a core for a second.
    fn is_instant(self) -> bool {
        !matches!(self, Outage::OutOfMemory | Outage::Parted)
    }
}

/// A cluster whose watchers and wallets reach the broker through something that can be cut.
struct World {
    cluster: Cluster,
    cuts: Vec<Cut>,
}

impl World {
    async fn new() -> Result<World> {
        let mut cluster = Cluster::prepare(Options { rabbit: NODES, ..Options::default() }).await?;
        let mut cuts = Vec::new();
        for node in broker(&mut cluster)?.nodes() {
            cuts.push(Cut::start(SocketAddr::from(([127, 0, 0, 1], node.port()))).await?);
        }
        let urls: Vec<String> =
            cuts.iter().map(|cut| format!("\"amqp://guest:guest@{}/%2f\"", cut.address())).collect();
        let (url, others) = (urls[0].trim_matches('"').to_owned(), format!("[{}]", urls[1..].join(", ")));
        let through = [("SLUICE_QUEUE__URL", url.as_str()), ("SLUICE_QUEUE__URLS", others.as_str())];
        for _ in 0..2 {
            cluster.add_watcher(&through)?;
            cluster.add_wallet(&through)?;
            // A front has no use for it: one that tried to publish would have nowhere to go.
            cluster.add_front(&[("SLUICE_QUEUE__URL", "amqp://nobody@127.0.0.1:1/"), ("SLUICE_QUEUE__URLS", "[]")])?;
        }
        cluster.ready().await?;
        cluster.balance().await?;
        Ok(World { cluster, cuts })
    }

    async fn begin(&mut self, outage: Outage) -> Result<()> {
        let rabbit = broker(&mut self.cluster)?;
        match outage {
            Outage::OneNodeKilled => rabbit.node_mut(0).kill9(),
            Outage::AllHang => rabbit.nodes().iter().try_for_each(|node| node.process()?.pause()),
            Outage::OutOfMemory => rabbit.node(1).alarm(Alarm::Memory, true).await,
            Outage::OutOfReach => {
                self.cuts.iter().for_each(|cut| cut.set(Fault::Blackhole));
                Ok(())
            }
            Outage::Parted => rabbit.isolate(0, true).await,
            Outage::KilledAndWiped => {
                rabbit.nodes_mut().iter_mut().try_for_each(testkit::rabbit::Node::kill9)?;
                rabbit.nodes().iter().try_for_each(testkit::rabbit::Node::wipe)
            }
        }
    }

    async fn end(&mut self, outage: Outage) -> Result<()> {
        let rabbit = broker(&mut self.cluster)?;
        match outage {
            Outage::OneNodeKilled => rabbit.node_mut(0).start_again().await,
            Outage::AllHang => rabbit.nodes().iter().try_for_each(|node| node.process()?.resume()),
            Outage::OutOfMemory => rabbit.node(1).alarm(Alarm::Memory, false).await,
            Outage::OutOfReach => {
                self.cuts.iter().for_each(|cut| cut.set(Fault::None));
                Ok(())
            }
            Outage::Parted => rabbit.isolate(0, false).await,
            Outage::KilledAndWiped => {
                rabbit.start_again().await?;
                rabbit.join().await
            }
        }
    }

    /// Waits until no job is open, and in no queue a ring waits to be heard. (One that was heard while its node was parted
    /// may stay unacknowledged for longer: its job is done.)
    async fn until_drained(&mut self) -> Result<Duration> {
        let began = Instant::now();
        until_no_job_is_open(&self.cluster, DRAINED).await?;
        let rabbit = broker(&mut self.cluster)?;
        wait::until("the queues to be heard and empty", DRAINED, async || {
            let columns = ["-q", "list_queues", "--no-table-headers", "name", "messages_ready", "consumers"];
            let said = rabbit.node(2).control(&columns).await?;
            let lines = said.lines().filter(|line| !line.starts_with("sluice.dead")).map(|line| line.split('\t'));
            let lines: Vec<Vec<&str>> = lines.map(Iterator::collect).collect();
            let is_well =
                |line: &Vec<&str>| line.get(1) == Some(&"0") && line.get(2).is_some_and(|heard| *heard != "0");
            ensure!(!lines.is_empty() && lines.iter().all(is_well), "{said}");
            Ok(())
        })
        .await?;
        Ok(began.elapsed())
    }
}

fn broker(cluster: &mut Cluster) -> Result<&mut Rabbit> {
    cluster.rabbit.as_mut().context("there is a broker")
}

async fn endure(world: &mut World, traffic: &Traffic, outage: Outage) -> Result<String> {
    let name = format!("RabbitMQ: {outage:?}");
    calm(traffic, &name).await;
    if outage.is_instant() {
        traffic.enter(&name);
    }
    world.begin(outage).await?;
    if !outage.is_instant() {
        tokio::time::sleep(SETTLED).await;
    }
    measure(traffic, &name).await;
    traffic.enter(CHANGE);
    // The background does its work without being rung for: sync, sign, and at times challenge.
    let spare = KEYS.len() - 1;
    let signed = close_together(&world.cluster, spare).await.with_context(|| name.clone())?;
    if outage == Outage::KilledAndWiped {
        close_dishonestly(&world.cluster, spare).await.with_context(|| name.clone())?;
    }
    world.end(outage).await?;
    let drained = world.until_drained().await.with_context(|| name.clone())?;
    calm(traffic, &name).await;
    let figures = Figures::of(traffic, &name);
    println!("{figures}   a new channel closed after {signed:.1?}; drained {drained:.1?} after the end");
    Ok(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_rabbitmq_paid_requests_do_not_notice_and_jobs_are_done() -> Result<()> {
    let _alone = alone().await;
    let mut world = World::new().await?;
    let payers = payers(&world.cluster, 1).await?;
    let traffic = traffic(&world.cluster, &payers);
    let mut rng = StdRng::seed_from_u64(seed()?);
    let mut endured = BTreeSet::new();
    for _ in 0..rounds(1, 5) {
        let mut outages = OUTAGES;
        outages.shuffle(&mut rng);
        for outage in outages {
            endured.insert(endure(&mut world, &traffic, outage).await?);
        }
    }
    let (all, failed) = (Figures::of_all(&traffic, &endured), traffic.failed());
    println!("{}", Figures::of(&traffic, CHANGE));
    assert!(failed.is_empty(), "{failed:?}");
    let served = crate::world::agreed(&world.cluster, traffic.stop().await?, &payers, PATIENCE).await?;
    println!("{served} requests served and charged, 0 failed");
    println!("{all}");
    all.check()
}
