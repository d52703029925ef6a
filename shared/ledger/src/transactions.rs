//! The journal of what the wallet sends. Journal before broadcast.
//!
//! Two things keep a wallet from harm that was paused and wakes up when another one is active: every statement here asks
//! for its lease, and no two transactions have the same number under the same nonce.

use alloy_primitives::{Address, B256, Bytes};
use channel::ChannelId;

use crate::{IntentId, IntentState, JobId, Lane, Ledger, LedgerError, rows};

/// The lease that who writes here must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lease's name.
    pub lease: String,
    /// Who has it.
    pub holder: String,
}

/// Something to be mined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIntent {
    /// Why; `None` to fill a gap in the nonces.
    pub job: Option<JobId>,
    /// The channel it is about.
    pub channel: Option<ChannelId>,
    /// What goes first.
    pub lane: Lane,
}

/// A signed transaction that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTransaction {
    /// Its hash.
    pub hash: B256,
    /// The chain it is for.
    pub chain_id: u64,
    /// Who sends it.
    pub account: Address,
    /// The account's nonce in it.
    pub nonce: u64,
    /// How many were signed for this nonce before it.
    pub number: u32,
    /// Whether it does nothing but use the nonce up.
    pub noop: bool,
    /// What is broadcast.
    pub raw: Bytes,
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which.
    pub intent: IntentId,
    /// What it is now.
    pub state: IntentState,
    /// The block that used its nonce up.
    pub block: Option<u64>,
    /// Whether that block is so deep that this stays.
    pub confirmed: bool,
    /// Why it reverted, when it did and the node said.
    pub reason: Option<String>,
}

impl Ledger {
    /// Journals an intent with its first transaction. Whatever else its nonce was to be used for is thereby replaced.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`]: another wallet is active, was first with this number of the nonce, or with the job, or the
    /// job was done (what is urgent may be done again once that is certain: its contract decides); broadcast nothing. [`LedgerError::OutcomeUnknown`]: look into [`Ledger::slots`].
    pub async fn journal(
        &self,
        fence: &Fence,
        intent: &NewIntent,
        transaction: &NewTransaction,
    ) -> Result<IntentId, LedgerError> {
        // Locked, so that what waits to be mined is not just being found mined: it would be in neither condition.
        let sql = "-- journal
            WITH others AS MATERIALIZED (
                SELECT lane, state, confirmed FROM intents WHERE job = $10 FOR SHARE
            ), active AS MATERIALIZED (
                SELECT FROM leases WHERE name = $1 AND holder = $2 AND expires_at > clock_timestamp()
                  AND NOT EXISTS (SELECT FROM others WHERE state = 'mined' AND (lane = 'normal' OR NOT confirmed))
            ), displaced AS (
                UPDATE intents SET state = 'replaced', updated_at = now()
                WHERE chain_id = $3 AND account = $4 AND nonce = $5 AND state IN ('prepared', 'broadcast')
                  AND EXISTS (SELECT FROM active)
            ), opened AS (
                INSERT INTO intents (chain_id, account, nonce, job, channel, lane, state)
                SELECT $3, $4, $5, $10, $11, $12, 'prepared' FROM active RETURNING id
            )
            INSERT INTO transactions (hash, chain_id, account, nonce, number, noop, raw, intent)
            SELECT $6, $3, $4, $5, $7, $8, $9, id FROM opened RETURNING intent";
        let channel = intent.channel.as_ref().map(|id| id.0.as_slice());
        let (job, lane) = (intent.job.map(|job| job.0), intent.lane.as_str());
        let written = self.write_fenced("journal", sql, fence, transaction, &[&job, &channel, &lane]).await?;
        Ok(IntentId(rows::get(&written, 0)?))
    }

