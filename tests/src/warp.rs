use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use testkit::anvil::Anvil;
use tokio_postgres::NoTls;

/// What the ledger remembers with a time, moved into the past.
const PAST: &str = "
    UPDATE deployments SET safe_until = safe_until - $, clear_until = clear_until - $, exposure_at = exposure_at - $;
    UPDATE leases SET expires_at = expires_at - $;
    UPDATE jobs SET run_at = run_at - $, created_at = created_at - $, rung_at = rung_at - $, ended_at = ended_at - $;
    UPDATE intents SET created_at = created_at - $, updated_at = updated_at - $;
    UPDATE transactions SET created_at = created_at - $;
    UPDATE epochs SET unclaimed_since = unclaimed_since - $ WHERE unclaimed_since IS NOT NULL;
    UPDATE holds SET expires_at = expires_at - $ WHERE state = 'held';";

/// Lets time pass at once: for the ledger all that it remembers is so much older, and each of these chains has mined the
/// blocks that belong to it, one each `block` seconds.
///
/// # Errors
/// When the database or a chain is away.
pub async fn warp(database: &str, time: Duration, chains: &[(&Anvil, u64)]) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
    let connection = tokio::spawn(connection);
    let past = PAST.replace('$', &format!("interval '{} s'", time.as_secs()));
    client.batch_execute(&past).await.context("the ledger's times")?;
    drop(client);
    connection.await??;
    for (chain, block) in chains {
        let blocks = time.as_secs() / block;
        chain.rpc("anvil_mine", json!([format!("{blocks:#x}"), format!("{block:#x}")])).await?;
    }
    Ok(())
}
