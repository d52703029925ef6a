//! A chain breaks its promise: blocks that could never change do. Its deployment halts; nobody else notices.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use channel::Amount;
use testkit::anvil::{self, Anvil};
use testkit::cluster::{Cluster, Options, PAYER};
use testkit::{paths, wait};
use tests::{ByHand, Place, Traffic, add_deployment};

use crate::world::{CHANGE, DEPOSIT, PACE, PATIENCE, alone, answer, logged, metric};

/// How soon nobody may sell through a deployment that its chain has betrayed.
const REFUSED: Duration = Duration::from_secs(5);
const DEPTH: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_below_finality_halts_that_deployment_within_5_s_and_no_other() -> Result<()> {
    let _alone = alone().await;
    let mut cluster = Cluster::prepare(Options { watchers: 2, ..Options::default() }).await?;
    let second = anvil::Options { chain_id: 62, block_time: Some(1), ..anvil::Options::default() };
    let second = Anvil::start_with(second).await?;
    let contracts = add_deployment(&cluster, "second", &second, "").await?;
    for _ in 0..2 {
        cluster.add_watcher(&[("SLUICE_WATCHER__REORG_DEPTH", &DEPTH.to_string())])?;
        cluster.add_front(&[])?;
    }
    cluster.add_wallet(&[])?;
    cluster.ready().await?;
    cluster.balance().await?;
    let payer = ByHand::open(&cluster, PAYER, DEPOSIT).await?;
    let url = format!("{}/second/page", cluster.url());
    let place = Place { deployment: "second", chain: &second, contracts: &contracts, url: url.clone() };
    let other = ByHand::open_at(&place, PAYER, DEPOSIT).await?;
    cluster.chain.mine(5 * DEPTH).await?;
    let page = place_of(&cluster);
    assert_eq!(answer(&payer, &page, Amount::new(1)).await?.0, 200);
    until_followed(&cluster).await?;
    let traffic = Traffic::start(&[other], &url, PACE, CHANGE);

    cluster.chain.reorg(4 * DEPTH).await?;
    let (broken, mut sold) = (Instant::now(), 1);
    let refused = wait::until("the refusal", PATIENCE, async || {
        let (status, reason) = answer(&payer, &page, Amount::new(sold + 1)).await?;
        sold += u128::from(status == 200);
        ensure!((status, reason.as_str()) == (503, "chain_stale"), "{status} {reason}");
        Ok(broken.elapsed())
    })
    .await?;
    println!("refused after {refused:?}, {sold} sold until then");
    assert!(refused < REFUSED, "it took {refused:?}");
    for front in &cluster.fronts {
        let (status, reason) = answer(&payer, &format!("{}/page", front.url()), Amount::new(sold + 1)).await?;
        assert_eq!((status, reason.as_str()), (503, "chain_stale"), "{}", front.name);
    }
    let pages = |watcher| logged(watcher, &["ERROR", "\"main\"", "halted: nothing is sold"]);
    assert!(cluster.watchers.iter().map(pages).collect::<Result<Vec<_>>>()?.contains(&true), "nobody was told");
    let mut halted = 0.0;
    for watcher in &cluster.watchers {
        halted += metric(watcher, "watcher_halted{deployment=\"main\"}").await.unwrap_or_default();
    }
    assert!(halted >= 1.0, "no metric says so");

    // Until a person has looked.
    let resume =
        Command::new(paths::program("sluice")?).args(["resume", "main", "--config"]).arg(&cluster.config).output()?;
    assert!(resume.status.success(), "{resume:?}");
    wait::until("sales to go on", PATIENCE, async || {
        let (status, reason) = answer(&payer, &page, Amount::new(sold + 1)).await?;
        ensure!(status == 200, "{status} {reason}");
        Ok(())
    })
    .await?;
    let (failed, paid) = (traffic.failed(), traffic.fared(CHANGE).paid());
    traffic.stop().await?;
    assert!(failed.is_empty(), "on the other chain: {failed:?}");
    println!("on the other chain meanwhile: {paid} paid, 0 failed");
    Ok(())
}

fn place_of(cluster: &Cluster) -> String {
    format!("{}/page", cluster.url())
}

/// Waits until the watcher has moved the block that must not change up to where the reorganisation goes below it.
async fn until_followed(cluster: &Cluster) -> Result<()> {
    let (sql, head) = (crate::world::sql(cluster).await?, cluster.head().await?);
    wait::until("the anchor to move", PATIENCE, async || {
        let row = sql.query_one("SELECT anchor FROM cursors WHERE deployment = 'main'", &[]).await?;
        let anchor: i64 = row.get(0);
        ensure!(u64::try_from(anchor)? + 2 * DEPTH >= head, "it is at {anchor}, the head at {head}");
        Ok(())
    })
    .await
}