    /// Journals another transaction for an intent.
    ///
    /// # Errors
    /// As [`Ledger::journal`].
    pub async fn journal_again(
        &self,
        fence: &Fence,
        intent: IntentId,
        transaction: &NewTransaction,
    ) -> Result<(), LedgerError> {
        let sql = "-- journal_again
            INSERT INTO transactions (hash, chain_id, account, nonce, number, noop, raw, intent)
            SELECT $6, $3, $4, $5, $7, $8, $9, $10
            FROM leases WHERE name = $1 AND holder = $2 AND expires_at > clock_timestamp() RETURNING intent";
        self.write_fenced("journal_again", sql, fence, transaction, &[&intent.0]).await.map(drop)
    }

    async fn write_fenced(
        &self,
        name: &'static str,
        sql: &str,
        fence: &Fence,
        transaction: &NewTransaction,
        further: &crate::database::Params<'_>,
    ) -> Result<tokio_postgres::Row, LedgerError> {
        let NewTransaction { hash, chain_id, account, nonce, number, noop, raw } = transaction;
        let (chain_id, nonce) = (rows::signed(*chain_id), rows::signed(*nonce));
        let (account, hash, raw) = (account.as_slice(), hash.as_slice(), &raw[..]);
        let number = i32::try_from(*number).map_err(|error| LedgerError::corrupt(&error))?;
        let mut params: Vec<&(dyn postgres_types::ToSql + Sync)> =
            vec![&fence.lease, &fence.holder, &chain_id, &account, &nonce, &hash, &number, noop, &raw];
        params.extend_from_slice(further);
        let written = self.inner.database.write(name, sql, &params).await?;
        written.into_iter().next().ok_or_else(not_active)
    }

    /// Notes that an intent was sent, if nothing else is known about it yet; says whether that is so.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn mark_sent(&self, fence: &Fence, intent: IntentId) -> Result<bool, LedgerError> {
        let sql = "-- mark_sent
            UPDATE intents SET state = 'broadcast', updated_at = now()
            WHERE id = $3 AND state = 'prepared'
              AND EXISTS (SELECT FROM leases WHERE name = $1 AND holder = $2 AND expires_at > clock_timestamp())
            RETURNING id";
        let params: &crate::database::Params<'_> = &[&fence.lease, &fence.holder, &intent.0];
        Ok(!self.inner.database.write("mark_sent", sql, params).await?.is_empty())
    }

    /// Notes what became of intents, all or none. What was mined may be sent again after a reorganisation: any state may
    /// follow any.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] when another wallet is active, or when one would be the second of its job that may do what
    /// the job wants.
    pub async fn mark(&self, fence: &Fence, marks: &[Mark]) -> Result<(), LedgerError> {
        let sql = "-- mark
            UPDATE intents i
            SET state = m.state, block = m.block, confirmed = m.confirmed, updated_at = now(),
                reason = COALESCE(m.reason, CASE WHEN m.state = i.state THEN i.reason END)
            FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::boolean[], $7::text[])
                 AS m(id, state, block, confirmed, reason)
            WHERE i.id = m.id
              AND EXISTS (SELECT FROM leases WHERE name = $1 AND holder = $2 AND expires_at > clock_timestamp())
            RETURNING i.id";
        let ids: Vec<i64> = marks.iter().map(|mark| mark.intent.0).collect();
        let states: Vec<&str> = marks.iter().map(|mark| mark.state.as_str()).collect();
        let blocks: Vec<Option<i64>> = marks.iter().map(|mark| mark.block.map(rows::signed)).collect();
        let confirmed: Vec<bool> = marks.iter().map(|mark| mark.confirmed).collect();
        let reasons: Vec<Option<&str>> = marks.iter().map(|mark| mark.reason.as_deref()).collect();
        let params: &crate::database::Params<'_> =
            &[&fence.lease, &fence.holder, &ids, &states, &blocks, &confirmed, &reasons];
        let marked = self.inner.database.write("mark", sql, params).await?;
        if marked.len() == marks.len() { Ok(()) } else { Err(not_active()) }
    }
}

fn not_active() -> LedgerError {
    LedgerError::Conflict("another wallet is the active one, or did this already".to_owned())
}
