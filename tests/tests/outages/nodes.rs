//! The chain's nodes err, hang, lag, lie and go away, while payers pay: nobody notices, the ledger holds nothing that is not
//! on the chain, and whoever has to is told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options, Service};
use testkit::liar::{Liar, Lie};
use testkit::rounds::{rounds, seed};
use testkit::wait;
use tests::Traffic;

use crate::errands::open_and_pay;
use crate::world::{CHANGE, Figures, PATIENCE, alone, calm, ledger, logged, measure, payers, sql, traffic};

/// How soon another node serves when the first fails.
const FAILED_OVER: Duration = Duration::from_secs(10);
/// How soon somebody must be told that a head does not move, beside what is configured: 45 s, and here less.
const TOLD: Duration = Duration::from_secs(15);
const HEAD: &str = "eth_getBlockByNumber";

/// What is wrong with the only node.
fn troubles(gone: &[Value], head: u64) -> Vec<(&'static str, Vec<(&'static str, Lie)>)> {
    let error = |code, words: &str| Lie::Error(code, words.to_owned());
    vec![
        ("-32000", vec![("", error(-32000, "header not found"))]),
        ("429 and HTML", vec![("", Lie::Http(429))]),
        ("503 and HTML", vec![("", Lie::Http(503))]),
        ("200 and HTML", vec![("", Lie::Http(200))]),
        ("no answer", vec![("", Lie::Hang)]),
        ("errors half the time", vec![("eth_getLogs", error(-32603, "internal error")), (HEAD, Lie::Flicker(3))]),
        ("7 blocks behind", vec![("", Lie::Lag(7))]),
        ("two of them, 5 blocks apart", vec![("", Lie::Flicker(5))]),
        ("a frozen head", vec![("", Lie::Frozen(head))]),
        ("newest blocks and logs missing", vec![("", Lie::Missing(head..=head + 3))]),
        ("logs of blocks that are gone", vec![("eth_getLogs", Lie::AlsoLogs(gone.to_vec()))]),
    ]
}

/// How long a head may stand still; in the long form, as it comes.
fn stalled() -> Duration {
    rounds(Duration::from_secs(5), Duration::from_secs(45))
}

/// A cluster whose watcher and wallet know the chain through nodes that lie when they are told to.
async fn cluster(nodes: &[&Liar], cluster: &mut Cluster) -> Result<()> {
    let urls: Vec<String> = nodes.iter().map(|node| node.url()).collect();
    let others: Vec<String> = urls[1..].iter().map(|url| format!("{url:?}")).collect();
    let (first, others) = (urls[0].clone(), format!("[{}]", others.join(", ")));
    let known =
        [("SLUICE_DEPLOYMENTS__MAIN__RPC_URL", first.as_str()), ("SLUICE_DEPLOYMENTS__MAIN__RPC_URLS", &others)];
    let stalled = stalled().as_millis().to_string();
    cluster.add_watcher(&[known[0], known[1], ("SLUICE_WATCHER__HEAD_STALLED_MS", &stalled)])?;
    cluster.add_wallet(&known)?;
    for _ in 0..2 {
        cluster.add_front(&[])?;
    }
    cluster.ready().await?;
    cluster.balance().await
}

/// Every block that the ledger has something of is part of the chain.
async fn nothing_is_false(cluster: &Cluster) -> Result<()> {
    let of = "SELECT block, '0x' || encode(block_hash, 'hex') FROM events WHERE NOT orphaned
              UNION SELECT block, '0x' || encode(block_hash, 'hex') FROM cursors";
    for row in sql(cluster).await?.query(of, &[]).await? {
        let (block, hash): (i64, String) = (row.get(0), row.get(1));
        let true_one = cluster.chain.rpc(HEAD, json!([format!("{block:#x}"), false])).await?;
        ensure!(true_one["hash"] == hash.as_str(), "block {block} is {}, not {hash}", true_one["hash"]);
    }
    Ok(())
}

/// Waits until the watcher has read what is the head now; says how long it took.
async fn caught_up(cluster: &Cluster, within: Duration) -> Result<Duration> {
    let (ledger, began, head) = (ledger(cluster).await?, Instant::now(), cluster.head().await?);
    wait::until("the watcher to catch up", within, async || {
        let read = ledger.cursor("main").await?.context("it was read")?.block.number;
        ensure!(read >= head, "it is at {read}, the head was {head}");
        Ok(began.elapsed())
    })
    .await
}

