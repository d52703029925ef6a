//! The primary dies under load, its standby takes over, and everybody is pointed there.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::cut::{Cut, Fault};
use testkit::history::{Verdict, check};
use testkit::rounds::rounds;
use testkit::wait;

use crate::common::{Scene, clean};

const STANDBY: &str = "second";
/// How long payers pay before and after.
const LOAD: Duration = Duration::from_millis(1_500);
/// How long the link to the standby is dead before the primary is: what an asynchronous standby then lacks.
const UNSEEN: Duration = Duration::from_millis(300);
/// How long nothing may be sold at most.
const OUTAGE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standby {
    Synchronous,
    Asynchronous,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_standby_takes_over_with_every_acknowledged_payment() -> Result<()> {
    for _ in 0..rounds(1, 5) {
        clean(&fail_over(Standby::Synchronous).await?)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_standby_loses_acknowledged_payments_and_the_checker_says_so() -> Result<()> {
    let verdict = fail_over(Standby::Asynchronous).await?;
    let lost = |rule: &str| verdict.violations.iter().filter(|violation| violation.contains(rule)).count();
    let (requests, calls) = (lost("acknowledged and lost"), lost("called for nothing recorded"));
    println!("control: {requests} acknowledged and lost, {calls} called for nothing recorded");
    ensure!(requests > 0 && calls > 0, "the control lost nothing: {verdict}");
    Ok(())
}

async fn fail_over(standby: Standby) -> Result<Verdict> {
    let mut scene = Scene::new().await?;
    let primary = scene.cluster.postgres.port();
    let link = Cut::start(([127, 0, 0, 1], primary).into()).await?;
    let second = scene.cluster.postgres.standby(STANDBY, link.address().port()).await?;
    if standby == Standby::Synchronous {
        scene.cluster.postgres.wait_for_standbys(&[STANDBY]).await?;
    }
    wait::until("the standby to follow", Duration::from_secs(10), async || {
        let streaming = "DO $$ BEGIN ASSERT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming'); END $$";
        scene.cluster.postgres.execute("postgres", streaming).await
    })
    .await?;

    let load = scene.load();
    tokio::time::sleep(LOAD).await;
    link.set(Fault::Blackhole);
    tokio::time::sleep(UNSEEN).await;
    let died = scene.history.nemesis("kill -9 of the primary");
    scene.cluster.postgres.kill9()?;
    second.promote().await?;
    for way in scene.links.iter().chain([&scene.background]) {
        way.point_at(([127, 0, 0, 1], second.port()).into());
        way.cut_all();
    }
    let promoted = scene.history.nemesis("its standby is promoted, and everybody pointed there");
    let first = died + scene.served_within(promoted, OUTAGE).await? + (promoted - died);
    // The link was dead before: a synchronous primary acknowledged nothing since.
    let outage = first - died + UNSEEN;
    println!("           promoted after {:?}; nothing was sold for {outage:?} at most", promoted - died);
    ensure!(outage <= OUTAGE, "nothing was sold for {outage:?}");
    tokio::time::sleep(LOAD).await;
    load.stop().await?;
    let ledger = scene.cluster.database.replace(&format!(":{primary}/"), &format!(":{}/", second.port()));
    let books = scene.books_at(&ledger).await?;
    Ok(check(&scene.history.lines(), &books))
}
