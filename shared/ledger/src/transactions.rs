//! The journal of what the wallet sends. Journal before broadcast.

use std::time::SystemTime;

use alloy_primitives::{Address, B256, Bytes};
use channel::ChannelId;
use tokio_postgres::Row;

use crate::{JobId, Ledger, LedgerError, rows};

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
    /// Why it is sent.
    pub job: JobId,
    /// The channel it is about.
    pub channel: ChannelId,
    /// What is broadcast.
    pub raw: Bytes,
}

/// A transaction in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// What was journalled.
    pub transaction: NewTransaction,
    /// What became of it.
    pub state: TransactionState,
    /// When it was journalled, by the database's clock.
    pub created_at: SystemTime,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// Journalled, perhaps not sent.
    Prepared,
    /// Sent.
    Broadcast,
    /// Mined, and it did what it should.
    Mined,
    /// Mined, and it failed.
    Reverted,
    /// Another transaction with its nonce was mined.
    Replaced,
}

impl Ledger {
    /// Journals a transaction, before it is broadcast.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`]: another wallet used this nonce, or was first with this job; broadcast nothing.
    /// [`LedgerError::OutcomeUnknown`]: look into [`Ledger::open_transactions`].
    pub async fn journal(&self, transaction: &NewTransaction) -> Result<(), LedgerError> {
        let sql = "-- journal
            INSERT INTO transactions (hash, chain_id, account, nonce, job, channel, raw, state)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 'prepared')";
        let NewTransaction { hash, chain_id, account, nonce, job, channel, raw } = transaction;
        let params: &crate::database::Params<'_> = &[
            &hash.as_slice(),
            &rows::signed(*chain_id),
            &account.as_slice(),
            &rows::signed(*nonce),
            &job.0,
            &channel.0.as_slice(),
            &&raw[..],
        ];
        self.inner.database.write("journal", sql, params).await.map(drop)
    }

    /// Notes what became of a transaction. What was mined may be sent again after a reorg: any state may follow any.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] when it was never journalled. [`LedgerError::Conflict`] when it would be the second of
    /// its job that may do what the job wants.
    pub async fn mark_transaction(&self, hash: B256, state: TransactionState) -> Result<(), LedgerError> {
        let sql = "-- mark_transaction
            UPDATE transactions SET state = $2, updated_at = now() WHERE hash = $1 RETURNING hash";
        let params: &crate::database::Params<'_> = &[&hash.as_slice(), &state.as_str()];
        let marked = self.inner.database.write("mark_transaction", sql, params).await?;
        if marked.is_empty() { Err(LedgerError::NotFound("transaction")) } else { Ok(()) }
    }

    /// The account's transactions that wait to be mined, by nonce: those not yet known to be, and those that a reorg
    /// took back, as the chain counts only `mined` of them now. At most 1 000.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn open_transactions(
        &self,
        chain_id: u64,
        account: Address,
        mined: u64,
    ) -> Result<Vec<JournalEntry>, LedgerError> {
        let sql = "-- open_transactions
            SELECT hash, chain_id, account, nonce, job, channel, raw, state, created_at FROM transactions
            WHERE chain_id = $1 AND account = $2 AND (state IN ('prepared', 'broadcast') OR nonce >= $3)
            ORDER BY nonce LIMIT 1000";
        let params: &crate::database::Params<'_> =
            &[&rows::signed(chain_id), &account.as_slice(), &rows::signed(mined)];
        let found = self.inner.database.read("open_transactions", sql, params).await?;
        found.iter().map(entry).collect()
    }

    /// Every transaction about a channel, by age. At most 1 000.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn transactions_of(&self, channel: ChannelId) -> Result<Vec<JournalEntry>, LedgerError> {
        let sql = "-- transactions_of
            SELECT hash, chain_id, account, nonce, job, channel, raw, state, created_at FROM transactions
            WHERE channel = $1 ORDER BY created_at, nonce LIMIT 1000";
        let found = self.inner.database.read("transactions_of", sql, &[&channel.0.as_slice()]).await?;
        found.iter().map(entry).collect()
    }

    /// The nonce after the highest in the journal; 0 when there is none. The chain's own count may be higher.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn next_nonce(&self, chain_id: u64, account: Address) -> Result<u64, LedgerError> {
        let sql = "-- next_nonce
            SELECT COALESCE(max(nonce) + 1, 0) FROM transactions WHERE chain_id = $1 AND account = $2";
        let params: &crate::database::Params<'_> = &[&rows::signed(chain_id), &account.as_slice()];
        let found = self.inner.database.read("next_nonce", sql, params).await?;
        found.first().map_or(Ok(0), |row| rows::unsigned(row, 0))
    }
}

fn entry(row: &Row) -> Result<JournalEntry, LedgerError> {
    let state = match rows::get(row, 7)? {
        "prepared" => TransactionState::Prepared,
        "broadcast" => TransactionState::Broadcast,
        "mined" => TransactionState::Mined,
        "reverted" => TransactionState::Reverted,
        "replaced" => TransactionState::Replaced,
        state => return Err(LedgerError::Corrupt(format!("transaction state {state}"))),
    };
    let transaction = NewTransaction {
        hash: B256::from(rows::fixed(row, 0)?),
        chain_id: rows::unsigned(row, 1)?,
        account: Address::from(rows::fixed(row, 2)?),
        nonce: rows::unsigned(row, 3)?,
        job: JobId(rows::get(row, 4)?),
        channel: rows::channel_id(row, 5)?,
        raw: Bytes::copy_from_slice(rows::get(row, 6)?),
    };
    Ok(JournalEntry { transaction, state, created_at: rows::get(row, 8)? })
}

impl TransactionState {
    /// The word for it in rows and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            TransactionState::Prepared => "prepared",
            TransactionState::Broadcast => "broadcast",
            TransactionState::Mined => "mined",
            TransactionState::Reverted => "reverted",
            TransactionState::Replaced => "replaced",
        }
    }
}
