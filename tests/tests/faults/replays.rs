//! Vouchers that are sent twice, out of order, or so late that others were first.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use channel::Amount;
use futures::future::{join_all, try_join_all};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use testkit::cut::Fault;
use testkit::history::{Ask, Told};
use testkit::rounds::{is_soak, rounds, seed};
use testkit::wait;
use tests::{ByHand, hear};

use crate::common::{PAGE, Scene, clean};

const CLIENTS: usize = 64;
/// Longer than a front sleeps.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what a front asks of PostgreSQL is under way.
const UNDER_WAY: Duration = Duration::from_millis(1_600);

/// Keeps every amount that a channel was ever authorised for.
const WITNESS: &str = "CREATE TABLE authorised_before (channel bytea, before numeric, after numeric);
    CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO authorised_before VALUES (NEW.channel, OLD.authorised, NEW.authorised); RETURN NEW; END $$;
    CREATE TRIGGER witness BEFORE UPDATE OF authorised ON epochs FOR EACH ROW EXECUTE FUNCTION witness()";

/// Asks one front, and notes what it is told.
async fn buy(scene: &Scene, payer: &ByHand, front: usize, request: &str, voucher: u128) -> Result<Told> {
    let (voucher, channel) = (Amount::new(voucher), payer.channel());
    let number = scene.history.asks(Ask { request: request.to_owned(), channel, voucher, price: Amount::new(1) });
    let url = format!("{}{PAGE}", scene.cluster.fronts[front].url());
    let asked = payer.pay(&url, voucher).header("Idempotency-Key", request).timeout(PATIENCE);
    let heard = hear(asked.send().await).await?;
    scene.history.hears(number, heard.told);
    Ok(heard.told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voucher_that_64_clients_race_at_three_fronts_is_sold_once_and_stays_sold_after_a_restart() -> Result<()> {
    let mut scene = Scene::new().await?;
    let payer = scene.payers[0].clone();
    let last = rounds(10, 500);
    for voucher in 1..=last {
        // Under names of their own in every second round, without in the others: then they are the same request.
        let name = |client: usize| if voucher % 2 == 0 { format!("{voucher}-{client}") } else { format!("{voucher}") };
        let race = (0..CLIENTS).map(async |client| buy(&scene, &payer, client % 3, &name(client), voucher).await);
        let told = try_join_all(race).await?;
        let sold = told.iter().filter(|told| **told == Told::Served).count();
        let refused = told.iter().filter(|told| **told == Told::Refused).count();
        ensure!((sold, refused) == (1, CLIENTS - 1), "voucher {voucher}: {told:?}");
    }
    for front in 0..3 {
        scene.cluster.fronts[front].kill9()?;
        scene.cluster.fronts[front].start_again()?;
        scene.cluster.fronts[front].ready().await?;
        let told = buy(&scene, &payer, front, &format!("after the restart of {front}"), last).await?;
        ensure!(told == Told::Refused, "sold again after a restart: {told:?}");
    }
    clean(&scene.verdict().await?.given_away_at_most(0))?;
    let calls = u128::from(scene.cluster.upstream_calls(Some(PAGE)).await?);
    ensure!(calls == last, "{calls} calls for {last} vouchers");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shuffled_vouchers_and_a_front_that_sleeps_only_raise_the_counters() -> Result<()> {
    let mut dice = StdRng::seed_from_u64(seed()?);
    let scene = Scene::new().await?;
    scene.cluster.postgres.execute("sluice", WITNESS).await?;
    shuffled(&scene, &mut dice).await?;
    asleep(&scene, UNDER_WAY / 2).await?;
    if is_soak() {
        asleep(&scene, Duration::from_secs(30)).await?;
    }
    let sql = scene.sql().await?;
    let fell = "SELECT count(*) FILTER (WHERE after < before), count(*) FROM authorised_before";
    let row = sql.query_one(fell, &[]).await?;
    let (fell, written): (i64, i64) = (row.get(0), row.get(1));
    println!("authorised was written {written} times and fell {fell} times");
    ensure!(fell == 0 && written > 0);
    clean(&scene.verdict().await?.given_away_at_most(0))
}

/// Each payer's vouchers arrive at once, in any order, at all fronts: with exact terms a voucher that comes before its turn
/// buys nothing, and one that comes after a higher one never will.
async fn shuffled(scene: &Scene, dice: &mut StdRng) -> Result<()> {
    for round in 0..rounds(5_u128, 200) {
        let mut batch = Vec::new();
        for (place, payer) in scene.payers.iter().enumerate().skip(1) {
            let next = recorded(scene, payer).await? + 1;
            batch.extend((next..next + 6).map(|voucher| (place, payer, voucher, dice.random_range(0..3))));
        }
        batch.shuffle(dice);
        let buying = batch.iter().map(|(place, payer, voucher, front)| {
            let name = format!("{place} {voucher} in round {round}");
            async move { buy(scene, payer, *front, &name, *voucher).await }
        });
        let told = join_all(buying).await.into_iter().collect::<Result<Vec<_>>>()?;
        ensure!(told.iter().all(|told| matches!(told, Told::Served | Told::Refused)), "{told:?}");
        ensure!(told.contains(&Told::Served), "nothing was sold");
    }
    Ok(())
}

/// A front verifies a voucher and falls asleep; another sells the same and the next. What the sleeper asks for when it
/// wakes up is refused. Where it sleeps so long that it has the row locked, PostgreSQL takes the lock from it.
async fn asleep(scene: &Scene, sleep: Duration) -> Result<()> {
    let (payer, sleeper) = (&scene.payers[0], &scene.cluster.fronts[0]);
    let next = recorded(scene, payer).await? + 1;
    // What it asks of PostgreSQL is under way for so long; before that, it sleeps.
    scene.links[0].set(Fault::Delay(UNDER_WAY));
    let late = buy(scene, payer, 0, "the sleeper's", next);
    let others = async {
        tokio::time::sleep(UNDER_WAY / 8).await;
        sleeper.process()?.pause()?;
        let asleep = scene.history.nemesis("front 0 sleeps");
        until_sold(scene, payer, 1, next).await?;
        until_sold(scene, payer, 2, next + 1).await?;
        tokio::time::sleep(sleep.saturating_sub(scene.history.now() - asleep)).await;
        scene.links[0].set(Fault::None);
        sleeper.process()?.resume()?;
        scene.history.nemesis("front 0 wakes up");
        anyhow::Ok(())
    };
    let (late, others) = tokio::join!(late, others);
    others?;
    let late = late?;
    println!("           it slept for {sleep:?}; the late voucher was {late:?}");
    ensure!(late == Told::Refused || sleep > UNDER_WAY && late == Told::Failed, "the late one was {late:?}");
    until_sold(scene, payer, 0, next + 2).await
}

async fn until_sold(scene: &Scene, payer: &ByHand, front: usize, voucher: u128) -> Result<()> {
    wait::until("the voucher to be sold", Duration::from_secs(20), async || {
        let told = buy(scene, payer, front, &format!("{voucher} at {front}"), voucher).await?;
        ensure!(told == Told::Served, "{told:?}");
        Ok(())
    })
    .await
}

async fn recorded(scene: &Scene, payer: &ByHand) -> Result<u128> {
    let sql = scene.sql().await?;
    let authorised = "SELECT authorised::text FROM epochs WHERE channel = $1";
    let row = sql.query_one(authorised, &[&payer.channel().0.as_slice()]).await?;
    row.get::<_, &str>(0).parse().context("no amount")
}
