//! The chain changes its mind.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256};
use anyhow::{Result, ensure};
use channel::{Amount, Refusal, Request, RequestHash, Status, Terms, Voucher};
use common::World;
use common::book::Book;
use common::watching::Setup;
use contracts::Opening;
use ledger::{Order, When};

/// How long the watcher may take to follow any of these.
const FOLLOWED: Duration = Duration::from_secs(10);

/// Four channels deep in the past, for things to happen to.
async fn old_channels(world: &mut World, depth: u64) -> Result<Vec<Opening>> {
    let mut openings = Vec::new();
    for payer in 2..6 {
        openings.push(world.open(payer, 1_000).await?);
    }
    world.chain.mine(depth + 2).await?;
    Ok(openings)
}

/// In one block: an open, a top-up, a close request, a claim and a close; then blocks until all of it is `depth` deep.
async fn happenings(world: &mut World, old: &[Opening], depth: u64) -> Result<Vec<B256>> {
    world.chain.set_automine(false).await?;
    let new = vec![
        world.submit_open(6, 500).await?,
        world.submit_top_up(2, &old[0], 70).await?,
        world.submit_request_close(3, &old[1], 10).await?,
        world.submit_withdraw(4, &old[2], 40).await?,
        world.submit_close_together(5, &old[3], 60).await?,
    ];
    world.chain.mine(1).await?;
    world.chain.set_automine(true).await?;
    for hash in &new {
        world.mined(*hash).await?;
    }
    world.chain.mine(depth - 1).await?;
    Ok(new)
}

async fn a_reorganisation_leaves_what_a_fresh_sync_would(depth: u64) -> Result<()> {
    let mut world = World::new(5).await?;
    let book = Book::new().await?;
    let setup = Setup::default();
    let watching = setup.watch(&book, &[world.target()])?;
    // What happened is gone; is all moved to the last of the new blocks; is half gone.
    for left in [0, 5, 2] {
        let old = old_channels(&mut world, depth).await?;
        let happened = happenings(&mut world, &old, depth).await?;
        book.caught_up(&world.rpc).await?;
        let events: i64 = book.ask("SELECT count(*) FROM events WHERE NOT orphaned").await?;
        let again: Vec<(B256, u64)> = happened.iter().take(left).map(|hash| (*hash, depth - 1)).collect();
        world.reorg(depth, &again).await?;
        let reorganised = Instant::now();
        book.caught_up(&world.rpc).await?;
        let took = reorganised.elapsed();
        println!("depth {depth}, {left} of 5 events again: followed in {took:?}");
        assert!(took < FOLLOWED, "depth {depth} took {took:?}");
        let left = i64::try_from(left)?;
        assert_eq!(book.ask::<i64>("SELECT count(*) FROM events WHERE NOT orphaned").await?, events - 5 + left);
        assert_eq!(book.dump().await?, setup.fresh_sync(&world.rpc, &[world.target()]).await?, "depth {depth}");
    }
    watching.stop().await
}

#[tokio::test]
async fn a_reorganisation_of_1_block_leaves_what_a_fresh_sync_would() -> Result<()> {
    a_reorganisation_leaves_what_a_fresh_sync_would(1).await
}

#[tokio::test]
async fn a_reorganisation_of_2_blocks_leaves_what_a_fresh_sync_would() -> Result<()> {
    a_reorganisation_leaves_what_a_fresh_sync_would(2).await
}

#[tokio::test]
async fn a_reorganisation_of_7_blocks_leaves_what_a_fresh_sync_would() -> Result<()> {
    a_reorganisation_leaves_what_a_fresh_sync_would(7).await
}

#[tokio::test]
async fn a_reorganisation_of_64_blocks_leaves_what_a_fresh_sync_would() -> Result<()> {
    a_reorganisation_leaves_what_a_fresh_sync_would(64).await
}

