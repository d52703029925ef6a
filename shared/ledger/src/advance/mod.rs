//! A block: new events in, orphaned ones out, facts folded again for every channel that is touched, cursor moved.
//!
//! ```text
//! BEGIN ─ fence: the cursor is where we left it ─ store events, mark orphans ─ which channels are touched?
//!       ─ lock their epochs in key order ─ read all their events ─ channel::facts, absorb_claims, plan
//!       ─ write facts, counters, jobs ─ move the cursor, safe_until ─ COMMIT
//! ```
//! More than 500 channels take several transactions, each behind the fence; the cursor moves with the last. Dying in
//! between is harmless: the cursor still stands, so the same blocks are read again and touch the same channels.

mod fold;
mod record;

use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use channel::{BlockRef, ChannelId, Event};
use deadpool_postgres::{Object, Transaction};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::chain::time_of;
use crate::database::{Params, timed};
use crate::{Cursor, Ledger, LedgerError, rows};

/// What a watcher found between two blocks.
#[derive(Clone, Debug)]
pub struct Advance {
    /// The deployment.
    pub deployment: String,
    /// The block that the cursor must stand on: the fence. `None`: there must be no cursor yet.
    pub from: Option<BlockRef>,
    /// Where the cursor goes. Its `halted` is ignored.
    pub to: Cursor,
    /// Every event of the deployment in the blocks from `rescan_from` up to `to`, in any order.
    pub events: Vec<NewEvent>,
    /// The first block that was read. Stored events from there on that are not among `events` are orphaned.
    pub rescan_from: u64,
    /// The newest block that is deep enough for incoming money.
    pub confirmed: u64,
    /// Until when fronts may sell, in seconds since 1970.
    pub safe_until: u64,
}

/// An event, and the channel as the contract names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What was said.
    pub event: Event,
    /// Who pays from the channel.
    pub payer: Address,
    /// What the contract needs beside the payer to name the channel.
    pub params: Bytes,
}

/// Channels that one transaction locks.
const CHANNELS_MAX: usize = 500;
/// How long one such transaction may take.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

impl Ledger {
    /// Brings the ledger up to a block. Equal chains give equal facts, however many steps and reorgs it took.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`] when another watcher moved the cursor, or the deployment was halted. After any error,
    /// read the cursor and go on from there.
    pub async fn advance(&self, advance: &Advance) -> Result<(), LedgerError> {
        let channels = self.in_transaction("advance", advance, Step::Record).await?;
        let mut rest = channels.as_slice();
        while !rest.is_empty() {
            let (chunk, others) = rest.split_at(rest.len().min(CHANNELS_MAX));
            self.in_transaction("advance_more", advance, Step::Fold { chunk, last: others.is_empty() }).await?;
            rest = others;
        }
        Ok(())
    }

    async fn in_transaction(
        &self,
        name: &'static str,
        advance: &Advance,
        step: Step<'_>,
    ) -> Result<Vec<ChannelId>, LedgerError> {
        let mut client = self.inner.database.client().await?;
        match timeout(TRANSACTION_TIMEOUT, timed(name, run(&mut client, advance, step))).await {
            Ok(done) => done,
            Err(_) => {
                drop(Object::take(client));
                Err(LedgerError::OutcomeUnknown)
            }
        }
    }
}

/// What one transaction of an advance does.
#[derive(Clone, Copy)]
enum Step<'a> {
    /// The events, and, where they touch few channels, all the rest. Returns the channels that are left to fold.
    Record,
    /// Some of the channels; with the last of them the cursor.
    Fold { chunk: &'a [ChannelId], last: bool },
}

async fn run(client: &mut Object, advance: &Advance, step: Step<'_>) -> Result<Vec<ChannelId>, LedgerError> {
    let transaction = client.transaction().await.map_err(LedgerError::before_commit)?;
    let walk = Walk { transaction: &transaction, advance };
    let confirmed = walk.fence().await?;
    let left = match step {
        Step::Record => {
            let touched = walk.record(&confirmed).await?;
            if touched.len() > CHANNELS_MAX {
                walk.widen(&confirmed).await?;
                touched
            } else {
                walk.fold(&touched).await?;
                walk.move_cursor().await?;
                Vec::new()
            }
        }
        Step::Fold { chunk, last } => {
            walk.fold(chunk).await?;
            if last {
                walk.move_cursor().await?;
            }
            Vec::new()
        }
    };
    transaction.commit().await.map_err(LedgerError::in_commit)?;
    Ok(left)
}