/// The logs of a channel's opening, in a block that is then taken back.
async fn gone(cluster: &Cluster, index: usize) -> Result<Vec<Value>> {
    let from = format!("{:#x}", cluster.head().await? + 1);
    open_and_pay(cluster, index).await?;
    let of = json!([{"fromBlock": from, "address": cluster.contracts.channels}]);
    let logs = cluster.chain.rpc("eth_getLogs", of).await?;
    let depth = cluster.head().await? + 1 - testkit::rpc::quantity(&Value::from(from))?;
    cluster.chain.reorg(depth).await?;
    cluster.chain.mine(1).await?;
    Ok(serde_json::from_value(logs)?)
}

async fn endure(
    cluster: &Cluster,
    node: &Liar,
    traffic: &Traffic,
    (name, lies): (&str, Vec<(&str, Lie)>),
) -> Result<String> {
    let name = format!("the only node: {name}");
    calm(traffic, &name).await;
    for (method, lie) in lies {
        node.tell(method, lie);
    }
    measure(traffic, &name).await;
    traffic.enter(CHANGE);
    nothing_is_false(cluster).await?;
    node.be_honest();
    let took = caught_up(cluster, PATIENCE).await?;
    nothing_is_false(cluster).await?;
    calm(traffic, &name).await;
    let figures = Figures::of(traffic, &name);
    println!("{figures}   caught up {took:.1?} after the end");
    Ok(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_only_node_says_paid_requests_do_not_notice_and_nothing_false_is_recorded() -> Result<()> {
    let _alone = alone().await;
    let mut rng = StdRng::seed_from_u64(seed()?);
    let mut world = Cluster::prepare(Options::default()).await?;
    let node = Liar::start(&world.chain.url()).await?;
    cluster(&[&node], &mut world).await?;
    let gone = gone(&world, KEYS.len() - 1).await?;
    assert!(!gone.is_empty());
    let payers = payers(&world, 1).await?;
    let traffic = traffic(&world, &payers);
    let mut endured = BTreeSet::new();
    for _ in 0..rounds(1, 5) {
        let mut troubles = troubles(&gone, world.head().await?);
        troubles.shuffle(&mut rng);
        for trouble in troubles {
            let name = trouble.0;
            endured.insert(endure(&world, &node, &traffic, trouble).await.with_context(|| name)?);
        }
    }
    let (all, failed) = (Figures::of_all(&traffic, &endured), traffic.failed());
    assert!(failed.is_empty(), "{failed:?}");
    crate::world::agreed(&world, traffic.stop().await?, &payers, PATIENCE).await?;
    open_and_pay(&world, KEYS.len() - 1).await?;
    println!("{all}");
    all.check()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_serves_within_10_s_and_somebody_is_told_of_a_head_that_stands_still() -> Result<()> {
    let _alone = alone().await;
    let mut world = Cluster::prepare(Options::default()).await?;
    let (first, second) = (Liar::start(&world.chain.url()).await?, Liar::start(&world.chain.url()).await?);
    cluster(&[&first, &second], &mut world).await?;
    caught_up(&world, PATIENCE).await?;
    let failures = [
        ("-32000", Lie::Error(-32000, "internal error".to_owned())),
        ("429", Lie::Http(429)),
        ("HTML", Lie::Http(200)),
        ("no answer", Lie::Hang),
        ("20 blocks behind", Lie::Lag(20)),
    ];
    world.chain.mine(30).await?;
    for (name, lie) in failures {
        caught_up(&world, PATIENCE).await?;
        first.tell("", lie);
        tokio::time::sleep(Duration::from_millis(1_100)).await; // a block that the first cannot have told of
        let took = caught_up(&world, FAILED_OVER).await.with_context(|| name)?;
        println!(
            "the first of two nodes: {name:<20} the second serves after {:.1?}",
            took + Duration::from_millis(1_100)
        );
        first.be_honest();
    }

    let head = world.head().await?;
    [&first, &second].iter().for_each(|node| node.tell("", Lie::Frozen(head)));
    let (frozen, watcher) = (Instant::now(), &world.watchers[0]);
    let alarm = async |watcher: &Service| watcher.metric("watcher_head_stalled").await;
    wait::until("somebody to be told", stalled() + TOLD, async || {
        ensure!(alarm(watcher).await? > 0.0, "nobody was told");
        Ok(())
    })
    .await?;
    println!("a head that stands still for {:?} is told after {:.1?}", stalled(), frozen.elapsed());
    assert!(logged(watcher, &["ERROR", "\"main\"", "the head does not move"])?);
    [&first, &second].iter().for_each(|node| node.be_honest());
    wait::until("the end of it to be told", PATIENCE, async || {
        ensure!(alarm(watcher).await? == 0.0, "it is stalled");
        Ok(())
    })
    .await
}
