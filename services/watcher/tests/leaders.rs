//! Several watchers, one of them active.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::World;
use common::book::Book;
use common::watching::Setup;
use testkit::process::Process;

const LEASE: Duration = Duration::from_secs(2);

fn setup() -> Setup {
    Setup { lease_ms: 1_000 * LEASE.as_secs(), ..Setup::default() }
}

async fn holder(book: &Book) -> Result<String> {
    let holder: Option<String> =
        book.ask("SELECT (SELECT holder FROM leases WHERE name = 'watch:61' AND expires_at > now())").await?;
    holder.context("nobody is active")
}

async fn new_holder(book: &Book, old: &str, within: Duration) -> Result<(String, Duration)> {
    let start = Instant::now();
    let new = testkit::wait::until("another watcher to take over", within, async || {
        let now = holder(book).await?;
        ensure!(now != old, "still the old one");
        Ok(now)
    });
    Ok((new.await?, start.elapsed()))
}

/// Two watchers, the first of them active.
async fn two(folder: &Path, book: &Book, world: &World) -> Result<(Process, Process, String)> {
    let first = setup().spawn(folder, "first", book, &[world.target()])?;
    let active =
        testkit::wait::until("the first watcher", Duration::from_secs(10), async || holder(book).await).await?;
    let second = setup().spawn(folder, "second", book, &[world.target()])?;
    book.caught_up(&world.rpc).await?;
    tokio::time::sleep(LEASE).await;
    assert_eq!(holder(book).await?, active, "the second took over without need");
    Ok((first, second, active))
}

#[tokio::test]
async fn the_second_takes_over_when_the_first_is_killed() -> Result<()> {
    let mut world = World::new(2).await?;
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let (mut first, _second, active) = two(folder.path(), &book, &world).await?;
    first.kill9()?;
    let (_, took) = new_holder(&book, &active, LEASE * 3).await?;
    assert!(took <= LEASE + LEASE / 2, "took {took:?}");
    world.open(2, 100).await?;
    book.caught_up(&world.rpc).await?;
    assert_eq!(book.dump().await?, setup().fresh_sync(&world.rpc, &[world.target()]).await?);
    Ok(())
}

#[tokio::test]
async fn the_second_takes_over_at_once_when_the_first_is_asked_to_end() -> Result<()> {
    let world = World::new(1).await?;
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let (mut first, _second, active) = two(folder.path(), &book, &world).await?;
    let ended = first.stop(Duration::from_secs(5)).await?;
    assert!(ended < Duration::from_secs(2), "took {ended:?} to end");
    let (_, took) = new_holder(&book, &active, LEASE).await?;
    assert!(took < LEASE / 2, "took {took:?} to take over");
    Ok(())
}

#[tokio::test]
async fn a_leader_that_was_paused_too_long_does_no_harm_when_it_wakes() -> Result<()> {
    let mut world = World::new(3).await?;
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let (first, mut second, active) = two(folder.path(), &book, &world).await?;
    for round in 0..3 {
        first.pause()?;
        let (new, _) = new_holder(&book, &active, LEASE * 3).await?;
        world.open(2, 100 + round).await?;
        world.reorg(1, &[]).await?;
        world.open(3, 100 + round).await?;
        book.caught_up(&world.rpc).await?;
        first.resume()?;
        for _ in 0..10 {
            world.open(4, 5 + round).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        book.caught_up(&world.rpc).await?;
        assert_eq!(holder(&book).await?, new, "the old leader took the lease back");
        assert_eq!(book.dump().await?, setup().fresh_sync(&world.rpc, &[world.target()]).await?);
        // The first leads again, for the next round.
        second.stop(Duration::from_secs(5)).await?;
        assert_eq!(new_holder(&book, &new, LEASE * 3).await?.0, active);
        second = setup().spawn(folder.path(), "second", &book, &[world.target()])?;
    }
    Ok(())
}
