//! Fronts may sell for as long as no close can have settled unseen.

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use common::book::Book;
use common::watching::Setup;
use common::{CHALLENGE_PERIOD, World};
use serde_json::json;
use testkit::anvil::Options;

/// The configuration's default.
const BUDGET: i64 = 120;

async fn safe_until(book: &Book) -> Result<i64> {
    testkit::wait::until("the first sync", Duration::from_secs(10), async || {
        book.safe_until().await?.context("nothing is safe yet")
    })
    .await
}

#[tokio::test]
async fn the_time_moves_with_the_head_and_stops_with_it() -> Result<()> {
    let world = World::with(1, Options { block_time: Some(1), ..Options::default() }).await?;
    let book = Book::new().await?;
    let setup = Setup { rpc_timeout_ms: 500, ..Setup::default() };
    let watching = setup.watch(&book, &[world.target()])?;
    let first = safe_until(&book).await?;
    let later = async || {
        let now = safe_until(&book).await?;
        ensure!(now >= first + 2, "{now} is not later than {first}");
        Ok(now)
    };
    testkit::wait::until("the time to move", Duration::from_secs(10), later).await?;

    world.chain.process()?.pause()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stalled = safe_until(&book).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(safe_until(&book).await?, stalled);
    world.chain.process()?.resume()?;
    let later = async || {
        ensure!(safe_until(&book).await? > stalled, "still stalled");
        Ok(())
    };
    testkit::wait::until("the time to move again", Duration::from_secs(10), later).await?;
    watching.stop().await
}

#[tokio::test]
async fn the_time_is_the_heads_plus_the_window_less_the_budget() -> Result<()> {
    let world = World::new(1).await?;
    let book = Book::new().await?;
    let setup = Setup { fastest_block_s: 3, ..Setup::default() };
    let watching = setup.watch(&book, &[world.target()])?;
    book.caught_up(&world.rpc).await?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let head = i64::try_from(world.rpc.head().await?.time)?;
    let expected = head.min(now) + 3 * i64::from(CHALLENGE_PERIOD) - BUDGET;
    let got = safe_until(&book).await?;
    // The watcher saw the head a moment before we look at the clock.
    assert!((expected - 20..=expected).contains(&got), "{got}, expected {expected}");
    watching.stop().await
}

#[tokio::test]
async fn while_old_blocks_are_read_nothing_is_safer_than_those_blocks() -> Result<()> {
    // A chain of twenty days, its last blocks made now.
    let days = 20 * 24 * 60 * 60;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let world = World::with(1, Options { genesis_time: Some(now - days), ..Options::default() }).await?;
    world.chain.rpc("anvil_mine", json!([200, 60])).await?;
    world.chain.rpc("evm_increaseTime", json!([days - 200 * 60 - 60])).await?;
    world.chain.mine(30).await?;
    let head = i64::try_from(world.rpc.head().await?.time)?;
    assert!((head - i64::try_from(now)?).abs() < 300, "the test itself does not work");
    let book = Book::new().await?;
    let watching = Setup { max_range: 10, ..Setup::default() }.watch(&book, &[world.target()])?;
    let mut seen = Vec::new();
    loop {
        let row: Option<i64> = book
            .ask(
                "SELECT (SELECT extract(epoch FROM d.safe_until - c.block_time)::bigint
                 FROM deployments d JOIN cursors c ON c.deployment = d.id)",
            )
            .await?;
        seen.extend(row);
        let head = i64::try_from(world.rpc.head().await?.number)?;
        let block: Option<i64> = book.ask("SELECT (SELECT block FROM cursors)").await?;
        if block == Some(head) {
            break;
        }
    }
    let window = i64::from(CHALLENGE_PERIOD) - BUDGET;
    assert!(seen.len() > 1, "the sync was too fast to watch");
    assert!(seen.iter().all(|ahead| *ahead <= window), "{seen:?} against {window}");
    assert!(safe_until(&book).await? > head, "in the end it is safe to sell");
    watching.stop().await
}

#[tokio::test]
async fn selling_that_has_stopped_begins_again_only_when_all_is_read() -> Result<()> {
    // All blocks are young: each of them alone would do to sell by.
    let world = World::new(1).await?;
    world.chain.mine(100).await?;
    let book = Book::new().await?;
    book.run(
        "CREATE TABLE told (block bigint, sells boolean);
         CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO told SELECT c.block, NEW.safe_until > now() FROM cursors c WHERE c.deployment = NEW.id;
             RETURN NEW;
         END $$;
         CREATE TRIGGER tell AFTER UPDATE OF safe_until ON deployments FOR EACH ROW EXECUTE FUNCTION tell()",
    )
    .await?;
    let setup = Setup { max_range: 10, ..Setup::default() };
    let watching = setup.watch(&book, &[world.target()])?;
    book.caught_up(&world.rpc).await?;
    let head = i64::try_from(world.rpc.head().await?.number)?;
    let early: i64 = book.ask(&format!("SELECT count(*) FROM told WHERE sells AND block < {head}")).await?;
    let steps: i64 = book.ask("SELECT count(*) FROM told").await?;
    assert!(early == 0 && steps >= 6, "{early} of {steps} steps let fronts sell");
    assert!(book.ask::<bool>("SELECT bool_or(sells) FROM told").await?, "in the end it is safe to sell");

    // What goes on is not stopped by a chain that is faster than we read.
    world.chain.mine(60).await?;
    book.caught_up(&world.rpc).await?;
    let stopped: i64 = book.ask(&format!("SELECT count(*) FROM told WHERE NOT sells AND block > {head}")).await?;
    assert_eq!(stopped, 0);
    watching.stop().await
}
