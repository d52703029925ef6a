//! What the watcher keeps: deployments, how far each is read, and why one is no longer followed.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use alloy_primitives::{Address, B256};
use channel::BlockRef;
use tokio_postgres::Row;

use crate::rows::{self, accounts};
use crate::{Ledger, LedgerError};

/// A deployment as the ledger knows it: a chain, a contract on it, its token, and who is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentRow {
    /// Its name in the configuration.
    pub id: String,
    /// The chain.
    pub chain_id: u64,
    /// The contract.
    pub contract: Address,
    /// Its token.
    pub token: Address,
    /// Who is paid.
    pub payee: Address,
}

/// How far a deployment is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last block read.
    pub block: BlockRef,
    /// Its time, in seconds since 1970.
    pub block_time: u64,
    /// The newest block that must never change. When it does, the chain broke its finality.
    pub anchor: BlockRef,
    /// Why the deployment is no longer followed; `None` while it is.
    pub halted: Option<String>,
}

/// Channels that one page of [`Ledger::dump`] reads.
const PAGE: i64 = 1_000;

impl Ledger {
    /// Makes a configured deployment known.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] when its name was used for another chain, contract, token or payee: the channels
    /// stored under it would be somebody else's.
    pub async fn register(&self, deployment: &DeploymentRow) -> Result<(), LedgerError> {
        let DeploymentRow { id, chain_id, contract, token, payee } = deployment;
        let sql = "-- register
            INSERT INTO deployments (id, chain_id, contract, token, payee) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (id) DO NOTHING";
        let params: &crate::database::Params<'_> =
            &[id, &rows::signed(*chain_id), &contract.as_slice(), &token.as_slice(), &payee.as_slice()];
        self.inner.database.write("register", sql, params).await?;
        match self.deployment(id).await? {
            Some((stored, _)) if stored == *deployment => Ok(()),
            _ => Err(LedgerError::Conflict(format!(
                "the name {id} was used for another chain, contract, token or payee"
            ))),
        }
    }

    /// A deployment, and until when fronts may sell through it; `None` for that: never synced, or halted.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn deployment(&self, id: &str) -> Result<Option<(DeploymentRow, Option<SystemTime>)>, LedgerError> {
        let sql = "-- deployment
            SELECT id, chain_id, contract, token, payee, safe_until FROM deployments WHERE id = $1";
        let found = self.inner.database.read("deployment", sql, &[&id]).await?;
        let Some(row) = found.first() else { return Ok(None) };
        Ok(Some((deployment(row)?, rows::get(row, 5)?)))
    }

    /// Every deployment that was ever made known, by name.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn deployments(&self) -> Result<Vec<DeploymentRow>, LedgerError> {
        let sql = "-- deployments
            SELECT id, chain_id, contract, token, payee FROM deployments ORDER BY id";
        self.inner.database.read("deployments", sql, &[]).await?.iter().map(deployment).collect()
    }

    /// How far a deployment is read; `None` when nothing was read yet.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn cursor(&self, deployment: &str) -> Result<Option<Cursor>, LedgerError> {
        let sql = "-- cursor
            SELECT block, block_hash, block_time, anchor, anchor_hash, halted FROM cursors WHERE deployment = $1";
        let found = self.inner.database.read("cursor", sql, &[&deployment]).await?;
        let Some(row) = found.first() else { return Ok(None) };
        let block = |number, hash| {
            Ok::<_, LedgerError>(BlockRef {
                number: rows::unsigned(row, number)?,
                hash: B256::from(rows::fixed(row, hash)?),
            })
        };
        let time = rows::get::<SystemTime>(row, 2)?.duration_since(SystemTime::UNIX_EPOCH);
        Ok(Some(Cursor {
            block: block(0, 1)?,
            block_time: time.map_err(|error| LedgerError::corrupt(&error))?.as_secs(),
            anchor: block(3, 4)?,
            halted: rows::get(row, 5)?,
        }))
    }

    /// Stops following a deployment: nothing is sold through it, and its cursor moves no more, until an operator calls
    /// [`Ledger::resume`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn halt(&self, deployment: &str, reason: &str) -> Result<(), LedgerError> {
        let sql = "-- halt
            WITH halted AS (UPDATE cursors SET halted = $2 WHERE deployment = $1)
            UPDATE deployments SET safe_until = NULL WHERE id = $1";
        self.inner.database.write("halt", sql, &[&deployment, &reason]).await.map(drop)
    }

    /// Follows a halted deployment again, from its first block: all that the chain said is forgotten and read anew. What
    /// payers authorised and what was charged stays. False when it was not halted.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn resume(&self, deployment: &str) -> Result<bool, LedgerError> {
        let sql = "-- resume
            WITH resumed AS (
                DELETE FROM cursors WHERE deployment = $1 AND halted IS NOT NULL RETURNING deployment
            ), unsaid AS (
                UPDATE events SET orphaned = true WHERE deployment IN (SELECT deployment FROM resumed)
            ), locked AS MATERIALIZED (
                SELECT e.channel FROM epochs e JOIN channels c ON c.id = e.channel
                WHERE c.deployment IN (SELECT deployment FROM resumed) ORDER BY e.channel FOR UPDATE OF e
            ), unknown AS (
                UPDATE channels SET confirmed = false, deposit = 0, pending = 0, claimed = 0, status = 'absent',
                                    requested = NULL, deadline_block = NULL, deadline_time = NULL
                WHERE id IN (SELECT channel FROM locked)
            )
            SELECT deployment FROM resumed";
        let resumed = self.inner.database.write("resume", sql, &[&deployment]).await?;
        Ok(!resumed.is_empty())
    }

    /// The facts of a deployment's channels as text, in the order of their keys, without those that the chain does not
    /// show: equal for equal chains, however they were followed.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn dump(&self, deployment: &str) -> Result<String, LedgerError> {
        let sql = accounts!(
            "dump",
            "WHERE c.deployment = $1 AND c.status <> 'absent' AND c.id > $2 AND e.number = 0 ORDER BY c.id LIMIT $3"
        );
        let (mut text, mut after) = (String::new(), Vec::new());
        loop {
            let page = self.inner.database.read("dump", sql, &[&deployment, &after, &PAGE]).await?;
            for row in &page {
                let (channel, _) = rows::account(row)?;
                let (id, payer, params) = (channel.id, channel.payer, &channel.params);
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{id} {payer} {params} {:?}", channel.facts);
                after = id.0.to_vec();
            }
            if page.is_empty() {
                return Ok(text);
            }
        }
    }
}

/// A row of `id, chain_id, contract, token, payee`.
fn deployment(row: &Row) -> Result<DeploymentRow, LedgerError> {
    Ok(DeploymentRow {
        id: rows::get(row, 0)?,
        chain_id: rows::unsigned(row, 1)?,
        contract: Address::from(rows::fixed(row, 2)?),
        token: Address::from(rows::fixed(row, 3)?),
        payee: Address::from(rows::fixed(row, 4)?),
    })
}

/// Seconds since 1970 as PostgreSQL takes them. Beyond what it knows, the end of what it knows.
pub(crate) fn time_of(seconds: u64) -> SystemTime {
    const YEAR_9999: u64 = 253_370_764_800;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(YEAR_9999))
}
