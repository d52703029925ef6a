//! The chain is reorganised, and the watcher is killed in the middle of following it: another one ends what it began.

mod common;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::World;
use common::book::Book;
use common::watching::Setup;
use tempfile::TempDir;
use testkit::liar::{Liar, Lie};
use testkit::wait;

const PATIENCE: Duration = Duration::from_secs(20);
const DEPTH: u64 = 64;

/// Where the watcher is when it dies.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// It asks for the logs of the new blocks.
    Reading,
    /// In the transaction, before this table is written.
    Writing(&'static str),
    /// Blocks were taken back, and some of the new ones written.
    HalfWay,
}

const MOMENTS: [Moment; 5] = [
    Moment::Reading,
    Moment::Writing("events"),
    Moment::Writing("channels"),
    Moment::Writing("cursors"),
    Moment::HalfWay,
];

/// All that can happen to channels, over the last blocks; deep below them the contract, which stays.
async fn events(world: &mut World) -> Result<()> {
    world.chain.mine(DEPTH).await?;
    for payer in 2..6 {
        let opening = world.open(payer, 1_000).await?;
        world.chain.mine(DEPTH / 5).await?;
        world.top_up(payer, &opening, 5).await?;
        match payer {
            2 => world.withdraw(payer, &opening, 40).await?,
            3 => world.request_close(payer, &opening, 10).await?,
            4 => world.close_together(payer, &opening, 60).await?,
            _ => world.top_up(payer, &opening, 6).await?,
        };
    }
    Ok(())
}

async fn position(book: &Book) -> Result<i64> {
    book.ask("SELECT block FROM cursors").await
}

/// Reorganises the chain, and waits until the watcher is at this moment. What holds it there is let go when it is dead.
async fn until(moment: Moment, world: &mut World, book: &Book, liar: &Liar, holder: &Book) -> Result<()> {
    let before = position(book).await?;
    match moment {
        Moment::Reading => liar.tell("eth_getLogs", Lie::Hang),
        Moment::Writing(table) => holder.run(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")).await?,
        Moment::HalfWay => {}
    }
    let asked = liar.calls("eth_getLogs");
    world.reorg(DEPTH, &[]).await?;
    wait::until(&format!("{moment:?}"), PATIENCE, async || {
        let is_there = match moment {
            Moment::Reading => liar.calls("eth_getLogs") > asked,
            Moment::Writing(_) => book.ask("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").await?,
            Moment::HalfWay => position(book).await? < before,
        };
        ensure!(is_there, "it is not there yet");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_watcher_killed_in_the_middle_of_a_reorganisation_leaves_nothing_half_done() -> Result<()> {
    for (life, moment) in MOMENTS.into_iter().enumerate() {
        let mut world = World::new(4).await?;
        let (folder, book) = (TempDir::new()?, Book::new().await?);
        let holder = Book::open(book.url.clone()).await?;
        let liar = Liar::start(&world.chain.url()).await?;
        let setup = Setup { max_range: 4, lease_ms: 500, poll_ms: 20, rpc_timeout_ms: 5_000, ..Setup::default() };
        let target = [(&world.deployment.clone(), liar.url())];
        let mut watcher = setup.spawn(folder.path(), "killed", &book, &target)?;
        events(&mut world).await?;
        book.caught_up(&world.rpc).await?;
        until(moment, &mut world, &book, &liar, &holder).await.with_context(|| format!("moment {life}"))?;
        watcher.kill9()?;
        liar.be_honest();
        holder.run("ROLLBACK").await?;
        let _next = setup.spawn(folder.path(), "next", &book, &target)?;
        book.caught_up(&world.rpc).await?;
        let fresh = setup.fresh_sync(&world.rpc, &[world.target()]).await?;
        assert!(!fresh.is_empty());
        assert_eq!(book.dump().await?, fresh, "{moment:?}");
    }
    Ok(())
}
