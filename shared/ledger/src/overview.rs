//! What is shown about a deployment: its channels, their sums, and what the payee has beside them. Channels count from
//! when they are confirmed until they are settled.

use std::time::SystemTime;

use alloy_primitives::{Address, B256};
use channel::{Amount, Channel, ChannelId, Epoch, Totals};
use tokio_postgres::Row;

use crate::numeric::Numeric;
use crate::rows::{self, accounts};
use crate::{Ledger, LedgerError};

/// Which channels [`Ledger::standing`] lists.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Of this deployment.
    pub deployment: String,
    /// Of this payer only.
    pub payer: Option<Address>,
    /// Only those that are open, or only those of which a close was asked for or agreed.
    pub open: Option<bool>,
    /// Only those after this one: the last of the page before.
    pub after: Option<ChannelId>,
    /// At most this many.
    pub limit: u32,
}

/// What is shown about one channel beside its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Particulars {
    /// When we first heard of it.
    pub created_at: SystemTime,
    /// When it was last changed by something that happens once: now, that is its closing signature.
    pub changed_at: SystemTime,
    /// Top-ups that are not deep enough yet, by transaction.
    pub pending: Vec<(B256, Amount)>,
}

/// Pending top-ups that are shown of one channel.
const PENDING_MAX: i64 = 100;

impl Ledger {
    /// Channels with their newest epochs, by payer.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn standing(&self, which: &Standing) -> Result<Vec<(Channel, Epoch)>, LedgerError> {
        let sql = accounts!(
            "standing",
            "WHERE c.deployment = $1 AND c.confirmed AND c.status IN ('open', 'closing')
               AND c.payer BETWEEN $2 AND $3
               AND ($4::boolean IS NULL OR (c.status = 'open' AND c.agreed_close IS NULL) = $4)
               AND ($5::bytea IS NULL OR (c.payer, c.id) > (SELECT a.payer, a.id FROM channels a WHERE a.id = $5))
               AND e.number = (SELECT max(number) FROM epochs WHERE channel = c.id)
             ORDER BY c.payer, c.id LIMIT $6"
        );
        // A range of payers, be it of one or of all, is read by the index whatever plan the server keeps.
        let (first, last) = which.payer.map_or((Address::ZERO, Address::repeat_byte(0xff)), |payer| (payer, payer));
        let after = which.after.as_ref().map(|id| id.0.as_slice());
        let limit = i64::from(which.limit);
        let params: &crate::database::Params<'_> =
            &[&which.deployment, &first.as_slice(), &last.as_slice(), &which.open, &after, &limit];
        let found = self.inner.database.read("standing", sql, params).await?;
        found.iter().map(rows::account).collect()
    }

    /// What a deployment's channels come to. Sums that an amount cannot hold count as the most it holds.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn totals(&self, deployment: &str) -> Result<Totals, LedgerError> {
        let sql = "-- totals
            SELECT count(*) FILTER (WHERE c.status = 'open' AND c.agreed_close IS NULL),
                   count(*) FILTER (WHERE c.status = 'closing' OR c.agreed_close IS NOT NULL),
                   count(DISTINCT c.payer),
                   LEAST(COALESCE(sum(c.deposit), 0), $2), LEAST(COALESCE(sum(e.authorised), 0), $2)
            FROM channels c JOIN epochs e ON e.channel = c.id
            WHERE c.deployment = $1 AND c.confirmed AND c.status IN ('open', 'closing')
              AND NOT EXISTS (SELECT FROM epochs l WHERE l.channel = e.channel AND l.number > e.number)";
        let found = self.inner.database.read("totals", sql, &[&deployment, &Numeric(Amount::MAX)]).await?;
        let row = found.first().ok_or(LedgerError::NotFound("sum"))?;
        Ok(Totals {
            open: rows::unsigned(row, 0)?,
            closing: rows::unsigned(row, 1)?,
            payers: rows::unsigned(row, 2)?,
            deposit: rows::amount(row, 3)?,
            authorised: rows::amount(row, 4)?,
        })
    }

    /// What is shown about a channel beside its state; `None` when there is no such channel.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn particulars(&self, channel: ChannelId) -> Result<Option<Particulars>, LedgerError> {
        let sql = "-- particulars
            SELECT c.created_at, GREATEST(c.created_at, s.signed_at)
            FROM channels c LEFT JOIN closings s ON s.channel = c.id WHERE c.id = $1";
        let found = self.inner.database.read("particulars", sql, &[&channel.0.as_slice()]).await?;
        let Some(row) = found.first() else { return Ok(None) };
        let sql = "-- pending_top_ups
            SELECT e.tx_hash, sum(e.amount) FROM events e JOIN cursors u ON u.deployment = e.deployment
            WHERE e.channel = $1 AND e.kind = 'topped_up' AND NOT e.orphaned AND e.block > u.confirmed_low
            GROUP BY e.tx_hash LIMIT $2";
        let pending = self.inner.database.read("pending_top_ups", sql, &[&channel.0.as_slice(), &PENDING_MAX]).await?;
        let top_up = |row: &Row| Ok((B256::from(rows::fixed(row, 0)?), rows::amount(row, 1)?));
        Ok(Some(Particulars {
            created_at: rows::get(row, 0)?,
            changed_at: rows::get(row, 1)?,
            pending: pending.iter().map(top_up).collect::<Result<_, LedgerError>>()?,
        }))
    }

    /// Notes what the payee has of the token outside of channels, as of now.
    ///
    /// # Errors
    /// [`LedgerError::Rejected`] for a deployment that was never registered.
    pub async fn note_balance(&self, deployment: &str, amount: Amount) -> Result<(), LedgerError> {
        let sql = "-- note_balance
            INSERT INTO balances (deployment, amount, seen_at) VALUES ($1, $2, now())
            ON CONFLICT (deployment) DO UPDATE SET amount = excluded.amount, seen_at = excluded.seen_at";
        self.inner.database.write("note_balance", sql, &[&deployment, &Numeric(amount)]).await.map(drop)
    }

    /// What the payee had of the token outside of channels, and when that was seen; `None` when it never was.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn balance(&self, deployment: &str) -> Result<Option<(Amount, SystemTime)>, LedgerError> {
        let sql = "-- balance
            SELECT amount, seen_at FROM balances WHERE deployment = $1";
        let found = self.inner.database.read("balance", sql, &[&deployment]).await?;
        found.first().map(|row| Ok((rows::amount(row, 0)?, rows::get(row, 1)?))).transpose()
    }
}
