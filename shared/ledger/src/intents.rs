//! What the wallet wants mined, and what it signed for it: read here, written by the journal.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes};
use channel::ChannelId;
use tokio_postgres::Row;

use crate::{JobId, Ledger, LedgerError, rows};

/// An intent's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(pub i64);

/// What goes first. It also says what may be tried again when: what is urgent must be such that its contract lets it happen
/// only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Has a deadline. Takes the place of what is normal, and is tried again as soon as its nonce went to something else.
    Urgent,
    /// Can wait. Tried again only when it is certain that the first attempt will do nothing.
    Normal,
}

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntentState {
    /// Signed and stored, perhaps not sent.
    Prepared,
    /// Sent.
    Broadcast,
    /// Mined, and it did what it should.
    Mined,
    /// Mined, and it failed.
    Reverted,
    /// Its nonce went, or is to go, to something else.
    Replaced,
    /// Its nonce went to a transaction of ours that does nothing.
    Cancelled,
}

/// Something the wallet wants mined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its name.
    pub id: IntentId,
    /// Why; `None` when it only fills a gap in the nonces.
    pub job: Option<JobId>,
    /// The channel it is about.
    pub channel: Option<ChannelId>,
    /// What goes first.
    pub lane: Lane,
    /// What became of it.
    pub state: IntentState,
    /// The block that used its nonce up.
    pub block: Option<u64>,
    /// Whether that block is so deep that this stays.
    pub confirmed: bool,
    /// False once its job was given up, or has another intent that is live.
    pub wanted: bool,
    /// The W3C `traceparent` of who caused its job.
    pub trace: Option<String>,
}

/// A transaction that was signed, and may have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its hash.
    pub hash: B256,
    /// What it is for.
    pub intent: IntentId,
    /// How many were signed for its nonce before it.
    pub number: u32,
    /// Whether it does nothing but use the nonce up.
    pub noop: bool,
    /// What is broadcast.
    pub raw: Bytes,
    /// How long ago it was stored, by the database's clock.
    pub age: Duration,
}

/// A nonce of an account, with all that was ever signed for it: at most one of those transactions is mined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The nonce.
    pub nonce: u64,
    /// What it was to be used for, oldest first.
    pub intents: Vec<Intent>,
    /// What was signed for it, oldest first; never empty.
    pub signed: Vec<Signed>,
}

/// `SELECT` of slots, in the order that [`slots`] reads; the argument says of which intents.
macro_rules! slots {
    ($name:literal, $which:literal) => {
        concat!(
            "-- ",
            $name,
            "
            SELECT i.id, i.job, i.channel, i.lane, i.state, i.block, i.confirmed,
                   NOT EXISTS (SELECT FROM jobs j WHERE j.id = i.job AND j.state = 'failed')
                   AND NOT EXISTS (SELECT FROM intents o WHERE o.job = i.job AND o.id <> i.id
                       AND NOT o.confirmed AND (o.lane = 'normal' OR o.state IN ('prepared', 'broadcast', 'mined'))),
                   t.account, t.nonce, t.hash, t.number, t.noop, t.raw,
                   greatest(extract(epoch FROM clock_timestamp() - t.created_at), 0)::float8,
                   (SELECT j.trace FROM jobs j WHERE j.id = i.job)
            FROM intents i JOIN transactions t ON t.intent = i.id
            WHERE ",
            $which,
            " ORDER BY t.account, t.nonce, t.number LIMIT 10000"
        )
    };
}

impl Ledger {
    /// The nonces of an account of which it is not certain what became of them, in their order; the first `settled` ones
    /// only as far as the ledger does not know it yet.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn slots(&self, chain_id: u64, account: Address, settled: u64) -> Result<Vec<Slot>, LedgerError> {
        let sql = slots!(
            "slots",
            "i.id IN (SELECT id FROM intents WHERE chain_id = $1 AND account = $2 AND NOT confirmed
                      UNION SELECT id FROM intents WHERE chain_id = $1 AND account = $2 AND nonce >= $3)"
        );
        let params: &crate::database::Params<'_> =
            &[&rows::signed(chain_id), &account.as_slice(), &rows::signed(settled)];
        slots(&self.inner.database.read("slots", sql, params).await?)
    }

    /// Every nonce that an intent about this channel had, and what else was signed for it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn slots_about(&self, channel: ChannelId) -> Result<Vec<Slot>, LedgerError> {
        let sql = slots!(
            "slots_about",
            "(i.chain_id, i.account, i.nonce) IN
             (SELECT a.chain_id, a.account, a.nonce FROM intents a WHERE a.channel = $1)"
        );
        slots(&self.inner.database.read("slots_about", sql, &[&channel.0.as_slice()]).await?)
    }
}

