//! Refills: what was decided on, what became of it, and the channels that we pay from.

use std::time::Duration;

use channel::{Amount, ChannelId, Today};
use tokio_postgres::Row;

use crate::numeric::Numeric;
use crate::{Fence, IntentState, JobId, Ledger, LedgerError, rows};

/// What happened lately to something that is refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refills {
    /// Decided on, and not on chain: it may still happen.
    pub pending: Amount,
    /// What counts for today, and failures.
    pub today: Today,
    /// The block that the last one was mined in. What the chain said before it is no longer so.
    pub block: u64,
}

/// What became of the last thing that was sent for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// What it is.
    pub state: IntentState,
    /// Whether that stays so.
    pub confirmed: bool,
    /// Why it reverted, if it did and the node said.
    pub reason: Option<String>,
}

/// A channel that we pay from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundRow {
    /// The configuration's name for it.
    pub name: String,
    /// Which.
    pub channel: ChannelId,
    /// What the chain said last.
    pub deposit: Amount,
    /// Taken by its receiver.
    pub claimed: Amount,
    /// Whether it is there and nobody asked to close it.
    pub is_open: bool,
    /// Signed away, as its payers said last.
    pub reported: Amount,
}

impl OutboundRow {
    /// What was spent, as far as we know: what was claimed was signed away, whether it was reported or not.
    pub fn spent(&self) -> Amount {
        self.reported.max(self.claimed)
    }
}

