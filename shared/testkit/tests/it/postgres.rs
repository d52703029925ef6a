use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::ports;
use testkit::postgres::{Options, Postgres};
use testkit::scratch::Scratch;
use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls};

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn a_fresh_database_has_the_schema_and_none_of_the_others_rows() -> Result<()> {
    let server = Postgres::shared().await?;
    let first = connect(&server.fresh_database().await?).await?;
    first.batch_execute("CREATE TABLE mine (n int)").await?;
    let second = connect(&server.fresh_database().await?).await?;
    let tables = "SELECT to_regclass('mine') IS NOT NULL, to_regclass('channels') IS NOT NULL";
    let row = second.query_one(tables, &[]).await?;
    assert_eq!((row.get(0), row.get(1)), (false, true));
    Ok(())
}

#[tokio::test]
async fn the_unix_socket_leads_to_the_same_server() -> Result<()> {
    let server = Postgres::shared().await?;
    let client = connect(&server.socket_url("postgres")).await?;
    let row = client.query_one("SELECT current_setting('port'), inet_client_addr() IS NULL", &[]).await?;
    assert_eq!(row.get::<_, String>(0), server.port().to_string());
    assert!(row.get::<_, bool>(1), "connected over TCP");
    Ok(())
}

#[tokio::test]
async fn postgres_killed_under_load_comes_back_with_every_row_it_acknowledged() -> Result<()> {
    let mut server = Postgres::start().await?;
    let url = server.url("postgres");
    server.execute("postgres", "CREATE TABLE acked (writer int, n int)").await?;
    let (acked, mut acks) = mpsc::unbounded_channel();
    for writer in 0..4_i32 {
        let (url, acked) = (url.clone(), acked.clone());
        tokio::spawn(async move {
            let client = connect(&url).await?;
            for n in 0.. {
                client.execute("INSERT INTO acked VALUES ($1, $2)", &[&writer, &n]).await?;
                acked.send((writer, n))?;
            }
            anyhow::Ok(())
        });
    }
    drop(acked);
    let mut seen = Vec::new();
    while seen.len() < 500 {
        seen.push(acks.recv().await.context("the writers ended early")?);
    }
    server.kill9()?;
    server.start_again().await?;
    while let Some(ack) = acks.recv().await {
        seen.push(ack);
    }
    let rows = connect(&url).await?.query("SELECT writer, n FROM acked", &[]).await?;
    let rows: std::collections::HashSet<(i32, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let lost: Vec<_> = seen.iter().filter(|ack| !rows.contains(ack)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?} of {}", seen.len());
    Ok(())
}

#[tokio::test]
async fn commits_wait_for_a_disk_that_was_made_slow() -> Result<()> {
    const LONGER: Duration = Duration::from_millis(20);
    let fast = Postgres::shared().await?;
    let options = Options { slow_fsync: Some(LONGER), ..Options::default() };
    let slow = Postgres::start_in(Scratch::new("slow disk")?, ports::free()?, options).await?;
    let (fast, slow) =
        (median_commit(&fast.fresh_database().await?).await?, median_commit(&slow.url("postgres")).await?);
    assert!(slow >= LONGER && slow > fast + LONGER / 2, "{slow:?} on a slow disk, {fast:?} on this one");
    Ok(())
}

async fn median_commit(url: &str) -> Result<Duration> {
    let client = connect(url).await?;
    client.batch_execute("CREATE TABLE written (n int)").await?;
    let mut took = Vec::new();
    for n in 0..21 {
        let start = Instant::now();
        client.execute("INSERT INTO written VALUES ($1)", &[&n]).await?;
        took.push(start.elapsed());
    }
    took.sort();
    Ok(took[took.len() / 2])
}