/// An advance inside one of its transactions.
struct Walk<'a> {
    transaction: &'a Transaction<'a>,
    advance: &'a Advance,
}

/// The confirmed heights that facts may have been folded with.
#[derive(Clone, Copy)]
struct Confirmed {
    low: u64,
    high: u64,
}

impl Walk<'_> {
    /// Locks the cursor, and proves that it is where this watcher left it.
    async fn fence(&self) -> Result<Confirmed, LedgerError> {
        let deployment = &self.advance.deployment;
        let Some(from) = self.advance.from else {
            let sql = "-- fence_first
                SELECT id FROM deployments WHERE id = $1 FOR NO KEY UPDATE";
            self.query(sql, &[deployment]).await?.first().ok_or(LedgerError::NotFound("deployment"))?;
            // Only a later statement sees the cursor that another watcher made while we waited for the lock.
            let sql = "-- no_cursor
                SELECT block FROM cursors WHERE deployment = $1";
            let confirmed = Confirmed { low: self.advance.confirmed, high: self.advance.confirmed };
            return if self.query(sql, &[deployment]).await?.is_empty() {
                Ok(confirmed)
            } else {
                Err(LedgerError::Fenced)
            };
        };
        let sql = "-- fence
            SELECT confirmed_low, confirmed_high FROM cursors
            WHERE deployment = $1 AND block = $2 AND block_hash = $3 AND halted IS NULL FOR UPDATE";
        let found = self.query(sql, &[deployment, &rows::signed(from.number), &from.hash.as_slice()]).await?;
        let row = found.first().ok_or(LedgerError::Fenced)?;
        Ok(Confirmed { low: rows::unsigned(row, 0)?, high: rows::unsigned(row, 1)? })
    }

    /// Notes that from now on some facts are folded with the new confirmed height, others still with the old.
    async fn widen(&self, confirmed: &Confirmed) -> Result<(), LedgerError> {
        let sql = "-- widen
            UPDATE cursors SET confirmed_low = $2, confirmed_high = $3 WHERE deployment = $1";
        let low = rows::signed(confirmed.low.min(self.advance.confirmed));
        let high = rows::signed(confirmed.high.max(self.advance.confirmed));
        self.query(sql, &[&self.advance.deployment, &low, &high]).await.map(drop)
    }

    async fn move_cursor(&self) -> Result<(), LedgerError> {
        let Advance { deployment, to, confirmed, safe_until, .. } = self.advance;
        let sql = "-- move_cursor
            INSERT INTO cursors (deployment, block, block_hash, block_time, anchor, anchor_hash,
                                 confirmed_low, confirmed_high)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
            ON CONFLICT (deployment) DO UPDATE
            SET block = excluded.block, block_hash = excluded.block_hash, block_time = excluded.block_time,
                anchor = excluded.anchor, anchor_hash = excluded.anchor_hash,
                confirmed_low = excluded.confirmed_low, confirmed_high = excluded.confirmed_high";
        let params: &Params<'_> = &[
            deployment,
            &rows::signed(to.block.number),
            &to.block.hash.as_slice(),
            &time_of(to.block_time),
            &rows::signed(to.anchor.number),
            &to.anchor.hash.as_slice(),
            &rows::signed(*confirmed),
        ];
        self.query(sql, params).await?;
        let sql = "-- safe_until
            UPDATE deployments SET safe_until = $2 WHERE id = $1";
        self.query(sql, &[deployment, &time_of(*safe_until)]).await.map(drop)
    }

    async fn query(&self, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, LedgerError> {
        let statement = self.transaction.prepare_cached(sql).await.map_err(LedgerError::before_commit)?;
        self.transaction.query(&statement, params).await.map_err(LedgerError::before_commit)
    }
}
