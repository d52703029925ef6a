//! Which databases the ledger refuses, and how a database becomes one that it takes.

mod common;

use common::*;
use futures::future::join_all;
use ledger::{Ledger, LedgerError, Settings};
use testkit::postgres::{Options, Postgres};

async fn refusal(settings: &Settings) -> String {
    match Ledger::connect(settings).await {
        Err(LedgerError::Refused(reason)) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The same database, with connections that have this setting.
fn with(url: &str, setting: &str) -> Settings {
    settings(&format!("{url}?options=-c%20{}", setting.replace('=', "%3D")))
}

#[tokio::test]
async fn refuses_a_server_without_a_standby_unless_told_that_it_is_alone() {
    let url = database().await;
    let reason = refusal(&Settings::new(&url)).await;
    assert!(reason.contains("synchronous_standby_names") && reason.contains("single_node"), "{reason}");
    connect(&url).await.healthy().await.expect("told so, it is healthy");
}

#[tokio::test]
async fn refuses_commits_that_do_not_wait_for_the_disk() {
    let url = database().await;
    assert_eq!(refusal(&with(&url, "synchronous_commit=off")).await, "synchronous_commit = off");
    let local = with(&url, "synchronous_commit=local");
    assert_eq!(refusal(&Settings { single_node: false, ..local.clone() }).await, "synchronous_commit = local");
    Ledger::connect(&local).await.expect("alone, local is all there is");
}

#[tokio::test]
async fn refuses_a_read_only_database() {
    let url = database().await;
    assert_eq!(refusal(&with(&url, "default_transaction_read_only=on")).await, "it is read-only");
}

#[tokio::test]
async fn refuses_a_standby() {
    let mut server = Postgres::start().await.unwrap();
    let url = server.fresh_database().await.unwrap();
    let directory = sql(&url).await.query_one("SHOW data_directory", &[]).await.unwrap();
    server.stop().await.unwrap();
    std::fs::write(std::path::Path::new(directory.get::<_, &str>(0)).join("standby.signal"), "").unwrap();
    server.start_again().await.unwrap();
    assert_eq!(refusal(&settings(&url)).await, "it is a standby");
}

#[tokio::test]
async fn takes_a_server_with_a_standby_without_being_told_anything() {
    let server = Postgres::start().await.unwrap();
    let url = server.fresh_database().await.unwrap();
    connect(&url).await.close().await; // what there is to write is written
    server.execute("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'").await.unwrap();
    server.execute("postgres", "SELECT pg_reload_conf()").await.unwrap();
    testkit::wait::until("the setting to arrive", std::time::Duration::from_secs(5), async || {
        Ok(Ledger::connect(&Settings::new(&url)).await.map(drop)?)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn refuses_a_server_that_forgets() {
    let server = Postgres::start_with(Options { durable: false, ..Options::default() }).await.unwrap();
    let url = server.fresh_database().await.unwrap();
    assert_eq!(refusal(&settings(&url)).await, "fsync = off");
}

#[tokio::test]
async fn refuses_a_server_that_may_come_back_with_torn_pages() {
    let server = Postgres::start().await.unwrap();
    let url = server.fresh_database().await.unwrap();
    server.execute("postgres", "ALTER SYSTEM SET full_page_writes = off").await.unwrap();
    server.execute("postgres", "SELECT pg_reload_conf()").await.unwrap();
    testkit::wait::until("the setting to arrive", std::time::Duration::from_secs(5), async || {
        let answer = Ledger::connect(&settings(&url)).await;
        let refused = matches!(&answer, Err(LedgerError::Refused(reason)) if reason == "full_page_writes = off");
        anyhow::ensure!(refused, "{answer:?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn is_unhealthy_within_a_second_once_the_server_hangs_or_is_weaker() {
    let mut server = Postgres::start().await.unwrap();
    let url = server.fresh_database().await.unwrap();
    let ledger = connect(&url).await;
    ledger.healthy().await.expect("it is healthy");
    server.execute("postgres", "ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    server.execute("postgres", "SELECT pg_reload_conf()").await.unwrap();
    testkit::wait::until("the setting to arrive", std::time::Duration::from_secs(5), async || {
        anyhow::ensure!(matches!(ledger.healthy().await, Err(LedgerError::Refused(_))));
        Ok(())
    })
    .await
    .unwrap();
    server.kill9().unwrap();
    let started = std::time::Instant::now();
    assert!(matches!(ledger.healthy().await, Err(LedgerError::Unavailable(_))));
    assert!(started.elapsed() < std::time::Duration::from_millis(1_500));
}

#[tokio::test]
async fn refuses_settings_that_cannot_work_and_shows_no_secret() {
    let settings = |batch_max| Settings { batch_max, ..Settings::new("postgres://sluice:geheim@127.0.0.1/sluice") };
    assert_eq!(refusal(&settings(0)).await, "batch_max is 0, it must be from 1 to 4096");
    assert_eq!(refusal(&Settings::new("postgres//nonsense:geheim")).await, "url is no PostgreSQL address");
    assert!(!format!("{:?}", settings(1)).contains("geheim"));
}

#[tokio::test]
async fn refuses_an_older_schema_and_goes_on_with_a_newer_one() {
    let server = Postgres::shared().await.unwrap();
    server.execute("postgres", "CREATE DATABASE bare").await.unwrap();
    let url = server.url("bare");
    let connected = Ledger::connect(&settings(&url)).await;
    assert!(matches!(connected, Err(LedgerError::Schema { found: 0, .. })), "{connected:?}");
    ledger::migrate(&url).await.expect("it can be migrated");
    connect(&url).await;
    // As after an upgrade: programs that run go on, can be restarted, and put back, with their migration before them.
    let newer = "INSERT INTO _sqlx_migrations SELECT 999, description, installed_on, success, checksum, execution_time
                 FROM _sqlx_migrations WHERE version = 1";
    server.execute("bare", newer).await.unwrap();
    connect(&url).await;
    ledger::migrate(&url).await.expect("there is nothing to do");
    let older = "DELETE FROM _sqlx_migrations WHERE version > 15";
    server.execute("bare", older).await.unwrap();
    let error = Ledger::connect(&settings(&url)).await.expect_err("it is older");
    assert!(matches!(error, LedgerError::Schema { found: 15, wanted: 16.. }), "{error:?}");
    assert!(error.to_string().contains("run `sluice migrate`"), "{error}");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind_and_one_that_was_changed_is_noticed() {
    let server = Postgres::shared().await.unwrap();
    server.execute("postgres", "CREATE DATABASE odd").await.unwrap();
    let url = server.url("odd");
    server.execute("odd", "CREATE TABLE holds (mine int)").await.unwrap();
    let error = ledger::migrate(&url).await.expect_err("the name is taken");
    assert!(matches!(error, LedgerError::Migration { version: 2, .. }), "{error:?}");
    server.execute("odd", "DROP TABLE holds").await.unwrap();
    ledger::migrate(&url).await.expect("the second was not begun");
    server.execute("odd", "UPDATE _sqlx_migrations SET checksum = '' WHERE version = 3").await.unwrap();
    let error = ledger::migrate(&url).await.expect_err("it was another");
    assert_eq!(error.to_string(), "migration 3 is not the one that was applied to this database");
}

#[tokio::test]
async fn migrates_once_however_many_try_at_the_same_time_and_again() {
    let server = Postgres::shared().await.unwrap();
    server.execute("postgres", "CREATE DATABASE raced").await.unwrap();
    let url = server.url("raced");
    for _ in 0..2 {
        for migrated in join_all((0..4).map(|_| ledger::migrate(&url))).await {
            migrated.expect("one migrates, the others find it done");
        }
    }
    let connected = join_all((0..4).map(|_| connect(&url))).await;
    assert_eq!(connected.len(), 4);
}
