//! What a ledger says about the chain, to be compared.

use std::time::Duration;

use alloy_primitives::hex;
use anyhow::{Context, Result, ensure};
use evm::Rpc;
use ledger::{Ledger, Settings};
use tokio_postgres::{Client, NoTls};

/// A database of the test's own, seen from outside.
pub struct Book {
    pub url: String,
    pub ledger: Ledger,
    client: Client,
}

impl Book {
    pub async fn new() -> Result<Book> {
        let url = testkit::postgres::Postgres::shared().await?.fresh_database().await?;
        Book::open(url).await
    }

    pub async fn open(url: String) -> Result<Book> {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        let settings = Settings { single_node: true, ..Settings::new(url.clone()) };
        Ok(Book { ledger: Ledger::connect(&settings).await?, url, client })
    }

    /// One value of one row.
    pub async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> Result<T> {
        Ok(self.client.query_one(sql, &[]).await.with_context(|| sql.to_owned())?.try_get(0)?)
    }

    pub async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.with_context(|| sql.to_owned())
    }

    /// All that follows from the chain alone, sorted: facts of channels, events, and how far it is read. Channels and
    /// events that were reorganised away are no part of it.
    pub async fn dump(&self) -> Result<String> {
        self.ask(
            "WITH lines AS (
                SELECT 1 AS part, encode(id, 'hex') AS key, concat_ws(' ', 'channel', deployment, encode(id, 'hex'),
                       encode(payer, 'hex'), encode(params, 'hex'), confirmed, deposit, pending, claimed, status,
                       requested, deadline_block, deadline_time) AS line
                FROM channels WHERE status <> 'absent' OR deposit + pending + claimed > 0
                UNION ALL
                SELECT 2, deployment || to_char(block, '0000000000') || to_char(log_index, '0000000000'),
                       concat_ws(' ', 'event', deployment, block, encode(block_hash, 'hex'), log_index,
                       encode(tx_hash, 'hex'), encode(channel, 'hex'), kind, amount, deadline_block, deadline_time)
                FROM events WHERE NOT orphaned
                UNION ALL
                SELECT 3, deployment, concat_ws(' ', 'cursor', deployment, block, encode(block_hash, 'hex'), block_time)
                FROM cursors)
             SELECT coalesce(string_agg(line, E'\\n' ORDER BY part, key), '') FROM lines",
        )
        .await
    }

    /// Until when fronts may sell, in seconds since 1970; `None` before the first sync.
    pub async fn safe_until(&self) -> Result<Option<i64>> {
        self.ask("SELECT extract(epoch FROM safe_until)::bigint FROM deployments WHERE id = 'main'").await
    }

    /// The facts of a channel.
    pub async fn facts(&self, channel: channel::ChannelId) -> Result<channel::Facts> {
        let (channel, _) = self.ledger.view(channel).await?.context("the ledger does not know the channel")?;
        Ok(channel.facts)
    }

    /// Waits until everything up to the present head is read; the wallet, if there were one, could answer closes then.
    pub async fn caught_up(&self, rpc: &Rpc) -> Result<()> {
        self.caught_up_with("main", rpc).await
    }

    pub async fn caught_up_with(&self, deployment: &str, rpc: &Rpc) -> Result<()> {
        testkit::wait::until("the watcher to catch up", Duration::from_secs(30), async || {
            let head = rpc.head().await?;
            let cursor: Option<String> = self
                .ask(&format!(
                    "SELECT (SELECT concat_ws(' ', block, encode(block_hash, 'hex'))
                     FROM cursors WHERE deployment = '{deployment}')"
                ))
                .await?;
            let wanted = format!("{} {}", head.number, hex::encode(head.hash));
            ensure!(cursor.as_deref() == Some(&wanted), "at {cursor:?}, the head is {wanted}");
            Ok(())
        })
        .await?;
        testkit::clear::all_clear(&self.ledger, deployment).await
    }
}