impl Ledger {
    /// What happened lately under this key, without what `except` decided on.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn refills(&self, key: &str, except: Option<JobId>) -> Result<Refills, LedgerError> {
        let sql = "-- refills
            WITH decided AS (
                SELECT t.amount, t.day = (clock_timestamp() AT TIME ZONE 'UTC')::date AS is_todays,
                       (SELECT max(block) FROM intents i WHERE i.job = t.job AND i.state = 'mined') AS mined,
                       j.state = 'open' OR EXISTS (SELECT FROM intents i WHERE i.job = t.job AND NOT i.confirmed)
                           AS is_live
                FROM top_ups t JOIN jobs j ON j.id = t.job WHERE t.key = $1 AND t.job IS DISTINCT FROM $2
            ), failed AS (
                SELECT ended_at FROM jobs WHERE kind = 'refill' AND key = $1 AND state = 'failed' AND ended_at >
                    (SELECT COALESCE(max(d.ended_at), '-infinity') FROM jobs d
                     WHERE d.kind = 'refill' AND d.key = $1 AND d.state = 'done'
                       AND EXISTS (SELECT FROM intents i WHERE i.job = d.id AND i.state = 'mined'))
            )
            SELECT (SELECT COALESCE(sum(amount), 0) FROM decided WHERE is_live AND mined IS NULL),
                   (SELECT COALESCE(sum(amount), 0) FROM decided WHERE is_todays AND (is_live OR mined IS NOT NULL)),
                   (SELECT count(*) FROM failed),
                   (SELECT COALESCE(greatest(extract(epoch FROM clock_timestamp() - max(ended_at)), 0), 0)::float8
                    FROM failed),
                   (SELECT COALESCE(max(mined), 0) FROM decided)";
        let found = self.inner.database.read("refills", sql, &[&key, &except.map(|job| job.0)]).await?;
        let row = found.first().ok_or(LedgerError::NotFound("refills"))?;
        let failures = u32::try_from(rows::unsigned(row, 2)?).unwrap_or(u32::MAX);
        let since_failure =
            Duration::try_from_secs_f64(rows::get(row, 3)?).map_err(|error| LedgerError::corrupt(&error))?;
        let today = Today { refilled: rows::amount(row, 1)?, failures, since_failure };
        Ok(Refills { pending: rows::amount(row, 0)?, today, block: rows::unsigned(row, 4)? })
    }

    /// Stores what an open job decided to add, before anything is signed for it. The first decision stays: it is returned.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] when another wallet is active, or the job has ended.
    pub async fn decide_refill(&self, fence: &Fence, job: JobId, amount: Amount) -> Result<Amount, LedgerError> {
        let sql = "-- decide_refill
            INSERT INTO top_ups (job, key, amount)
            SELECT id, key, $4 FROM jobs
            WHERE id = $3 AND state = 'open'
              AND EXISTS (SELECT FROM leases WHERE name = $1 AND holder = $2 AND expires_at > clock_timestamp())
            ON CONFLICT (job) DO UPDATE SET amount = top_ups.amount
            RETURNING amount";
        let params: &crate::database::Params<'_> = &[&fence.lease, &fence.holder, &job.0, &Numeric(amount)];
        let decided = self.inner.database.write("decide_refill", sql, params).await?;
        let ended = || LedgerError::Conflict("another wallet is the active one, or the job has ended".to_owned());
        rows::amount(decided.first().ok_or_else(ended)?, 0)
    }

    /// What a job decided to add, if it did.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn decided_refill(&self, job: JobId) -> Result<Option<Amount>, LedgerError> {
        let sql = "-- decided_refill
            SELECT amount FROM top_ups WHERE job = $1";
        let found = self.inner.database.read("decided_refill", sql, &[&job.0]).await?;
        found.first().map(|row| rows::amount(row, 0)).transpose()
    }

    /// What became of the last thing that was sent for a job, if anything was.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn fate(&self, job: JobId) -> Result<Option<Fate>, LedgerError> {
        let sql = "-- fate
            SELECT state, confirmed, reason FROM intents WHERE job = $1 ORDER BY id DESC LIMIT 1";
        let found = self.inner.database.read("fate", sql, &[&job.0]).await?;
        let fate = |row: &Row| {
            let state = IntentState::parse(rows::get(row, 0)?)?;
            Ok(Fate { state, confirmed: rows::get(row, 1)?, reason: rows::get(row, 2)? })
        };
        found.first().map(fate).transpose()
    }

    /// Notes what the chain says of a channel that we pay from, and returns all that is known of it. What was reported of
    /// another channel of this name is forgotten.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn note_outbound(&self, seen: &OutboundRow) -> Result<OutboundRow, LedgerError> {
        let sql = "-- note_outbound
            INSERT INTO outbound_channels AS o (name, channel, deposit, claimed, is_open) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (name) DO UPDATE
            SET channel = excluded.channel, deposit = excluded.deposit, claimed = excluded.claimed,
                is_open = excluded.is_open, seen_at = now(),
                reported = CASE WHEN o.channel = excluded.channel THEN o.reported ELSE 0 END
            RETURNING name, channel, deposit, claimed, is_open, reported";
        let (deposit, claimed) = (Numeric(seen.deposit), Numeric(seen.claimed));
        let params: &crate::database::Params<'_> =
            &[&seen.name, &seen.channel.0.as_slice(), &deposit, &claimed, &seen.is_open];
        let noted = self.inner.database.write("note_outbound", sql, params).await?;
        outbound(noted.first().ok_or(LedgerError::NotFound("outbound channel"))?)
    }

    /// Notes how much was signed away of a channel that we pay from; never less than what was reported before.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] for a channel that no wallet has looked at.
    pub async fn report_outbound(&self, name: &str, spent: Amount) -> Result<OutboundRow, LedgerError> {
        let sql = "-- report_outbound
            UPDATE outbound_channels SET reported = greatest(reported, $2) WHERE name = $1
            RETURNING name, channel, deposit, claimed, is_open, reported";
        let noted = self.inner.database.write("report_outbound", sql, &[&name, &Numeric(spent)]).await?;
        outbound(noted.first().ok_or(LedgerError::NotFound("outbound channel"))?)
    }

    /// The channels that we pay from, by name.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbound(&self) -> Result<Vec<OutboundRow>, LedgerError> {
        let sql = "-- outbound
            SELECT name, channel, deposit, claimed, is_open, reported FROM outbound_channels ORDER BY name";
        self.inner.database.read("outbound", sql, &[]).await?.iter().map(outbound).collect()
    }
}

fn outbound(row: &Row) -> Result<OutboundRow, LedgerError> {
    Ok(OutboundRow {
        name: rows::get(row, 0)?,
        channel: rows::channel_id(row, 1)?,
        deposit: rows::amount(row, 2)?,
        claimed: rows::amount(row, 3)?,
        is_open: rows::get(row, 4)?,
        reported: rows::amount(row, 5)?,
    })
}
