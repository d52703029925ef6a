//! Claims as an operator sees them: what the chain shows that was taken without closing, and by which transaction of ours.

use alloy_primitives::B256;
use channel::{Amount, ChannelId};
use tokio_postgres::Row;

use crate::database::Params;
use crate::{IntentState, Ledger, LedgerError, rows};

/// A claim that the chain shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The deployment.
    pub deployment: String,
    /// The channel.
    pub channel: ChannelId,
    /// What was taken, by this claim alone.
    pub amount: Amount,
    /// The block it stands in.
    pub block: u64,
    /// Its place among the block's logs.
    pub log_index: u64,
    /// Its transaction.
    pub tx_hash: B256,
    /// What the journal says of that transaction, and whether that is certain; `None` when it is not one of ours.
    pub intent: Option<(IntentState, bool)>,
}

/// Which claims [`Ledger::claims`] lists.
#[derive(Clone, Debug)]
pub struct ClaimFilter {
    /// Of this deployment.
    pub deployment: String,
    /// Of this channel only.
    pub channel: Option<ChannelId>,
    /// Only those before this place in the chain: block and place of the last of the page before.
    pub before: Option<(u64, u64)>,
    /// At most this many, at most 1 000.
    pub limit: u32,
}

impl Ledger {
    /// Claims that the chain shows, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn claims(&self, filter: &ClaimFilter) -> Result<Vec<Claim>, LedgerError> {
        let sql = "-- claims
            SELECT e.deployment, e.channel, e.amount, e.block, e.log_index, e.tx_hash, i.state, i.confirmed
            FROM events e
            LEFT JOIN transactions t ON t.hash = e.tx_hash LEFT JOIN intents i ON i.id = t.intent
            WHERE e.deployment = $1 AND e.kind = 'claimed' AND NOT e.orphaned
              AND ($2::bytea IS NULL OR e.channel = $2) AND (e.block, e.log_index) < ($3, $4)
            ORDER BY e.block DESC, e.log_index DESC LIMIT $5";
        let channel = filter.channel.as_ref().map(|id| id.0.as_slice());
        let (block, place) = filter.before.unwrap_or((u64::MAX, u64::MAX));
        let (block, place) = (rows::signed(block), rows::signed(place));
        let limit = i64::from(filter.limit.min(1_000));
        let params: &Params<'_> = &[&filter.deployment, &channel, &block, &place, &limit];
        self.inner.database.read("claims", sql, params).await?.iter().map(claim).collect()
    }
}

fn claim(row: &Row) -> Result<Claim, LedgerError> {
    let state = rows::get::<Option<&str>>(row, 6)?.map(IntentState::parse).transpose()?;
    Ok(Claim {
        deployment: rows::get(row, 0)?,
        channel: rows::channel_id(row, 1)?,
        amount: rows::amount(row, 2)?,
        block: rows::unsigned(row, 3)?,
        log_index: rows::unsigned(row, 4)?,
        tx_hash: B256::from(rows::fixed(row, 5)?),
        intent: state.zip(rows::get(row, 7)?),
    })
}