/// Rows of `slots!`: one for each transaction.
fn slots(rows: &[Row]) -> Result<Vec<Slot>, LedgerError> {
    let mut slots: Vec<Slot> = Vec::new();
    let mut last = None;
    for row in rows {
        let of = (rows::fixed::<20>(row, 8)?, rows::unsigned(row, 9)?);
        if last != Some(of) {
            slots.push(Slot { nonce: of.1, intents: Vec::new(), signed: Vec::new() });
            last = Some(of);
        }
        let (intent, signed) = (intent(row)?, signed(row)?);
        if let Some(slot) = slots.last_mut() {
            if slot.intents.last().is_none_or(|known| known.id != intent.id) {
                slot.intents.push(intent);
            }
            slot.signed.push(signed);
        }
    }
    Ok(slots)
}

fn intent(row: &Row) -> Result<Intent, LedgerError> {
    Ok(Intent {
        id: IntentId(rows::get(row, 0)?),
        job: rows::get::<Option<i64>>(row, 1)?.map(JobId),
        channel: rows::get::<Option<&[u8]>>(row, 2)?.map(|_| rows::channel_id(row, 2)).transpose()?,
        lane: Lane::parse(rows::get(row, 3)?)?,
        state: IntentState::parse(rows::get(row, 4)?)?,
        block: rows::get::<Option<i64>>(row, 5)?.map(|_| rows::unsigned(row, 5)).transpose()?,
        confirmed: rows::get(row, 6)?,
        wanted: rows::get(row, 7)?,
        trace: rows::get(row, 15)?,
    })
}

fn signed(row: &Row) -> Result<Signed, LedgerError> {
    Ok(Signed {
        hash: B256::from(rows::fixed(row, 10)?),
        intent: IntentId(rows::get(row, 0)?),
        number: u32::try_from(rows::get::<i32>(row, 11)?).map_err(|error| LedgerError::corrupt(&error))?,
        noop: rows::get(row, 12)?,
        raw: Bytes::copy_from_slice(rows::get(row, 13)?),
        age: Duration::try_from_secs_f64(rows::get(row, 14)?).map_err(|error| LedgerError::corrupt(&error))?,
    })
}

impl Intent {
    /// Whether its job has to wait for what becomes of it. Once that is certain, the job goes by what the chain says.
    pub fn is_live(&self) -> bool {
        !self.confirmed
            && match self.state {
                IntentState::Prepared | IntentState::Broadcast | IntentState::Mined => true,
                IntentState::Reverted | IntentState::Replaced | IntentState::Cancelled => self.lane == Lane::Normal,
            }
    }
}

impl Lane {
    /// The word for it in rows and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lane::Urgent => "urgent",
            Lane::Normal => "normal",
        }
    }

    fn parse(word: &str) -> Result<Lane, LedgerError> {
        let known = [Lane::Urgent, Lane::Normal].into_iter().find(|lane| lane.as_str() == word);
        known.ok_or_else(|| LedgerError::Corrupt(format!("lane {word}")))
    }
}

impl IntentState {
    const ALL: [IntentState; 6] = [
        IntentState::Prepared,
        IntentState::Broadcast,
        IntentState::Mined,
        IntentState::Reverted,
        IntentState::Replaced,
        IntentState::Cancelled,
    ];

    /// The word for it in rows and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            IntentState::Prepared => "prepared",
            IntentState::Broadcast => "broadcast",
            IntentState::Mined => "mined",
            IntentState::Reverted => "reverted",
            IntentState::Replaced => "replaced",
            IntentState::Cancelled => "cancelled",
        }
    }

    pub(crate) fn parse(word: &str) -> Result<IntentState, LedgerError> {
        let known = IntentState::ALL.into_iter().find(|state| state.as_str() == word);
        known.ok_or_else(|| LedgerError::Corrupt(format!("intent state {word}")))
    }
}
