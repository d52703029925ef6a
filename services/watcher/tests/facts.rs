//! What happens on chain becomes facts.

mod common;

use std::time::Duration;

use alloy_primitives::{Address, U256, hex};
use anyhow::Result;
use channel::{Amount, Deadline, Facts, Status};
use common::book::Book;
use common::watching::Setup;
use common::{CHALLENGE_PERIOD, PAYEE, World, key};
use contracts::raiden::abi;
use contracts::{SolEvent, raiden, token};
use ledger::{JobKind, NewJob};
use serde_json::json;

fn open(deposit: u128, claimed: u128) -> Facts {
    Facts {
        confirmed: true,
        deposit: Amount::new(deposit),
        claimed: Amount::new(claimed),
        status: Status::Open,
        ..Facts::default()
    }
}

/// Everything that can happen to a channel, on four of them. Returns them in this order: open, closing, closed, settled.
async fn live(world: &mut World) -> Result<Vec<contracts::Opening>> {
    let mut openings = Vec::new();
    for payer in 2..6 {
        openings.push(world.open(payer, 100 * payer as u64).await?);
    }
    world.top_up(2, &openings[0], 50).await?;
    world.withdraw(2, &openings[0], 30).await?;
    world.withdraw(2, &openings[0], 45).await?;
    world.close_together(4, &openings[2], 77).await?;
    world.request_close(5, &openings[3], 9).await?;
    world.chain.mine(u64::from(CHALLENGE_PERIOD) + 1).await?;
    world.settle(5, &openings[3]).await?;
    world.request_close(3, &openings[1], 10).await?;
    world.chain.mine(3).await?;
    Ok(openings)
}

async fn assert_lived(book: &Book, world: &World, openings: &[contracts::Opening]) -> Result<()> {
    let requested_in: i64 = book.ask("SELECT max(block) FROM events WHERE kind = 'close_requested'").await?;
    let deadline = Deadline::Block(u64::try_from(requested_in)? + u64::from(CHALLENGE_PERIOD));
    let expected = [
        open(250, 45),
        Facts { status: Status::Closing { requested: Amount::new(10), deadline }, ..open(300, 0) },
        Facts { status: Status::Closed, ..open(400, 77) },
        Facts { status: Status::Closed, ..open(500, 9) },
    ];
    for (opening, expected) in openings.iter().zip(expected) {
        assert_eq!(book.facts(world.channel(opening)).await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn everything_that_happened_before_the_watcher_started_becomes_facts() -> Result<()> {
    let mut world = World::new(4).await?;
    let openings = live(&mut world).await?;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[world.target()])?;
    book.caught_up(&world.rpc).await?;
    assert_lived(&book, &world, &openings).await?;
    watching.stop().await
}

#[tokio::test]
async fn everything_that_happens_while_it_watches_becomes_the_same_facts() -> Result<()> {
    let mut world = World::new(4).await?;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[world.target()])?;
    book.caught_up(&world.rpc).await?;
    let openings = live(&mut world).await?;
    book.caught_up(&world.rpc).await?;
    assert_lived(&book, &world, &openings).await?;
    assert_eq!(book.dump().await?, Setup::default().fresh_sync(&world.rpc, &[world.target()]).await?);
    watching.stop().await
}

#[tokio::test]
async fn money_counts_when_it_is_deep_enough_and_a_close_at_once() -> Result<()> {
    let mut world = World::new(1).await?;
    world.deployment.confirmations = 3;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[world.target()])?;
    let opening = world.open(2, 100).await?;
    let channel = world.channel(&opening);
    book.caught_up(&world.rpc).await?;
    let unconfirmed = Facts { pending: Amount::new(100), status: Status::Open, ..Facts::default() };
    assert_eq!(book.facts(channel).await?, unconfirmed);

    world.chain.mine(2).await?;
    book.caught_up(&world.rpc).await?;
    assert_eq!(book.facts(channel).await?, unconfirmed);
    world.chain.mine(1).await?;
    book.caught_up(&world.rpc).await?;
    assert_eq!(book.facts(channel).await?, open(100, 0));

    world.top_up(2, &opening, 11).await?;
    world.request_close(2, &opening, 5).await?;
    book.caught_up(&world.rpc).await?;
    let facts = book.facts(channel).await?;
    assert_eq!((facts.deposit, facts.pending), (Amount::new(100), Amount::new(11)));
    assert!(matches!(facts.status, Status::Closing { requested, .. } if requested == Amount::new(5)));
    world.chain.mine(2).await?;
    book.caught_up(&world.rpc).await?;
    assert_eq!(book.facts(channel).await?.deposit, Amount::new(111));
    watching.stop().await
}

