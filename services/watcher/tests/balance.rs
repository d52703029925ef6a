//! What the payee has outside of channels is kept for who asks the fronts.

mod common;

use std::time::{Duration, SystemTime};

use alloy_primitives::U256;
use anyhow::{Context, Result, ensure};
use channel::Amount;
use common::book::Book;
use common::watching::Setup;
use common::{PAYEE, World, key};
use contracts::token;
use testkit::wait;

const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the ledger has this balance; when it was seen.
async fn becomes(book: &Book, units: u128) -> Result<SystemTime> {
    wait::until("the balance", PATIENCE, async || {
        let (balance, seen_at) = book.ledger.balance("main").await?.context("no balance yet")?;
        ensure!(balance == Amount::new(units), "it is {balance}");
        Ok(seen_at)
    })
    .await
}

#[tokio::test]
async fn the_payee_s_own_tokens_are_counted_again_and_again() -> Result<()> {
    let mut world = World::new(1).await?;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[world.target()])?;
    becomes(&book, 0).await?;
    let (payee, coin) = (key(PAYEE).address(), world.deployment.token);
    world.send(0, coin, token::transfer(payee, U256::from(77))).await?;
    becomes(&book, 77).await?;
    // What is in channels is not the payee's own until it is claimed.
    let opening = world.open(2, 50).await?;
    becomes(&book, 77).await?;
    world.withdraw(2, &opening, 30).await?;
    becomes(&book, 107).await?;
    watching.stop().await
}

#[tokio::test]
async fn while_the_node_is_away_the_balance_keeps_its_age() -> Result<()> {
    let world = World::new(1).await?;
    let book = Book::new().await?;
    let watching = Setup { rpc_timeout_ms: 300, ..Setup::default() }.watch(&book, &[world.target()])?;
    becomes(&book, 0).await?;
    world.chain.process()?.pause()?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let seen = becomes(&book, 0).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(becomes(&book, 0).await?, seen);
    world.chain.process()?.resume()?;
    wait::until("a newer look", PATIENCE, async || {
        ensure!(becomes(&book, 0).await? > seen, "still the old one");
        Ok(())
    })
    .await?;
    watching.stop().await
}
