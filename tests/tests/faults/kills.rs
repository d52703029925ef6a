//! `kill -9`, cuts and unwritable rows: what was acknowledged stays, and nothing is called that is not recorded.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::StatusCode;
use testkit::cut::Fault;
use testkit::history::{Event, Told};
use testkit::rounds::{rounds, seed};
use testkit::wait;

use crate::common::{Scene, clean};

/// How long payers pay between two blows.
const BETWEEN: Duration = Duration::from_millis(700);
/// How soon somebody is served again once what was struck is back.
const RECOVERY: Duration = Duration::from_secs(5);
/// The most bytes that pass before a cut.
const BYTES: usize = 30_000;

/// Looks at each sale that is written, and at first lets it pass.
const EACH_ROW: &str = "CREATE SEQUENCE rows_seen;
    CREATE FUNCTION each_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    CREATE TRIGGER each_row BEFORE INSERT ON holds FOR EACH ROW EXECUTE FUNCTION each_row()";
/// Makes each seventh one that cannot be written.
const EACH_SEVENTH: &str = "CREATE OR REPLACE FUNCTION each_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF nextval('rows_seen') % 7 = 0 THEN RAISE EXCEPTION 'the seventh row'; END IF; RETURN NEW; END $$";
/// And none again.
const NONE: &str = "CREATE OR REPLACE FUNCTION each_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RETURN NEW; END $$";

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_payment_is_lost_when_postgresql_is_killed_or_cut_off_or_cannot_write() -> Result<()> {
    let mut dice = StdRng::seed_from_u64(seed()?);
    let mut scene = Scene::new().await?;
    scene.cluster.postgres.execute("sluice", EACH_ROW).await?;
    let load = scene.load();
    let mut away = Vec::new();
    for kill in 1..=rounds(4, 20) {
        tokio::time::sleep(BETWEEN).await;
        let killed = scene.history.nemesis(&format!("kill -9 of PostgreSQL, {kill}"));
        scene.cluster.postgres.kill9()?;
        scene.cluster.postgres.start_again().await?;
        let back = scene.history.nemesis("it is back");
        let first = scene.served_within(back, RECOVERY).await?;
        println!("           away for {:?}, the first served after {first:?}", back - killed);
        away.push(killed..back + RECOVERY);
    }
    only_then(&scene, &away)?;
    for _ in 0..rounds(10, 200) {
        let front = dice.random_range(0..scene.links.len());
        let bytes = dice.random_range(1..BYTES);
        let fault = if dice.random() { Fault::AfterSent(bytes) } else { Fault::AfterReceived(bytes) };
        cut(&scene, front, fault).await?;
    }
    cannot_write(&scene).await?;
    load.stop().await?;
    clean(&scene.verdict().await?.given_away_at_most(0))?;
    // The wallet has survived it too.
    for payer in &scene.payers {
        let (ledger, url) = (scene.books().await?, scene.cluster.url());
        let account = ledger.accounts.iter().find(|account| account.channel == payer.channel());
        let answer = payer.ask_to_close(&url, account.context("it is known")?.spent).send().await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.text().await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_that_is_killed_gives_away_at_most_what_it_held() -> Result<()> {
    let mut scene = Scene::new().await?;
    let load = scene.load();
    let sql = scene.sql().await?;
    let mut held = 0;
    for kill in 0..rounds(2, 20) * scene.links.len() {
        tokio::time::sleep(BETWEEN).await;
        let front = kill % scene.links.len();
        let killed = scene.history.nemesis(&format!("kill -9 of front {front}"));
        scene.cluster.fronts[front].kill9()?;
        let open: i64 = sql.query_one("SELECT count(*) FROM holds WHERE state = 'held'", &[]).await?.get(0);
        held += usize::try_from(open)?;
        scene.served_within(killed, RECOVERY).await?;
        scene.cluster.fronts[front].start_again()?;
        scene.cluster.fronts[front].ready().await?;
    }
    load.stop().await?;
    let verdict = scene.verdict().await?.given_away_at_most(held);
    println!("held at the kills: {held}; served and not charged: {}", verdict.given_away);
    clean(&verdict)
}

/// Nobody hears of trouble of ours but while PostgreSQL is away.
fn only_then(scene: &Scene, away: &[Range<Duration>]) -> Result<()> {
    for (at, event) in scene.history.lines() {
        let is_trouble = matches!(event, Event::Hears { told: Told::Failed | Told::Unknown, .. });
        let is_away = away.iter().any(|away| away.contains(&at));
        ensure!(!is_trouble || is_away, "{event:?} at {at:?}, but PostgreSQL was away at {away:?}");
    }
    Ok(())
}

/// Cuts one of a front's connections to PostgreSQL, and waits until somebody is served again.
async fn cut(scene: &Scene, front: usize, fault: Fault) -> Result<()> {
    let (link, what) = (&scene.links[front], format!("front {front} loses PostgreSQL, {fault:?}"));
    let before = link.cuts();
    link.once(fault);
    wait::until("the cut", RECOVERY, async || {
        ensure!(link.cuts() > before, "there was none");
        Ok(())
    })
    .await?;
    let at = scene.history.nemesis(&what);
    scene.served_within(at, RECOVERY).await.map(drop)
}

/// A request whose row cannot be written is 503 and makes no call; those beside it are served.
async fn cannot_write(scene: &Scene) -> Result<()> {
    let failed = scene.history.count(Told::Failed);
    scene.cluster.postgres.execute("sluice", EACH_SEVENTH).await?;
    let since = scene.history.nemesis("each seventh sale cannot be written");
    tokio::time::sleep(BETWEEN).await;
    scene.cluster.postgres.execute("sluice", NONE).await?;
    let until = scene.history.nemesis("each can be written again");
    let (failed, served) = (scene.history.count(Told::Failed) - failed, scene.history.took(Told::Served, since, until));
    println!("           {failed} failed, {} served meanwhile", served.len());
    ensure!(failed > 0 && !served.is_empty());
    scene.served_within(until, RECOVERY).await.map(drop)
}