#[tokio::test]
async fn reorganisations_one_after_the_other_and_during_the_first_sync_are_followed() -> Result<()> {
    let mut world = World::new(5).await?;
    let old = old_channels(&mut world, 20).await?;
    happenings(&mut world, &old, 12).await?;
    let book = Book::new().await?;
    let setup = Setup { max_range: 3, ..Setup::default() };
    let watching = setup.watch(&book, &[world.target()])?;
    for depth in [3, 1, 12, 5] {
        tokio::time::sleep(Duration::from_millis(60)).await;
        world.reorg(depth, &[]).await?;
        world.chain.mine(2).await?;
    }
    book.caught_up(&world.rpc).await?;
    assert_eq!(book.dump().await?, setup.fresh_sync(&world.rpc, &[world.target()]).await?);
    watching.stop().await
}

fn order(world: &World, payer: usize, opening: &Opening, amount: u64, price: u64) -> Result<Order> {
    let signature = world.voucher(payer, opening, amount);
    let digest = world.contract().digest(&world.deployment, opening, Amount::new(amount.into()));
    let voucher = Voucher { channel: world.channel(opening), epoch: 0, amount: Amount::new(amount.into()), signature };
    Ok(Order {
        deployment: Arc::from("main"),
        route: Arc::from("goods"),
        voucher: voucher.verify(digest, opening.payer)?,
        price: Amount::new(price.into()),
        terms: Terms::default(),
        request: Request { id: None, hash: RequestHash(B256::repeat_byte(1)) },
        settle: When::Now,
    })
}

#[tokio::test]
async fn a_deposit_reorganised_away_under_a_voucher_stops_sales_on_that_channel_and_nothing_else() -> Result<()> {
    let mut world = World::new(3).await?;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[world.target()])?;
    let (topped_up, other) = (world.open(2, 100).await?, world.open(3, 100).await?);
    world.chain.mine(3).await?;
    world.top_up(2, &topped_up, 50).await?;
    let gone = world.open(4, 100).await?;
    world.chain.mine(1).await?;
    book.caught_up(&world.rpc).await?;
    for (payer, opening, amount) in [(2, &topped_up, 120), (3, &other, 20), (4, &gone, 20)] {
        let sold = book.ledger.sell(order(&world, payer, opening, amount, amount)?).await?;
        assert!(sold.is_ok(), "{sold:?}");
    }

    world.reorg(3, &[]).await?;
    book.caught_up(&world.rpc).await?;
    let refused = |sold: Result<ledger::Receipt, ledger::Refused>| sold.unwrap_err().refusal;
    let refusal = refused(book.ledger.sell(order(&world, 2, &topped_up, 125, 5)?).await?);
    assert!(matches!(refusal, Refusal::OverDeposit { deposit, .. } if deposit == Amount::new(100)), "{refusal:?}");
    let refusal = refused(book.ledger.sell(order(&world, 4, &gone, 25, 5)?).await?);
    assert!(matches!(refusal, Refusal::Unknown), "{refusal:?}");
    let sold = book.ledger.sell(order(&world, 3, &other, 25, 5)?).await?;
    assert!(sold.is_ok(), "{sold:?}");

    // The watcher goes on, and so does the channel once there is enough again.
    assert!(watching.is_alive());
    world.top_up(2, &topped_up, 60).await?;
    world.chain.mine(1).await?;
    book.caught_up(&world.rpc).await?;
    let sold = book.ledger.sell(order(&world, 2, &topped_up, 125, 5)?).await?;
    assert!(sold.is_ok(), "{sold:?}");
    watching.stop().await
}

#[tokio::test]
async fn what_is_older_than_the_first_block_to_read_stays_unread_when_blocks_are_read_again() -> Result<()> {
    let mut world = World::new(3).await?;
    world.open(2, 100).await?;
    world.deployment.from_block = world.rpc.head().await?.number + 1;
    let (book, setup) = (Book::new().await?, Setup::default());
    let watching = setup.watch(&book, &[world.target()])?;
    world.open(3, 100).await?;
    world.open(4, 100).await?;
    book.caught_up(&world.rpc).await?;
    world.reorg(1, &[]).await?;
    book.caught_up(&world.rpc).await?;
    assert_eq!(book.ask::<i64>("SELECT count(*) FROM channels WHERE status <> 'absent'").await?, 1);
    assert_eq!(book.dump().await?, setup.fresh_sync(&world.rpc, &[world.target()]).await?);
    watching.stop().await
}

