//! The facts: folded from scratch for every channel that is touched, with the work that follows from them.

use std::collections::HashMap;

use channel::{Action, Amount, Channel, ChannelId, Epoch, Event, absorb_claims, facts, plan};

use super::Walk;
use crate::database::Params;
use crate::numeric::Numeric;
use crate::rows::{self, accounts};
use crate::{JobKind, LedgerError};

impl Walk<'_> {
    /// Folds these channels again: at most as many as one transaction may lock.
    pub(super) async fn fold(&self, channels: &[ChannelId]) -> Result<(), LedgerError> {
        if channels.is_empty() {
            return Ok(());
        }
        self.make_known(channels).await?;
        let ids: Vec<&[u8]> = channels.iter().map(|id| id.0.as_slice()).collect();
        let sql = "-- lock_touched
            SELECT channel, number FROM epochs WHERE channel = ANY($1) ORDER BY channel, number FOR UPDATE";
        self.query(sql, &[&ids]).await?;
        let events = self.events_of(&ids).await?;

        let sql = accounts!("accounts", "WHERE c.id = ANY($1) ORDER BY e.number");
        let accounts: Vec<_> = self.query(sql, &[&ids]).await?.iter().map(rows::account).collect::<Result<_, _>>()?;
        // The newest epoch of a channel is the last one read.
        let newest: HashMap<ChannelId, _> = accounts.into_iter().map(|account| (account.0.id, account)).collect();
        let (mut folded, mut absorbed, mut actions) = (Vec::new(), Vec::new(), Vec::new());
        for (id, (mut channel, mut epoch)) in newest {
            let events = events.get(&id).map_or(&[][..], Vec::as_slice);
            channel.facts = facts(events, self.advance.confirmed);
            let missed = absorb_claims(&channel.facts, &mut epoch);
            if !missed.is_zero() {
                metrics::counter!("ledger_claims_absorbed_total").increment(1);
                tracing::error!(channel.id = %id, amount = %missed, "more was claimed than we hold vouchers for");
                absorbed.push((id, epoch.clone(), missed));
            }
            actions.extend(plan(&channel, &epoch).map(|action| (id, action)));
            folded.push(channel);
        }
        self.write_facts(&folded).await?;
        self.write_absorbed(&absorbed).await?;
        self.add_jobs(&actions).await
    }

    /// Rows for channels that were never seen before.
    async fn make_known(&self, channels: &[ChannelId]) -> Result<(), LedgerError> {
        let given = self.advance.events.iter().filter(|new| channels.binary_search(&new.event.channel).is_ok());
        let given: HashMap<ChannelId, _> = given.map(|new| (new.event.channel, new)).collect();
        let ids: Vec<&[u8]> = given.keys().map(|id| id.0.as_slice()).collect();
        let payers: Vec<&[u8]> = given.values().map(|new| new.payer.as_slice()).collect();
        let params: Vec<&[u8]> = given.values().map(|new| &new.params[..]).collect();
        let sql = "-- make_channels_known
            INSERT INTO channels (id, deployment, payer, params, confirmed, deposit, pending, claimed, status)
            SELECT u.id, $1, u.payer, u.params, false, 0, 0, 0, 'absent'
            FROM unnest($2::bytea[], $3::bytea[], $4::bytea[]) AS u(id, payer, params)
            ON CONFLICT (id) DO NOTHING";
        self.query(sql, &[&self.advance.deployment, &ids, &payers, &params]).await?;
        let sql = "-- make_epochs_known
            INSERT INTO epochs (channel, number) SELECT id, 0 FROM unnest($1::bytea[]) AS id
            ON CONFLICT (channel, number) DO NOTHING";
        self.query(sql, &[&ids]).await.map(drop)
    }

    /// The canonical events of channels, in the order of the chain.
    async fn events_of(&self, ids: &[&[u8]]) -> Result<HashMap<ChannelId, Vec<Event>>, LedgerError> {
        let sql = "-- events_of
            SELECT channel, block, block_hash, tx_hash, log_index, kind, amount, deadline_block, deadline_time
            FROM events
            WHERE channel = ANY($1) AND deployment = $2 AND NOT orphaned ORDER BY channel, block, log_index";
        let mut events: HashMap<ChannelId, Vec<Event>> = HashMap::new();
        for row in &self.query(sql, &[&ids, &self.advance.deployment]).await? {
            let event = rows::event(row)?;
            events.entry(event.channel).or_default().push(event);
        }
        Ok(events)
    }

    async fn write_facts(&self, channels: &[Channel]) -> Result<(), LedgerError> {
        let sql = "-- write_facts
            UPDATE channels c
            SET confirmed = u.confirmed, deposit = u.deposit, pending = u.pending, claimed = u.claimed,
                status = u.status, requested = u.requested,
                deadline_block = u.deadline_block, deadline_time = u.deadline_time
            FROM unnest($1::bytea[], $2::bool[], $3::numeric[], $4::numeric[], $5::numeric[], $6::text[], $7::numeric[],
                        $8::int8[], $9::int8[])
                 AS u(id, confirmed, deposit, pending, claimed, status, requested, deadline_block, deadline_time)
            WHERE c.id = u.id";
        let ids: Vec<&[u8]> = channels.iter().map(|channel| channel.id.0.as_slice()).collect();
        let confirmed: Vec<bool> = channels.iter().map(|channel| channel.facts.confirmed).collect();
        let deposits: Vec<_> = channels.iter().map(|channel| Numeric(channel.facts.deposit)).collect();
        let pending: Vec<_> = channels.iter().map(|channel| Numeric(channel.facts.pending)).collect();
        let claimed: Vec<_> = channels.iter().map(|channel| Numeric(channel.facts.claimed)).collect();
        let statuses: Vec<_> = channels.iter().map(|channel| rows::status_columns(&channel.facts.status)).collect();
        let words: Vec<&str> = statuses.iter().map(|columns| columns.0).collect();
        let requested: Vec<_> = statuses.iter().map(|columns| columns.1).collect();
        let blocks: Vec<_> = statuses.iter().map(|columns| columns.2).collect();
        let times: Vec<_> = statuses.iter().map(|columns| columns.3).collect();
        let params: &Params<'_> =
            &[&ids, &confirmed, &deposits, &pending, &claimed, &words, &requested, &blocks, &times];
        self.query(sql, params).await.map(drop)
    }

    async fn write_absorbed(&self, absorbed: &[(ChannelId, Epoch, Amount)]) -> Result<(), LedgerError> {
        if absorbed.is_empty() {
            return Ok(());
        }
        let sql = "-- write_absorbed
            UPDATE epochs e SET authorised = u.authorised, spent = u.spent
            FROM unnest($1::bytea[], $2::int8[], $3::numeric[], $4::numeric[]) AS u(channel, number, authorised, spent)
            WHERE e.channel = u.channel AND e.number = u.number";
        let ids: Vec<&[u8]> = absorbed.iter().map(|(id, ..)| id.0.as_slice()).collect();
        let numbers: Vec<i64> = absorbed.iter().map(|(_, epoch, _)| rows::signed(epoch.number)).collect();
        let authorised: Vec<_> = absorbed.iter().map(|(_, epoch, _)| Numeric(epoch.authorised)).collect();
        let spent: Vec<_> = absorbed.iter().map(|(_, epoch, _)| Numeric(epoch.spent)).collect();
        self.query(sql, &[&ids, &numbers, &authorised, &spent]).await?;
        // It counts as spent, so it is noted: on no route, and for no call of ours.
        let sql = "-- log_absorbed
            INSERT INTO sales_log (routes, channels, amounts, calls)
            VALUES (array_fill(''::text, ARRAY[$3::int4]), $1, $2, array_fill(0, ARRAY[$3::int4]))";
        let missed: Vec<_> = absorbed.iter().map(|(.., missed)| Numeric(*missed)).collect();
        let count = i32::try_from(absorbed.len()).map_err(|error| LedgerError::corrupt(&error))?;
        self.query(sql, &[&ids, &missed, &count]).await.map(drop)
    }

    /// Adds the jobs that follow, in the same transaction. What is open already is not added again.
    async fn add_jobs(&self, actions: &[(ChannelId, Action)]) -> Result<(), LedgerError> {
        if actions.is_empty() {
            return Ok(());
        }
        let sql = "-- add_jobs
            WITH added AS (
                INSERT INTO jobs (kind, key, deployment, channel, amount)
                SELECT $1, u.key, $2, u.channel, u.amount
                FROM unnest($3::text[], $4::bytea[], $5::numeric[]) AS u(key, channel, amount)
                ON CONFLICT (kind, key) WHERE state = 'open' DO NOTHING
                RETURNING kind
            )
            SELECT pg_notify('sluice_jobs', kind) FROM (SELECT DISTINCT kind FROM added) k";
        let amounts = actions.iter().map(|(_, Action::Challenge { amount, .. })| *amount);
        let keys: Vec<String> =
            actions.iter().zip(amounts.clone()).map(|((id, _), amount)| format!("{id}:{amount}")).collect();
        let ids: Vec<&[u8]> = actions.iter().map(|(id, _)| id.0.as_slice()).collect();
        let amounts: Vec<_> = amounts.map(Numeric).collect();
        let kind = JobKind::Challenge.as_str();
        self.query(sql, &[&kind, &self.advance.deployment, &keys, &ids, &amounts]).await.map(drop)
    }
}
