//! Rows to values and back. What a row may not say is [`LedgerError::Corrupt`].

use alloy_primitives::{Address, B256, Bytes};
use channel::{
    Amount, BlockRef, Channel, ChannelId, Deadline, Epoch, Event, EventKind, Facts, Hold, HoldId, HoldState, Request,
    RequestHash, Signature, Status,
};
use postgres_types::FromSql;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::LedgerError;
use crate::numeric::Numeric;

/// The columns that [`channel()`] reads. `c` is the table's alias.
macro_rules! channel_columns {
    () => {
        "c.id, c.deployment, c.payer, c.params, c.confirmed, c.deposit, c.pending, c.claimed, c.status,
         c.requested, c.deadline_block, c.deadline_time, c.agreed_close"
    };
}

/// The columns that [`epoch`] reads. `e` is the table's alias.
macro_rules! epoch_columns {
    () => {
        "e.number, e.authorised, e.spent, e.held, e.published, e.voucher_amount, e.voucher_signature"
    };
}

/// The columns of a channel and an epoch that [`account`] reads. `c` and `e` are the tables' aliases.
macro_rules! account_columns {
    () => {
        concat!($crate::rows::channel_columns!(), ", ", $crate::rows::epoch_columns!())
    };
}

/// `SELECT` of channels with their epochs, in the order that [`account`] reads; the argument says which.
macro_rules! accounts {
    ($name:literal, $which:literal) => {
        concat!(
            "-- ",
            $name,
            "
            SELECT ",
            $crate::rows::account_columns!(),
            "
            FROM channels c JOIN epochs e ON e.channel = c.id ",
            $which
        )
    };
}

/// `SELECT` of holds, in the order that [`hold`] reads. `h` is the table's alias.
macro_rules! hold_columns {
    () => {
        "h.id, h.channel, h.epoch, h.amount, h.request_id, h.request_hash, h.state, h.captured, h.created_at,
         h.expires_at <= clock_timestamp(), h.route"
    };
}

pub(crate) use {account_columns, accounts, channel_columns, epoch_columns, hold_columns};

/// A row of `accounts!`.
pub(crate) fn account(row: &Row) -> Result<(Channel, Epoch), LedgerError> {
    Ok((channel(row)?, epoch(row, 13)?))
}

/// A row that begins with `channel_columns!`.
pub(crate) fn channel(row: &Row) -> Result<Channel, LedgerError> {
    let deadline = deadline(row, 10, 11)?;
    let status = match (get::<&str>(row, 8)?, optional_amount(row, 9)?, deadline) {
        ("absent", None, None) => Status::Absent,
        ("open", None, None) => Status::Open,
        ("closed", None, None) => Status::Closed,
        ("closing", Some(requested), Some(deadline)) => Status::Closing { requested, deadline },
        (status, ..) => return Err(LedgerError::Corrupt(format!("channel status {status}"))),
    };
    Ok(Channel {
        id: channel_id(row, 0)?,
        deployment: get(row, 1)?,
        payer: Address::from(fixed(row, 2)?),
        params: Bytes::copy_from_slice(get(row, 3)?),
        facts: Facts {
            confirmed: get(row, 4)?,
            deposit: amount(row, 5)?,
            pending: amount(row, 6)?,
            claimed: amount(row, 7)?,
            status,
        },
        agreed_close: optional_amount(row, 12)?,
    })
}

/// The columns `epoch_columns!` of a row, from column `at` on.
pub(crate) fn epoch(row: &Row, at: usize) -> Result<Epoch, LedgerError> {
    let voucher = match (optional_amount(row, at + 5)?, get::<Option<&[u8]>>(row, at + 6)?) {
        (Some(amount), Some(bytes)) => Some((amount, signature(bytes)?)),
        _ => None,
    };
    Ok(Epoch {
        number: unsigned(row, at)?,
        voucher,
        authorised: amount(row, at + 1)?,
        spent: amount(row, at + 2)?,
        held: amount(row, at + 3)?,
        published: amount(row, at + 4)?,
    })
}

/// A row that begins with `hold_columns!`, from column `at` on, without its time columns.
pub(crate) fn hold(row: &Row, at: usize) -> Result<Hold, LedgerError> {
    let state = match get(row, at + 6)? {
        "held" => HoldState::Held,
        "captured" => HoldState::Captured,
        "released" => HoldState::Released,
        "retried" => HoldState::Retried,
        state => return Err(LedgerError::Corrupt(format!("hold state {state}"))),
    };
    Ok(Hold {
        id: hold_id(get(row, at)?),
        channel: channel_id(row, at + 1)?,
        epoch: unsigned(row, at + 2)?,
        amount: amount(row, at + 3)?,
        request: Request { id: get(row, at + 4)?, hash: RequestHash(B256::from(fixed(row, at + 5)?)) },
        state,
        captured: amount(row, at + 7)?,
    })
}

