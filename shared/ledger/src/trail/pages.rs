use std::collections::{HashMap, VecDeque};

use alloy_primitives::{Address, B256, Bytes};
use channel::{BlockRef, ChannelId};
use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    ChannelRecord, DeploymentRecord, EpochRecord, EventRecord, Out, Record, SaleRecord, SignedAmount, Snapshot,
    TransactionRecord,
};
use crate::rows::accounts;
use crate::{LedgerError, rows};

/// Rows of one page.
const PAGE: usize = 500;
/// The same, as SQL takes it.
const LIMIT: i64 = 500;
/// Rows of the log of sales in one page: each holds a batch of them.
const LOG_LIMIT: i64 = 20;

pub(super) async fn deployments(snapshot: &Snapshot, out: &mut Out) -> Result<(), LedgerError> {
    let sql = "-- trail_deployments
        SELECT d.id, d.chain_id, d.contract, d.token, d.payee, c.block, c.block_hash, c.confirmed_low
        FROM deployments d LEFT JOIN cursors c ON c.deployment = d.id ORDER BY d.id";
    for row in &snapshot.read("trail_deployments", sql, &[]).await? {
        let is_read = rows::get::<Option<i64>>(row, 5)?.is_some();
        let read_to = || {
            Ok::<_, LedgerError>(BlockRef { number: rows::unsigned(row, 5)?, hash: B256::from(rows::fixed(row, 6)?) })
        };
        out.give(Record::Deployment(DeploymentRecord {
            name: rows::get(row, 0)?,
            chain_id: rows::unsigned(row, 1)?,
            contract: Address::from(rows::fixed(row, 2)?),
            token: Address::from(rows::fixed(row, 3)?),
            payee: Address::from(rows::fixed(row, 4)?),
            read_to: is_read.then(read_to).transpose()?,
            confirmed: is_read.then(|| rows::unsigned(row, 7)).transpose()?,
        }))
        .await?;
    }
    Ok(())
}

pub(super) async fn channels(snapshot: &Snapshot, since: Option<Timestamp>, out: &mut Out) -> Result<(), LedgerError> {
    let sql = "-- trail_channels
        SELECT c.id, c.created_at, s.amount, s.signature
        FROM channels c LEFT JOIN closings s ON s.channel = c.id
        WHERE c.id > $1
          AND ($2::timestamptz IS NULL OR c.status IN ('open', 'closing') OR c.created_at >= $2 OR s.signed_at >= $2
               OR EXISTS (SELECT FROM events e WHERE e.channel = c.id AND e.seen_at >= $2))
        ORDER BY c.id LIMIT $3";
    let mut after = Vec::<u8>::new();
    loop {
        let page = snapshot.read("trail_channels", sql, &[&after, &since, &LIMIT]).await?;
        let ids = page.iter().map(|row| rows::get::<&[u8]>(row, 0)).collect::<Result<Vec<_>, _>>()?;
        let Some(last) = ids.last() else { return Ok(()) };
        after = last.to_vec();
        let mut accounts = accounts_of(snapshot, &ids).await?;
        let mut events = Events { snapshot, ids: &ids, read: VecDeque::new(), after: None, ended: false };
        for row in &page {
            let id = rows::channel_id(row, 0)?;
            let mut record = accounts.remove(&id).ok_or(LedgerError::NotFound("epoch"))?;
            record.created_at = rows::get(row, 1)?;
            record.closing = signed_amount(row, 2, 3)?;
            out.give(Record::Channel(Box::new(record))).await?;
            while let Some(event) = events.next_of(id).await? {
                out.give(Record::Event(event)).await?;
            }
        }
    }
}

