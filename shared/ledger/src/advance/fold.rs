//! The facts: folded from scratch for every channel that is touched, with the work that follows from them.

use std::collections::HashMap;

use channel::{Amount, Channel, ChannelId, Epoch, Event, absorb_claims, challenge, facts};

use super::Walk;
use crate::database::Params;
use crate::numeric::Numeric;
use crate::planning::{ADD_JOBS, JobColumns};
use crate::rows::{self, accounts};
use crate::{LedgerError, NewJob, metric};

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
        let (mut folded, mut absorbed, mut challenges) = (Vec::new(), Vec::new(), Vec::new());
        for (id, (mut channel, mut epoch)) in newest {
            let events = events.get(&id).map_or(&[][..], Vec::as_slice);
            let before = channel.facts.claimed;
            channel.facts = facts(events, self.advance.confirmed);
            let published = epoch.published;
            let paid = channel.facts.claimed.saturating_sub(before);
            if !paid.is_zero() {
                metric::claimed(&self.advance.deployment, paid);
            }
            let missed = absorb_claims(&channel.facts, &mut epoch);
            if !missed.is_zero() {
                metrics::counter!("ledger_claims_absorbed_total").increment(1);
                tracing::error!(channel.id = %id, amount = %missed, "more was claimed than we hold vouchers for");
            }
            if !missed.is_zero() || epoch.published > published {
                absorbed.push((id, epoch.clone(), missed));
            }
            let answer = challenge(&channel, &epoch);
            challenges.extend(answer.map(|answer| NewJob::challenge(&channel, answer.amount())));
            folded.push((channel, before));
        }
        self.write_facts(&folded).await?;
        self.write_absorbed(&absorbed).await?;
        self.write_ages(&folded).await?;
        self.add_challenges(&challenges).await
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

    async fn write_facts(&self, accounts: &[(Channel, Amount)]) -> Result<(), LedgerError> {
        let sql = "-- write_facts
            UPDATE channels c
            SET confirmed = u.confirmed, deposit = u.deposit, pending = u.pending, claimed = u.claimed,
                status = u.status, requested = u.requested,
                deadline_block = u.deadline_block, deadline_time = u.deadline_time
            FROM unnest($1::bytea[], $2::bool[], $3::numeric[], $4::numeric[], $5::numeric[], $6::text[], $7::numeric[],
                        $8::int8[], $9::int8[])
                 AS u(id, confirmed, deposit, pending, claimed, status, requested, deadline_block, deadline_time)
            WHERE c.id = u.id";
        let channels = || accounts.iter().map(|(channel, _)| channel);
        let ids: Vec<&[u8]> = channels().map(|channel| channel.id.0.as_slice()).collect();
        let confirmed: Vec<bool> = channels().map(|channel| channel.facts.confirmed).collect();
        let deposits: Vec<_> = channels().map(|channel| Numeric(channel.facts.deposit)).collect();
        let pending: Vec<_> = channels().map(|channel| Numeric(channel.facts.pending)).collect();
        let claimed: Vec<_> = channels().map(|channel| Numeric(channel.facts.claimed)).collect();
        let statuses: Vec<_> = channels().map(|channel| rows::status_columns(&channel.facts.status)).collect();
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
            UPDATE epochs e SET authorised = u.authorised, spent = u.spent, published = u.published
            FROM unnest($1::bytea[], $2::int8[], $3::numeric[], $4::numeric[], $5::numeric[])
                 AS u(channel, number, authorised, spent, published)
            WHERE e.channel = u.channel AND e.number = u.number";
        let ids: Vec<&[u8]> = absorbed.iter().map(|(id, ..)| id.0.as_slice()).collect();
        let numbers: Vec<i64> = absorbed.iter().map(|(_, epoch, _)| rows::signed(epoch.number)).collect();
        let authorised: Vec<_> = absorbed.iter().map(|(_, epoch, _)| Numeric(epoch.authorised)).collect();
        let spent: Vec<_> = absorbed.iter().map(|(_, epoch, _)| Numeric(epoch.spent)).collect();
        let published: Vec<_> = absorbed.iter().map(|(_, epoch, _)| Numeric(epoch.published)).collect();
        self.query(sql, &[&ids, &numbers, &authorised, &spent, &published]).await?;
        let missed = absorbed.iter().filter(|(.., missed)| !missed.is_zero());
        let (ids, missed): (Vec<&[u8]>, Vec<_>) =
            missed.map(|(id, _, missed)| (id.0.as_slice(), Numeric(*missed))).unzip();
        if ids.is_empty() {
            return Ok(());
        }
        // It counts as spent, so it is noted: on no route, and for no call of ours.
        let sql = "-- log_absorbed
            INSERT INTO sales_log (routes, channels, amounts, calls)
            VALUES (array_fill(''::text, ARRAY[$3::int4]), $1, $2, array_fill(0, ARRAY[$3::int4]))";
        let count = i32::try_from(ids.len()).map_err(|error| LedgerError::corrupt(&error))?;
        self.query(sql, &[&ids, &missed, &count]).await.map(drop)
    }

    /// Notes since when there has been something to claim. What is left after a claim counts as new: its first voucher came
    /// while the claim was on its way.
    async fn write_ages(&self, accounts: &[(Channel, Amount)]) -> Result<(), LedgerError> {
        let sql = "-- write_ages
            UPDATE epochs e
            SET unclaimed_since = CASE WHEN e.voucher_amount > u.claimed
                THEN CASE WHEN u.claimed > u.before THEN now() ELSE COALESCE(e.unclaimed_since, now()) END END
            FROM unnest($1::bytea[], $2::numeric[], $3::numeric[]) AS u(id, claimed, before)
            WHERE e.channel = u.id AND e.number = (SELECT max(number) FROM epochs WHERE channel = u.id)
              AND (u.claimed > u.before
                   OR COALESCE(e.voucher_amount > u.claimed, false) <> (e.unclaimed_since IS NOT NULL))";
        let ids: Vec<&[u8]> = accounts.iter().map(|(channel, _)| channel.id.0.as_slice()).collect();
        let claimed: Vec<_> = accounts.iter().map(|(channel, _)| Numeric(channel.facts.claimed)).collect();
        let before: Vec<_> = accounts.iter().map(|(_, before)| Numeric(*before)).collect();
        self.query(sql, &[&ids, &claimed, &before]).await.map(drop)
    }

    /// Adds the answers that follow, in the same transaction. What is open already is not added again.
    async fn add_challenges(&self, jobs: &[NewJob]) -> Result<(), LedgerError> {
        if jobs.is_empty() {
            return Ok(());
        }
        self.query(ADD_JOBS, &JobColumns::of(jobs).params()).await.map(drop)
    }
}