#[tokio::test]
async fn channels_of_other_payees_are_none_of_ours() -> Result<()> {
    let mut world = World::new(2).await?;
    let (contract, stranger) = (world.deployment.contract, key(9).address());
    let data = raiden::open_data(key(2).address(), stranger);
    world.send(2, world.deployment.token, token::transfer_with_data(contract, U256::from(5), data)).await?;
    let ours = world.open(3, 7).await?;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[world.target()])?;
    book.caught_up(&world.rpc).await?;
    assert_eq!(book.ask::<i64>("SELECT count(*) FROM channels").await?, 1);
    assert_eq!(book.facts(world.channel(&ours)).await?.status, Status::Open);
    watching.stop().await
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_left_out_and_the_rest_is_read() -> Result<()> {
    let mut world = World::new(2).await?;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[world.target()])?;
    world.open(2, 100).await?;
    book.caught_up(&world.rpc).await?;

    // For one transaction, the contract's place is taken by code that logs `ChannelCreated` for us without its amount:
    // three topics (pushed last to first), no data, LOG3.
    let contract = world.deployment.contract;
    let code = world.rpc.code(contract).await?;
    let topic = |bytes: &[u8]| format!("7f{}", hex::encode(bytes));
    let sender = key(3).address().into_word();
    let nonsense = format!(
        "0x{}{}{}60006000a300",
        topic(key(PAYEE).address().into_word().as_slice()),
        topic(sender.as_slice()),
        topic(abi::ChannelCreated::SIGNATURE_HASH.as_slice())
    );
    world.chain.rpc("anvil_setCode", json!([contract, nonsense])).await?;
    let receipt = world.send(3, contract, Default::default()).await?;
    assert_eq!(receipt.logs.len(), 1, "the test itself does not work");
    world.chain.rpc("anvil_setCode", json!([contract, code])).await?;

    let after = world.open(3, 200).await?;
    world.chain.mine(1).await?;
    book.caught_up(&world.rpc).await?;
    assert_eq!(book.facts(world.channel(&after)).await?, open(200, 0));
    assert_eq!(book.ask::<i64>("SELECT count(*) FROM events").await?, 2);
    assert!(watching.is_alive());
    watching.stop().await
}

#[tokio::test]
async fn a_contract_that_is_not_the_configured_one_is_never_sold_through() -> Result<()> {
    let mut world = World::new(1).await?;
    world.open(2, 100).await?;
    let right = world.deployment.clone();
    let elsewhere = Address::repeat_byte(9);
    let wrong = [
        contracts::Deployment { challenge_period: 5_000, ..right.clone() },
        contracts::Deployment { token: elsewhere, ..right.clone() },
        contracts::Deployment { contract: elsewhere, ..right.clone() },
    ];
    for deployment in wrong {
        let book = Book::new().await?;
        let watching = Setup::default().watch(&book, &[(&deployment, world.chain.url())])?;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(book.safe_until().await?, None);
        assert_eq!(book.dump().await?, "");
        watching.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_front_that_asks_for_a_sync_is_served_long_before_the_next_poll() -> Result<()> {
    let mut world = World::new(1).await?;
    let book = Book::new().await?;
    let setup = Setup { poll_ms: 60_000, ..Setup::default() };
    let watching = setup.watch(&book, &[world.target()])?;
    book.caught_up(&world.rpc).await?;
    for deposit in [100, 200, 300] {
        let opening = world.open(2, deposit).await?;
        world.chain.mine(1).await?;
        let channel = world.channel(&opening);
        let job = NewJob {
            kind: JobKind::Sync,
            key: channel.to_string(),
            deployment: "main".into(),
            channel: Some(channel),
            amount: None,
        };
        let job = book.ledger.enqueue(&job).await?;
        let outcome = book.ledger.wait(job, Duration::from_secs(5)).await?;
        assert!(outcome.is_some(), "nobody came");
        assert_eq!(book.facts(channel).await?, open(deposit.into(), 0));
    }
    watching.stop().await
}
