//! Nodes err, hang, lag and restart; watchers and databases are killed. No event is lost.

mod common;

use std::time::Duration;

use anyhow::Result;
use common::World;
use common::book::Book;
use common::watching::Setup;
use serde_json::{Value, json};
use testkit::liar::{Liar, Lie};
use testkit::postgres::Postgres;

/// Channels opened and topped up over `blocks` blocks.
async fn history(world: &mut World, blocks: u64) -> Result<()> {
    for n in 0..blocks / 10 {
        let payer = 2 + usize::try_from(n % 4)?;
        let opening = world.open(payer, 100 + n).await?;
        world.top_up(payer, &opening, 7).await?;
        world.chain.mine(8).await?;
    }
    Ok(())
}

async fn assert_nothing_is_lost(book: &Book, world: &World) -> Result<()> {
    book.caught_up(&world.rpc).await?;
    let fresh = Setup::default().fresh_sync(&world.rpc, &[world.target()]).await?;
    assert!(!fresh.is_empty());
    assert_eq!(book.dump().await?, fresh);
    Ok(())
}

#[tokio::test]
async fn ranges_adapt_to_what_the_provider_serves() -> Result<()> {
    let mut world = World::new(4).await?;
    history(&mut world, 300).await?;
    for lie in [Lie::MaxRange(37), Lie::MaxResults(3), Lie::MaxRange(1)] {
        let liar = Liar::start(&world.chain.url()).await?;
        liar.tell("eth_getLogs", lie.clone());
        let book = Book::new().await?;
        let watching = Setup::default().watch(&book, &[(&world.deployment, liar.url())])?;
        assert_nothing_is_lost(&book, &world).await?;
        let asked = liar.calls("eth_getLogs");
        assert!(asked < 450, "{lie:?} took {asked} queries");
        watching.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn errors_of_all_kinds_cost_time_and_nothing_else() -> Result<()> {
    let mut world = World::new(4).await?;
    let liar = Liar::start(&world.chain.url()).await?;
    let book = Book::new().await?;
    let setup = Setup { rpc_timeout_ms: 300, ..Setup::default() };
    let watching = setup.watch(&book, &[(&world.deployment, liar.url())])?;
    let errors = [
        Lie::Http(502),
        Lie::Http(429),
        Lie::Http(200),
        Lie::Error(-32005, "project ID request rate exceeded".into()),
        Lie::Error(-32000, "header not found".into()),
        Lie::Error(-32603, "internal error".into()),
        Lie::Hang,
    ];
    for (n, lie) in errors.into_iter().enumerate() {
        for method in ["eth_getBlockByNumber", "eth_getLogs", "eth_getBlockByHash"] {
            liar.tell_times(1 + u32::try_from(n)? % 3, method, lie.clone());
        }
        history(&mut world, 20).await?;
        book.caught_up(&world.rpc).await?;
    }
    liar.tell("", Lie::Http(503));
    history(&mut world, 20).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    liar.be_honest();
    assert_nothing_is_lost(&book, &world).await?;
    assert!(watching.is_alive());
    watching.stop().await
}

#[tokio::test]
async fn several_nodes_behind_one_address_some_behind_others_lose_nothing() -> Result<()> {
    let mut world = World::new(4).await?;
    let liar = Liar::start(&world.chain.url()).await?;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[(&world.deployment, liar.url())])?;
    for lag in [1, 2, 5, 1, 9, 3] {
        for method in ["eth_getLogs", "eth_getBlockByNumber", "eth_getBlockByHash", "eth_getLogs"] {
            liar.tell_times(2, method, Lie::Lag(lag));
        }
        history(&mut world, 20).await?;
    }
    assert_nothing_is_lost(&book, &world).await?;
    watching.stop().await
}

#[tokio::test]
async fn a_node_that_turns_into_one_of_another_chain_is_not_believed() -> Result<()> {
    let mut world = World::new(4).await?;
    let other =
        testkit::anvil::Anvil::start_with(testkit::anvil::Options { chain_id: 62, ..Default::default() }).await?;
    other.mine(400).await?;
    let liar = Liar::start(&world.chain.url()).await?;
    let book = Book::new().await?;
    let watching = Setup::default().watch(&book, &[(&world.deployment, liar.url())])?;
    history(&mut world, 20).await?;
    book.caught_up(&world.rpc).await?;
    let before = book.dump().await?;

    // A failure, as there is one whenever a node is replaced, makes us ask which chain it is.
    liar.speak_for(&other.url());
    liar.tell_times(3, "", Lie::Http(502));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(book.dump().await?, before);
    liar.speak_for(&world.chain.url());
    history(&mut world, 20).await?;
    assert_nothing_is_lost(&book, &world).await?;
    watching.stop().await
}

#[tokio::test]
async fn logs_of_blocks_that_are_gone_are_not_believed_near_the_head_nor_deep_below_it() -> Result<()> {
    let mut world = World::new(4).await?;
    history(&mut world, 20).await?;
    let from = format!("{:#x}", world.rpc.head().await?.number + 1);
    history(&mut world, 20).await?;
    let gone =
        world.chain.rpc("eth_getLogs", json!([{"fromBlock": from, "address": world.deployment.contract}])).await?;
    let gone: Vec<Value> = serde_json::from_value(gone)?;
    assert!(gone.len() >= 4, "{gone:?}");
    world.reorg(20, &[]).await?;
    for deeper in [1, 60] {
        world.chain.mine(deeper).await?;
        let (liar, book) = (Liar::start(&world.chain.url()).await?, Book::new().await?);
        liar.tell("eth_getLogs", Lie::AlsoLogs(gone.clone()));
        let watching = Setup { max_range: 10, ..Setup::default() }.watch(&book, &[(&world.deployment, liar.url())])?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        for log in &gone {
            let hash = log["blockHash"].as_str().unwrap_or_default().trim_start_matches("0x");
            let sql = format!("SELECT count(*) FROM events WHERE block_hash = '\\x{hash}'");
            assert_eq!(book.ask::<i64>(&sql).await?, 0, "{log}");
        }
        liar.be_honest();
        assert_nothing_is_lost(&book, &world).await?;
        watching.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_refuses_everything_is_no_reason_to_wait_when_there_is_another() -> Result<()> {
    let mut world = World::new(4).await?;
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let liar = Liar::start(&world.chain.url()).await?;
    let others = format!(r#"["{}"]"#, world.chain.url());
    let keys = [("DEPLOYMENTS__MAIN__RPC_URLS", others.as_str())];
    let target = (&world.deployment.clone(), liar.url());
    let _watcher = Setup::default().spawn_with(folder.path(), "watcher", &book, &[target], &keys)?;
    book.caught_up(&world.rpc).await?;
    liar.tell("", Lie::Error(-32000, "internal error".into()));
    history(&mut world, 20).await?;
    assert_nothing_is_lost(&book, &world).await
}

#[tokio::test]
async fn a_node_that_hangs_or_restarts_is_waited_for() -> Result<()> {
    let mut world = World::new(4).await?;
    let book = Book::new().await?;
    let setup = Setup { rpc_timeout_ms: 300, ..Setup::default() };
    let watching = setup.watch(&book, &[world.target()])?;
    history(&mut world, 20).await?;
    world.chain.process()?.pause()?;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    world.chain.process()?.resume()?;
    history(&mut world, 20).await?;
    book.caught_up(&world.rpc).await?;

    history(&mut world, 20).await?;
    world.chain.stop().await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.chain.start_again().await?;
    history(&mut world, 20).await?;
    assert_nothing_is_lost(&book, &world).await?;
    assert!(watching.is_alive());
    watching.stop().await
}

#[tokio::test]
async fn a_watcher_killed_at_any_moment_goes_on_where_it_was() -> Result<()> {
    let mut world = World::new(4).await?;
    let folder = tempfile::TempDir::new()?;
    let book = Book::new().await?;
    let setup = Setup { max_range: 5, lease_ms: 1_000, poll_ms: 10, ..Setup::default() };
    history(&mut world, 100).await?;
    for life in 0..8 {
        let mut watcher = setup.spawn(folder.path(), &format!("watcher-{life}"), &book, &[world.target()])?;
        history(&mut world, 10).await?;
        // It begins once the lease of the one killed ran out.
        tokio::time::sleep(Duration::from_millis(1_000 + 97 * life)).await;
        watcher.check_running()?;
        watcher.kill9()?;
        if life % 2 == 1 {
            world.reorg(3, &[]).await?;
        }
    }
    let _last = setup.spawn(folder.path(), "watcher", &book, &[world.target()])?;
    assert_nothing_is_lost(&book, &world).await
}

#[tokio::test]
async fn a_database_killed_under_it_is_waited_for() -> Result<()> {
    let mut world = World::new(4).await?;
    let mut postgres = Postgres::start().await?;
    let url = postgres.fresh_database().await?;
    let book = Book::open(url.clone()).await?;
    let setup = Setup { max_range: 5, ..Setup::default() };
    history(&mut world, 100).await?;
    let watching = setup.watch(&book, &[world.target()])?;
    testkit::wait::until("the watcher to begin", Duration::from_secs(10), async || {
        book.ask::<i64>("SELECT block FROM cursors").await
    })
    .await?;
    for _ in 0..3 {
        history(&mut world, 10).await?;
        postgres.kill9()?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        postgres.start_again().await?;
    }
    let book = Book::open(url).await?;
    assert_nothing_is_lost(&book, &world).await?;
    assert!(watching.is_alive());
    watching.stop().await
}
