//! The program: its second port, its logs, its exit codes.

mod common;

use std::process::Command;
use std::time::Duration;

use alloy_primitives::Address;
use anyhow::{Context, Result, ensure};
use common::World;
use common::book::Book;
use common::watching::Setup;

const PATIENCE: Duration = Duration::from_secs(10);

async fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}{path}")).await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test]
async fn the_second_port_says_how_it_goes() -> Result<()> {
    let mut world = World::new(1).await?;
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let port = testkit::ports::free()?;
    let setup = Setup { ops_port: port, ..Setup::default() };
    let _watcher = setup.spawn(folder.path(), "watcher", &book, &[world.target()])?;
    world.open(2, 100).await?;
    testkit::wait::until("readiness", PATIENCE, async || {
        let (status, page) = get(port, "/readyz?verbose").await?;
        ensure!(status == 200 && page.contains("\"chains\":\"ok\""), "{status} {page}");
        Ok(())
    })
    .await?;
    assert_eq!(get(port, "/livez").await?.0, 200);
    assert_eq!(get(port, "/startupz").await?.0, 200);
    book.caught_up(&world.rpc).await?;

    let head = world.rpc.head().await?.number;
    let lines = [
        format!("watcher_synced_block{{deployment=\"main\"}} {head}"),
        "watcher_active{chain=\"61\"} 1".to_owned(),
        "watcher_halted{deployment=\"main\"} 0".to_owned(),
        "watcher_safe_until_timestamp_seconds{deployment=\"main\"}".to_owned(),
    ];
    testkit::wait::until("the metrics", PATIENCE, async || {
        let page = get(port, "/metrics").await?.1;
        let missing = lines.iter().find(|line| !page.contains(*line));
        ensure!(missing.is_none(), "{missing:?} is not in\n{page}");
        Ok(())
    })
    .await?;

    world.chain.process()?.pause()?;
    testkit::wait::until("the trouble to show", PATIENCE, async || {
        let (status, page) = get(port, "/readyz?verbose").await?;
        ensure!(status == 200 && page.contains("main: the node is of no help"), "{status} {page}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_logs_never_show_the_address_of_the_node() -> Result<()> {
    let world = World::new(1).await?;
    let (folder, book) = (tempfile::TempDir::new()?, Book::new().await?);
    let url = format!("http://user:hunter2@127.0.0.1:{}/", world.chain.port());
    let away = format!("http://127.0.0.1:{}/v3/hunter3", testkit::ports::free()?);
    let payee = Address::repeat_byte(9);
    let other = contracts::Deployment { name: "other".to_owned(), payee, ..world.deployment.clone() };
    let mut watcher = Setup { log: "trace", ..Setup::default() }.spawn(
        folder.path(),
        "watcher",
        &book,
        &[(&world.deployment, url), (&other, away)],
    )?;
    book.caught_up(&world.rpc).await?;
    testkit::wait::until("the other node to be missed", PATIENCE, async || {
        let log = std::fs::read_to_string(watcher.log())?;
        ensure!(log.contains("rounds come to nothing"), "it is not missed");
        Ok(())
    })
    .await?;
    watcher.stop(PATIENCE).await?;
    let log = std::fs::read_to_string(watcher.log())?;
    assert!(log.contains("\"level\":\"TRACE\""), "the log does not say all it could");
    for secret in ["hunter2", "hunter3"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
    Ok(())
}

#[test]
fn a_configuration_that_cannot_be_used_ends_it_with_64() -> Result<()> {
    let status = Command::new(env!("CARGO_BIN_EXE_watcher")).args(["--config", "/nonexistent.toml"]).status();
    assert_eq!(status.context("cannot start")?.code(), Some(64));
    Ok(())
}