/// Channels with all their epochs. When they were made, and their closings, are left to be filled in.
async fn accounts_of(snapshot: &Snapshot, ids: &[&[u8]]) -> Result<HashMap<ChannelId, ChannelRecord>, LedgerError> {
    let sql = accounts!("trail_accounts", "WHERE c.id = ANY($1) ORDER BY e.channel, e.number");
    let mut records: HashMap<ChannelId, ChannelRecord> = HashMap::new();
    for row in &snapshot.read("trail_accounts", sql, &[&ids]).await? {
        let (channel, epoch) = rows::account(row)?;
        let signed = |(amount, signature): (_, channel::Signature)| SignedAmount {
            amount,
            signature: Bytes::copy_from_slice(signature.as_bytes()),
        };
        let record = records.entry(channel.id).or_insert_with(|| ChannelRecord {
            id: channel.id,
            deployment: channel.deployment,
            payer: channel.payer,
            params: channel.params,
            created_at: Timestamp::UNIX_EPOCH,
            facts: channel.facts,
            agreed_close: channel.agreed_close,
            epochs: Vec::new(),
            closing: None,
        });
        record.epochs.push(EpochRecord {
            number: epoch.number,
            authorised: epoch.authorised,
            spent: epoch.spent,
            held: epoch.held,
            published: epoch.published,
            voucher: epoch.voucher.map(signed),
        });
    }
    Ok(records)
}

/// The events of a page of channels, in the order of the channels.
struct Events<'a> {
    snapshot: &'a Snapshot,
    ids: &'a [&'a [u8]],
    read: VecDeque<EventRecord>,
    after: Option<EventRecord>,
    ended: bool,
}

impl Events<'_> {
    /// The next event, if it is one of this channel.
    async fn next_of(&mut self, channel: ChannelId) -> Result<Option<EventRecord>, LedgerError> {
        if self.read.is_empty() && !self.ended {
            self.read_on().await?;
        }
        Ok(self.read.pop_front_if(|event| event.event.channel == channel))
    }

    async fn read_on(&mut self) -> Result<(), LedgerError> {
        let sql = "-- trail_events
            SELECT channel, block, block_hash, tx_hash, log_index, kind, amount, deadline_block, deadline_time,
                   orphaned, seen_at
            FROM events
            WHERE channel = ANY($1) AND (channel, block, log_index, block_hash) > ($2, $3, $4, $5)
            ORDER BY channel, block, log_index, block_hash LIMIT $6";
        let place = self.after.as_ref().map(|after| &after.event);
        let channel = place.map_or(&[][..], |event| event.channel.0.as_slice());
        let hash = place.map_or(&[][..], |event| event.block.hash.as_slice());
        let (block, index) =
            place.map_or((-1, -1), |event| (rows::signed(event.block.number), rows::signed(event.log_index)));
        let page =
            self.snapshot.read("trail_events", sql, &[&self.ids, &channel, &block, &index, &hash, &LIMIT]).await?;
        for row in &page {
            self.read.push_back(EventRecord {
                event: rows::event(row)?,
                orphaned: rows::get(row, 9)?,
                seen_at: rows::get(row, 10)?,
            });
        }
        self.after = self.read.back().cloned();
        self.ended = page.len() < PAGE;
        Ok(())
    }
}

pub(super) async fn sales(snapshot: &Snapshot, since: Option<Timestamp>, out: &mut Out) -> Result<(), LedgerError> {
    let sql = "-- trail_sales
        SELECT day, deployment, route, payer, amount, calls FROM sales
        WHERE (day, deployment, route, payer) > ($1, $2, $3, $4)
          AND ($5::timestamptz IS NULL OR day >= ($5::timestamptz AT TIME ZONE 'UTC')::date)
        ORDER BY day, deployment, route, payer LIMIT $6";
    let mut after = (jiff::civil::Date::constant(1, 1, 1), String::new(), String::new(), Vec::<u8>::new());
    loop {
        let (day, deployment, route, payer) = &after;
        let page = snapshot.read("trail_sales", sql, &[day, deployment, route, payer, &since, &LIMIT]).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = (rows::get(last, 0)?, rows::get(last, 1)?, rows::get(last, 2)?, rows::get(last, 3)?);
        for row in &page {
            out.give(Record::Sale(sale(row)?)).await?;
        }
    }
}