#[tokio::test]
async fn a_close_that_is_reorganised_away_opens_the_channel_again() -> Result<()> {
    let mut world = World::new(1).await?;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[world.target()])?;
    let opening = world.open(2, 100).await?;
    world.chain.mine(2).await?;
    world.request_close(2, &opening, 0).await?;
    book.caught_up(&world.rpc).await?;
    assert!(matches!(book.facts(world.channel(&opening)).await?.status, Status::Closing { .. }));
    world.reorg(1, &[]).await?;
    book.caught_up(&world.rpc).await?;
    assert_eq!(book.facts(world.channel(&opening)).await?.status, Status::Open);
    watching.stop().await
}

#[tokio::test]
async fn a_reorganisation_below_the_bound_halts_that_deployment_and_no_other() -> Result<()> {
    let (mut world, mut other) = (World::new(1).await?, World::new(1).await?);
    other.deployment.name = "other".to_owned();
    other.deployment.payee = Address::repeat_byte(9);
    let book = Book::new().await?;
    let setup = Setup { reorg_depth: 8, ..Setup::default() };
    let watching = setup.watch(&book, &[world.target(), other.target()])?;
    let opening = world.open(2, 100).await?;
    world.chain.mine(40).await?;
    book.caught_up(&world.rpc).await?;
    assert!(book.safe_until().await?.is_some());
    let sold = book.ledger.sell(order(&world, 2, &opening, 5, 5)?).await?;
    assert!(sold.is_ok(), "{sold:?}");

    world.reorg(30, &[]).await?;
    let halted = async || {
        let reason: Option<String> = book.ask("SELECT halted FROM cursors WHERE deployment = 'main'").await?;
        ensure!(reason.is_some(), "not halted");
        Ok(())
    };
    testkit::wait::until("the halt", Duration::from_secs(5), halted).await?;
    assert_eq!(book.safe_until().await?, None);
    let refused = book.ledger.sell(order(&world, 2, &opening, 10, 5)?).await?.unwrap_err();
    assert!(matches!(refused.refusal, Refusal::Stale), "{refused:?}");

    let opening = other.open(2, 77).await?;
    other.chain.mine(1).await?;
    book.caught_up_with("other", &other.rpc).await?;
    assert_eq!(book.facts(other.channel(&opening)).await?.deposit, Amount::new(77));

    // Another watcher respects it, and so does the next start.
    watching.stop().await?;
    let watching = setup.watch(&book, &[world.target(), other.target()])?;
    other.chain.mine(1).await?;
    book.caught_up_with("other", &other.rpc).await?;
    assert_eq!(book.safe_until().await?, None);

    // Until a person has looked: then everything is read anew.
    assert!(book.ledger.resume("main").await?);
    assert!(!book.ledger.resume("other").await?, "it was not halted");
    book.caught_up(&world.rpc).await?;
    assert!(book.safe_until().await?.is_some());
    watching.stop().await?;
    let fresh = Book::new().await?;
    let watching = setup.watch(&fresh, &[world.target()])?;
    fresh.caught_up(&world.rpc).await?;
    assert_eq!(book.ledger.dump("main").await?, fresh.ledger.dump("main").await?);
    watching.stop().await
}

#[tokio::test]
async fn a_bound_that_is_reached_exactly_is_still_followed() -> Result<()> {
    let mut world = World::new(2).await?;
    let book = Book::new().await?;
    let setup = Setup { reorg_depth: 8, ..Setup::default() };
    let watching = setup.watch(&book, &[world.target()])?;
    world.open(2, 100).await?;
    world.chain.mine(40).await?;
    for _ in 0..5 {
        world.open(3, 50).await?;
        world.chain.mine(7).await?;
        book.caught_up(&world.rpc).await?;
        world.reorg(8, &[]).await?;
        book.caught_up(&world.rpc).await?;
    }
    assert_eq!(book.dump().await?, setup.fresh_sync(&world.rpc, &[world.target()]).await?);
    watching.stop().await
}
