//! Channels that the ledger is told of as a watcher tells it. No chain is asked: what is measured is the path of a request,
//! which asks none either.

use std::time::SystemTime;

use alloy_primitives::B256;
use anyhow::Result;
use channel::{Amount, BlockRef, Event, EventKind, Key};
use contracts::Deployment;
use ledger::{Advance, Cursor, DeploymentRow, Ledger, NewEvent};
use tokio_postgres::Client;

use crate::payers;

/// More than any run spends.
const DEPOSIT: u128 = 1 << 60;
/// In seconds: longer than any run.
const SAFE_FOR: u64 = 24 * 3_600;

/// Tells the ledger of a deployment, and of an open channel for each of these payers.
///
/// # Errors
/// When it cannot be told.
pub async fn open(ledger: &Ledger, deployment: &Deployment, payers: impl Iterator<Item = &Key>) -> Result<()> {
    let Deployment { name, chain_id, contract, token, payee, .. } = deployment.clone();
    ledger.register(&DeploymentRow { id: name.clone(), chain_id, contract, token, payee }).await?;
    testkit::clear::all_clear(ledger, &name).await?;
    let to = BlockRef { number: 1, hash: B256::repeat_byte(0xB1) };
    let opened = payers.enumerate().map(|(index, key)| {
        let opening = payers::opening(key);
        let channel = deployment.kind.contract().channel_id(deployment, &opening);
        let kind = EventKind::Opened { deposit: Amount::new(DEPOSIT) };
        let event = Event { channel, block: to, tx_hash: to.hash, log_index: u64::try_from(index)?, kind };
        Ok(NewEvent { event, payer: opening.payer, params: opening.params })
    });
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let advance = Advance {
        deployment: name,
        rescan_from: 0,
        from: None,
        to: Cursor { block: to, block_time: now, anchor: to, halted: None },
        events: opened.collect::<Result<_>>()?,
        confirmed: to.number,
        safe_until: now + SAFE_FOR,
    };
    ledger.advance(&advance).await?;
    Ok(())
}

/// Adds channels that exist and never pay: copies of one that does.
///
/// # Errors
/// When PostgreSQL does not take them.
pub async fn add_idle(sql: &Client, count: usize) -> Result<()> {
    for (table, key) in [("channels", "id"), ("epochs", "channel")] {
        let columns = "SELECT string_agg(quote_ident(column_name), ',') FROM information_schema.columns
             WHERE table_name = $1 AND table_schema = 'public' AND column_name <> $2 AND is_generated = 'NEVER'";
        let columns: String = sql.query_one(columns, &[&table, &key]).await?.get(0);
        let copy = format!(
            "INSERT INTO {table} ({key}, {columns})
             SELECT sha256(int8send(n)), {columns}
             FROM (SELECT * FROM {table} LIMIT 1) one CROSS JOIN generate_series(1, {count}) n"
        );
        sql.batch_execute(&copy).await?;
        sql.batch_execute(&format!("VACUUM ANALYZE {table}")).await?;
    }
    // That they came all at once is not what is measured.
    Ok(sql.batch_execute("CHECKPOINT").await?)
}