/// What was sold and is not in the sums yet.
pub(super) async fn unfolded(snapshot: &Snapshot, since: Option<Timestamp>, out: &mut Out) -> Result<(), LedgerError> {
    let sql = "-- trail_unfolded
        WITH page AS (SELECT * FROM sales_log WHERE id > $1 ORDER BY id LIMIT $2)
        SELECT (p.at AT TIME ZONE 'UTC')::date, c.deployment, u.route, c.payer, sum(u.amount), sum(u.calls)::int8,
               (SELECT max(id) FROM page)
        FROM page p
        CROSS JOIN LATERAL unnest(p.routes, p.channels, p.amounts, p.calls) AS u(route, channel, amount, calls)
        JOIN channels c ON c.id = u.channel
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
    let mut after = 0_i64;
    loop {
        let page = snapshot.read("trail_unfolded", sql, &[&after, &LOG_LIMIT]).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = rows::get(last, 6)?;
        for row in &page {
            let record = sale(row)?;
            let first = since.map(|since| since.to_zoned(jiff::tz::TimeZone::UTC).date());
            if first.is_none_or(|first| record.day >= first) {
                out.give(Record::Sale(record)).await?;
            }
        }
    }
}

fn sale(row: &Row) -> Result<SaleRecord, LedgerError> {
    Ok(SaleRecord {
        day: rows::get(row, 0)?,
        deployment: rows::get(row, 1)?,
        route: rows::get(row, 2)?,
        payer: Address::from(rows::fixed(row, 3)?),
        amount: rows::amount(row, 4)?,
        calls: rows::unsigned(row, 5)?,
    })
}

pub(super) async fn transactions(
    snapshot: &Snapshot,
    since: Option<Timestamp>,
    out: &mut Out,
) -> Result<(), LedgerError> {
    let sql = "-- trail_transactions
        SELECT t.chain_id, t.account, t.nonce, t.number, t.hash, t.raw, t.noop, t.created_at,
               i.id, i.job, i.channel, i.state, i.block, i.confirmed, i.reason
        FROM transactions t JOIN intents i ON i.id = t.intent
        WHERE (t.chain_id, t.account, t.nonce, t.number) > ($1, $2, $3, $4)
          AND ($5::timestamptz IS NULL OR t.created_at >= $5)
        ORDER BY t.chain_id, t.account, t.nonce, t.number LIMIT $6";
    let mut after = (0_i64, Vec::<u8>::new(), 0_i64, 0_i32);
    loop {
        let (chain, account, nonce, number) = &after;
        let page = snapshot.read("trail_transactions", sql, &[chain, account, nonce, number, &since, &LIMIT]).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = (rows::get(last, 0)?, rows::get(last, 1)?, rows::get(last, 2)?, rows::get(last, 3)?);
        for row in &page {
            out.give(Record::Transaction(Box::new(transaction(row)?))).await?;
        }
    }
}

fn transaction(row: &Row) -> Result<TransactionRecord, LedgerError> {
    Ok(TransactionRecord {
        chain_id: rows::unsigned(row, 0)?,
        account: Address::from(rows::fixed(row, 1)?),
        nonce: rows::unsigned(row, 2)?,
        number: u32::try_from(rows::get::<i32>(row, 3)?).map_err(|error| LedgerError::corrupt(&error))?,
        hash: B256::from(rows::fixed(row, 4)?),
        raw: Bytes::copy_from_slice(rows::get(row, 5)?),
        noop: rows::get(row, 6)?,
        created_at: rows::get(row, 7)?,
        intent: rows::get(row, 8)?,
        job: rows::get(row, 9)?,
        channel: rows::get::<Option<&[u8]>>(row, 10)?.map(|_| rows::channel_id(row, 10)).transpose()?,
        state: rows::get(row, 11)?,
        block: rows::get::<Option<i64>>(row, 12)?.map(|_| rows::unsigned(row, 12)).transpose()?,
        confirmed: rows::get(row, 13)?,
        reason: rows::get(row, 14)?,
    })
}

fn signed_amount(row: &Row, amount: usize, signature: usize) -> Result<Option<SignedAmount>, LedgerError> {
    let Some(amount) = rows::optional_amount(row, amount)? else { return Ok(None) };
    Ok(Some(SignedAmount { amount, signature: Bytes::copy_from_slice(rows::get(row, signature)?) }))
}
