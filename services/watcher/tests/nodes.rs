//! Several nodes of a chain, and one of another: who is asked, who is refused, and what operators see of it.

mod common;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use common::World;
use common::book::Book;
use common::watching::Setup;
use testkit::anvil::{Anvil, Options};
use testkit::liar::{Liar, Lie};
use testkit::wait;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_watcher_does_not_start_on_a_node_of_another_chain() -> Result<()> {
    let world = World::new(1).await?;
    let other = Anvil::start_with(Options { chain_id: 62, ..Options::default() }).await?;
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let mut watcher = Setup::default().spawn(folder.path(), "watcher", &book, &[(&world.deployment, other.url())])?;
    wait::until("the watcher to end", PATIENCE, async || {
        ensure!(watcher.check_running().is_err(), "it runs");
        Ok(())
    })
    .await?;
    let said = std::fs::read_to_string(watcher.log())?;
    assert!(said.contains("serves chain 62, expected 61"), "{said}");
    Ok(())
}

#[tokio::test]
async fn when_the_first_node_hangs_another_one_serves_within_ten_seconds_with_the_default_timeout() -> Result<()> {
    let mut world = World::new(1).await?;
    let (first, second) = (Liar::start(&world.chain.url()).await?, world.chain.url());
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let urls = format!(r#"["{second}"]"#);
    let default = runtime::config::Watcher::default().rpc_timeout.as_millis().to_string();
    let keys = [("DEPLOYMENTS__MAIN__RPC_URLS", urls.as_str()), ("WATCHER__RPC_TIMEOUT_MS", default.as_str())];
    let target = (&world.deployment.clone(), first.url());
    let _watcher = Setup::default().spawn_with(folder.path(), "watcher", &book, &[target], &keys)?;
    book.caught_up(&world.rpc).await?;
    first.tell("", Lie::Hang);
    let start = Instant::now();
    world.open(2, 100).await?;
    let head = world.rpc.head().await?.number;
    wait::until("the watcher to hear of the channel", PATIENCE, async || {
        let read = book.ledger.cursor("main").await?.map(|cursor| cursor.block.number);
        ensure!(read >= Some(head), "{read:?}");
        Ok(())
    })
    .await?;
    println!("the second node served after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_node_that_turns_into_one_of_another_chain_without_a_failure_changes_nothing() -> Result<()> {
    for genesis_time in [None, Some(1_700_000_000)] {
        becomes_another_chain(Options { chain_id: 62, genesis_time, ..Options::default() }).await?;
    }
    Ok(())
}

/// With our genesis, as it happens on such chains, and with another one.
async fn becomes_another_chain(options: Options) -> Result<()> {
    let mut world = World::new(1).await?;
    world.open(2, 100).await?;
    let other = Anvil::start_with(options).await?;
    other.mine(400).await?;
    let liar = Liar::start(&world.chain.url()).await?;
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let target = (&world.deployment.clone(), liar.url());
    let watcher = Setup::default().spawn(folder.path(), "watcher", &book, &[target])?;
    book.caught_up(&world.rpc).await?;
    let before = book.dump().await?;
    liar.speak_for(&other.url());
    wait::until("the watcher to notice", PATIENCE, async || {
        let log = std::fs::read_to_string(watcher.log())?;
        ensure!(log.contains("serves chain 62, expected 61"), "it says {log}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(book.ledger.cursor("main").await?.and_then(|cursor| cursor.halted), None);
    assert_eq!(book.dump().await?, before);
    liar.speak_for(&world.chain.url());
    world.open(2, 100).await?;
    book.caught_up(&world.rpc).await
}

#[tokio::test]
async fn nodes_that_disagree_are_seen() -> Result<()> {
    let mut world = World::new(1).await?;
    world.chain.mine(20).await?;
    let second = Liar::start(&world.chain.url()).await?;
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let port = testkit::ports::free()?;
    let urls = format!(r#"["{}"]"#, second.url());
    let setup = Setup { ops_port: port, ..Setup::default() };
    let keys = [("DEPLOYMENTS__MAIN__RPC_URLS", urls.as_str())];
    let _watcher = setup.spawn_with(folder.path(), "watcher", &book, &[world.target()], &keys)?;
    let shows = async |lines: [&str; 3]| {
        wait::until("the metrics", PATIENCE, async || {
            let page =
                testkit::http::client()?.get(format!("http://127.0.0.1:{port}/metrics")).send().await?.text().await?;
            let missing: Vec<_> = lines.iter().filter(|line| !page.contains(**line)).collect();
            ensure!(missing.is_empty(), "{missing:?} are not in\n{page}");
            Ok(())
        })
        .await
    };
    let [first, good] = [0, 1].map(|node| format!(r#"evm_node_avoided{{chain="61",node="{node}"}} 0"#));
    shows([&first, &good, r#"evm_heads_apart_blocks{chain="61"} 0"#]).await?;
    second.tell("", Lie::Lag(9));
    let bad = r#"evm_node_avoided{chain="61",node="1"} 1"#;
    shows([&first, bad, r#"evm_heads_apart_blocks{chain="61"} 9"#]).await?;
    second.be_honest();
    world.open(2, 100).await?;
    shows([&first, &good, r#"evm_heads_apart_blocks{chain="61"} 0"#]).await
}