pub(crate) const fn hold_state(state: HoldState) -> &'static str {
    match state {
        HoldState::Held => "held",
        HoldState::Captured => "captured",
        HoldState::Released => "released",
        HoldState::Retried => "retried",
    }
}

pub(crate) fn hold_id(id: Uuid) -> HoldId {
    HoldId(id.into_bytes().into())
}

pub(crate) fn uuid(id: HoldId) -> Uuid {
    Uuid::from_bytes(id.0.0)
}

/// A row of `channel, block, block_hash, tx_hash, log_index, kind, amount, deadline_block, deadline_time`.
pub(crate) fn event(row: &Row) -> Result<Event, LedgerError> {
    let amount = amount(row, 6)?;
    let kind = match (get(row, 5)?, deadline(row, 7, 8)?) {
        ("opened", None) => EventKind::Opened { deposit: amount },
        ("topped_up", None) => EventKind::ToppedUp { added: amount },
        ("claimed", None) => EventKind::Claimed { taken: amount },
        ("settled", None) => EventKind::Settled { total: amount },
        ("close_requested", Some(deadline)) => EventKind::CloseRequested { requested: amount, deadline },
        (kind, _) => return Err(LedgerError::Corrupt(format!("event kind {kind}"))),
    };
    Ok(Event {
        channel: channel_id(row, 0)?,
        block: BlockRef { number: unsigned(row, 1)?, hash: B256::from(fixed(row, 2)?) },
        tx_hash: B256::from(fixed(row, 3)?),
        log_index: unsigned(row, 4)?,
        kind,
    })
}

/// The columns `kind, amount, deadline_block, deadline_time` of an event.
pub(crate) fn event_columns(kind: &EventKind) -> (&'static str, Numeric, Option<i64>, Option<i64>) {
    match *kind {
        EventKind::Opened { deposit } => ("opened", Numeric(deposit), None, None),
        EventKind::ToppedUp { added } => ("topped_up", Numeric(added), None, None),
        EventKind::Claimed { taken } => ("claimed", Numeric(taken), None, None),
        EventKind::Settled { total } => ("settled", Numeric(total), None, None),
        EventKind::CloseRequested { requested, deadline } => {
            let (block, time) = deadline_columns(deadline);
            ("close_requested", Numeric(requested), block, time)
        }
    }
}

/// The columns `status, requested, deadline_block, deadline_time` of a channel.
pub(crate) fn status_columns(status: &Status) -> (&'static str, Option<Numeric>, Option<i64>, Option<i64>) {
    match *status {
        Status::Absent => ("absent", None, None, None),
        Status::Open => ("open", None, None, None),
        Status::Closed => ("closed", None, None, None),
        Status::Closing { requested, deadline } => {
            let (block, time) = deadline_columns(deadline);
            ("closing", Some(Numeric(requested)), block, time)
        }
    }
}

fn deadline_columns(deadline: Deadline) -> (Option<i64>, Option<i64>) {
    match deadline {
        Deadline::Block(block) => (Some(signed(block)), None),
        Deadline::Time(time) => (None, Some(signed(time))),
    }
}

fn deadline(row: &Row, block: usize, time: usize) -> Result<Option<Deadline>, LedgerError> {
    let number = |n: i64| u64::try_from(n).map_err(|error| LedgerError::corrupt(&error));
    match (get::<Option<i64>>(row, block)?, get::<Option<i64>>(row, time)?) {
        (Some(block), None) => Ok(Some(Deadline::Block(number(block)?))),
        (None, Some(time)) => Ok(Some(Deadline::Time(number(time)?))),
        _ => Ok(None),
    }
}

/// A column, or a sentence about what it holds instead.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, LedgerError> {
    row.try_get(at).map_err(|error| LedgerError::corrupt(&error))
}

pub(crate) fn amount(row: &Row, at: usize) -> Result<Amount, LedgerError> {
    get::<Numeric>(row, at).map(|numeric| numeric.0)
}

pub(crate) fn optional_amount(row: &Row, at: usize) -> Result<Option<Amount>, LedgerError> {
    get::<Option<Numeric>>(row, at).map(|numeric| numeric.map(|numeric| numeric.0))
}

pub(crate) fn unsigned(row: &Row, at: usize) -> Result<u64, LedgerError> {
    u64::try_from(get::<i64>(row, at)?).map_err(|error| LedgerError::corrupt(&error))
}

pub(crate) fn fixed<const N: usize>(row: &Row, at: usize) -> Result<[u8; N], LedgerError> {
    get::<&[u8]>(row, at)?.try_into().map_err(|error| LedgerError::corrupt(&error))
}

pub(crate) fn channel_id(row: &Row, at: usize) -> Result<ChannelId, LedgerError> {
    fixed(row, at).map(|bytes| ChannelId(B256::from(bytes)))
}

pub(crate) fn signature(bytes: &[u8]) -> Result<Signature, LedgerError> {
    Signature::parse(bytes).map_err(|error| LedgerError::corrupt(&error))
}

/// Heights and times as SQL has them. None of them is ever near the limit; beyond it they count as the limit.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
