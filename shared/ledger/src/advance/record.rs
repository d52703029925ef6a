//! The events: new ones stored, orphaned ones marked, and the channels found that either touches.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use channel::{ChannelId, Event};

use super::{Confirmed, Walk};
use crate::database::Params;
use crate::{LedgerError, rows};

/// Events that one statement stores.
const EVENTS_MAX: usize = 5_000;

/// What makes an event this one and no other.
type Place = (u64, B256, u64);

impl Walk<'_> {
    /// Stores the events, marks the orphans, and returns every channel whose facts may differ now.
    pub(super) async fn record(&self, confirmed: &Confirmed) -> Result<Vec<ChannelId>, LedgerError> {
        let given = self.advance.events.iter().map(|new| &new.event);
        let given: BTreeMap<Place, &Event> = given.map(|event| (place(event), event)).collect();
        let orphans: Vec<Event> = self.stored().await?.into_iter().filter(|e| !given.contains_key(&place(e))).collect();
        self.mark_orphans(&orphans).await?;
        let events: Vec<&Event> = given.values().copied().collect();
        for chunk in events.chunks(EVENTS_MAX) {
            self.store(chunk).await?;
        }
        let mut touched: BTreeSet<ChannelId> = events.iter().map(|event| event.channel).collect();
        touched.extend(orphans.iter().map(|event| event.channel));
        touched.extend(self.crossing(confirmed).await?);
        Ok(touched.into_iter().collect())
    }

    /// What we know of the blocks that were read again.
    async fn stored(&self) -> Result<Vec<Event>, LedgerError> {
        let sql = "-- stored
            SELECT channel, block, block_hash, tx_hash, log_index, kind, amount, deadline_block, deadline_time
            FROM events
            WHERE deployment = $1 AND block >= $2 AND NOT orphaned";
        let params: &Params<'_> = &[&self.advance.deployment, &rows::signed(self.advance.rescan_from)];
        self.query(sql, params).await?.iter().map(rows::event).collect()
    }

    async fn mark_orphans(&self, orphans: &[Event]) -> Result<(), LedgerError> {
        if orphans.is_empty() {
            return Ok(());
        }
        let sql = "-- mark_orphans
            UPDATE events e SET orphaned = true
            FROM unnest($2::int8[], $3::bytea[], $4::int8[]) AS u(block, block_hash, log_index)
            WHERE e.deployment = $1 AND e.block = u.block AND e.block_hash = u.block_hash
              AND e.log_index = u.log_index";
        let blocks: Vec<i64> = orphans.iter().map(|event| rows::signed(event.block.number)).collect();
        let hashes: Vec<&[u8]> = orphans.iter().map(|event| event.block.hash.as_slice()).collect();
        let indexes: Vec<i64> = orphans.iter().map(|event| rows::signed(event.log_index)).collect();
        self.query(sql, &[&self.advance.deployment, &blocks, &hashes, &indexes]).await?;
        tracing::info!(deployment = self.advance.deployment, events = orphans.len(), "a reorg took events back");
        Ok(())
    }

    /// Stores events. One whose block came back is no orphan any more.
    async fn store(&self, events: &[&Event]) -> Result<(), LedgerError> {
        let sql = "-- store_events
            INSERT INTO events (deployment, block, block_hash, log_index, tx_hash, channel, kind, amount,
                                deadline_block, deadline_time)
            SELECT $1, u.* FROM unnest($2::int8[], $3::bytea[], $4::int8[], $5::bytea[], $6::bytea[], $7::text[],
                                       $8::numeric[], $9::int8[], $10::int8[]) AS u
            ON CONFLICT (deployment, block, block_hash, log_index)
            DO UPDATE SET orphaned = false WHERE events.orphaned";
        let blocks: Vec<i64> = events.iter().map(|event| rows::signed(event.block.number)).collect();
        let hashes: Vec<&[u8]> = events.iter().map(|event| event.block.hash.as_slice()).collect();
        let indexes: Vec<i64> = events.iter().map(|event| rows::signed(event.log_index)).collect();
        let transactions: Vec<&[u8]> = events.iter().map(|event| event.tx_hash.as_slice()).collect();
        let channels: Vec<&[u8]> = events.iter().map(|event| event.channel.0.as_slice()).collect();
        let columns: Vec<_> = events.iter().map(|event| rows::event_columns(&event.kind)).collect();
        let kinds: Vec<&str> = columns.iter().map(|columns| columns.0).collect();
        let amounts: Vec<_> = columns.iter().map(|columns| columns.1).collect();
        let deadline_blocks: Vec<_> = columns.iter().map(|columns| columns.2).collect();
        let deadline_times: Vec<_> = columns.iter().map(|columns| columns.3).collect();
        let params: &Params<'_> = &[
            &self.advance.deployment,
            &blocks,
            &hashes,
            &indexes,
            &transactions,
            &channels,
            &kinds,
            &amounts,
            &deadline_blocks,
            &deadline_times,
        ];
        self.query(sql, params).await.map(drop)
    }

    /// Channels with incoming money in a block that became confirmed, or is no longer.
    async fn crossing(&self, confirmed: &Confirmed) -> Result<Vec<ChannelId>, LedgerError> {
        let low = confirmed.low.min(self.advance.confirmed);
        let high = confirmed.high.max(self.advance.confirmed);
        let sql = "-- crossing
            SELECT DISTINCT channel FROM events
            WHERE deployment = $1 AND block > $2 AND block <= $3 AND kind IN ('opened', 'topped_up') AND NOT orphaned";
        let params: &Params<'_> = &[&self.advance.deployment, &rows::signed(low), &rows::signed(high)];
        self.query(sql, params).await?.iter().map(|row| rows::channel_id(row, 0)).collect()
    }
}

fn place(event: &Event) -> Place {
    (event.block.number, event.block.hash, event.log_index)
}
