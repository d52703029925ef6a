//! The first round trip: lock, and read what the rules need. Only vouchers seen before, and channels that are no longer as
//! this connection knows them, take a second one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use channel::{Amount, Channel, ChannelId};
use futures::join;
use postgres_types::ToSql;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, Row, Statement};

use super::batch::{Failure, Lock, rollback};
use super::books::Books;
use super::connection::Connection;
use super::debts::Debts;
use super::entry::Entry;
use super::holds::{Holds, Stored};
use super::known::{Known, Locked, Version};
use super::totals::{Lately, Sum};
use super::wanted::{Columns, Retries, Wanted};
use crate::{LedgerError, rows};

/// Opens the transaction and the books. Also returns the channels that somebody else has locked.
pub(super) async fn read(
    connection: &mut Connection,
    entries: &[Entry],
    lock: Lock,
    lately: &Lately,
) -> Result<(Books, HashSet<ChannelId>), Failure> {
    let wanted = Wanted::by(entries);
    let known = connection.known.of(wanted.sales.keys());
    let found = find(connection, &wanted, &known, lock).await;
    if let (Lock::Wait, Err(error)) = (lock, &found)
        && error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    {
        rollback(connection).await?;
        return Ok((Books::default(), wanted.sales.into_keys().collect()));
    }
    let found = or_roll_back(connection, found).await?;
    let locked = locked(&found.locked).map_err(Failure::Connection)?;
    let more = find_more(connection, entries, &wanted, &known, &locked).await;
    let more = or_roll_back(connection, more).await?;
    let read = found.channels.iter().chain(&more.channels);
    let channels = channels(&mut connection.known, known, read, &locked).map_err(Failure::Connection)?;
    open_books(&found, channels, locked, &more.retried, lately).map_err(Failure::Connection)
}

/// The rows of the first round trip.
struct Found {
    locked: Vec<Row>,
    channels: Vec<Row>,
    debts: Vec<Row>,
    fresh: Vec<Row>,
    holds: [Vec<Row>; 2],
}

async fn find(
    connection: &Connection,
    wanted: &Wanted<'_>,
    known: &HashMap<ChannelId, Version>,
    lock: Lock,
) -> Result<Found, Error> {
    let statements = &connection.statements;
    let Columns { channels, unknown, limited, deployments, holds, requests } = &Columns::of(wanted, known);
    let (begin, lock_statement) = match lock {
        Lock::Free => ("BEGIN", &statements.lock_free),
        Lock::Wait => ("BEGIN; SET LOCAL lock_timeout = '50ms'", &statements.lock_wait),
    };
    let (begun, locked, channels, debts, fresh, by_id, by_request) = join!(
        connection.batch_execute(begin),
        ask(connection, lock_statement, channels.len(), [channels]),
        ask(connection, &statements.channels, unknown.len(), [unknown]),
        ask(connection, &statements.debts, limited.len(), [limited]),
        ask(connection, &statements.fresh, deployments.len(), [deployments]),
        ask(connection, &statements.holds_by_id, holds.len(), [holds]),
        ask(connection, &statements.holds_by_request, requests.0.len(), [&requests.0, &requests.1]),
    );
    let locked = begun.and(locked)?;
    Ok(Found { locked, channels: channels?, debts: debts?, fresh: fresh?, holds: [by_id?, by_request?] })
}

/// Runs a query over arrays of this length, unless there is nothing to ask for.
async fn ask<const N: usize>(
    connection: &Connection,
    query: &Statement,
    length: usize,
    arrays: [&(dyn ToSql + Sync); N],
) -> Result<Vec<Row>, Error> {
    if length == 0 { Ok(Vec::new()) } else { connection.query(query, &arrays).await }
}

/// What was found. After an error that an entry may have brought in, the transaction is over.
async fn or_roll_back<T>(connection: &Connection, found: Result<T, Error>) -> Result<T, Failure> {
    match found.map_err(|error| Failure::of(error, LedgerError::before_commit)) {
        Err(failure @ Failure::Entry(_)) => {
            rollback(connection).await?;
            Err(failure)
        }
        found => found,
    }
}

/// The counters that are ours to move: the schema has one epoch to a channel.
fn locked(rows: &[Row]) -> Result<HashMap<ChannelId, Locked>, LedgerError> {
    let locked = |row| Ok(Locked { revision: rows::get(row, 1)?, epoch: rows::epoch(row, 2)? });
    rows.iter().map(|row| Ok((rows::channel_id(row, 0)?, locked(row)?))).collect()
}

/// The rows of the second round trip.
struct More {
    /// Of channels that are no longer as they were known.
    channels: Vec<Row>,
    /// Holds that vouchers seen before may take over.
    retried: Vec<Row>,
}

async fn find_more(
    connection: &Connection,
    entries: &[Entry],
    wanted: &Wanted<'_>,
    known: &HashMap<ChannelId, Version>,
    locked: &HashMap<ChannelId, Locked>,
) -> Result<More, Error> {
    let statements = &connection.statements;
    let changed = known.iter().filter(|(id, known)| locked.get(id).is_some_and(|now| now.revision != known.revision));
    let changed: Vec<&[u8]> = changed.map(|(id, _)| id.0.as_slice()).collect();
    let Retries { channels, hashes, counts } = &Retries::among(entries, &wanted.sales, locked);
    let (channels, retried) = join!(
        ask(connection, &statements.channels, changed.len(), [&changed]),
        ask(connection, &statements.holds_by_hash, counts.len(), [channels, hashes, counts]),
    );
    Ok(More { channels: channels?, retried: retried? })
}

/// All channels there are of those asked for. Rows that were read under a lock are kept for the next batch.
fn channels<'a>(
    keep: &mut Known,
    known: HashMap<ChannelId, Version>,
    read: impl Iterator<Item = &'a Row>,
    locked: &HashMap<ChannelId, Locked>,
) -> Result<HashMap<ChannelId, Arc<Channel>>, LedgerError> {
    let mut channels: HashMap<_, _> = known.into_iter().map(|(id, version)| (id, version.channel)).collect();
    for row in read {
        let channel = Arc::new(rows::channel(row)?);
        if let Some(Locked { revision, .. }) = locked.get(&channel.id) {
            keep.keep(Version { channel: channel.clone(), revision: *revision });
        }
        channels.insert(channel.id, channel);
    }
    Ok(channels)
}

fn open_books(
    found: &Found,
    channels: HashMap<ChannelId, Arc<Channel>>,
    mut locked: HashMap<ChannelId, Locked>,
    retried: &[Row],
    lately: &Lately,
) -> Result<(Books, HashSet<ChannelId>), LedgerError> {
    let (mut accounts, mut locked_elsewhere) = (Vec::with_capacity(channels.len()), HashSet::new());
    for (id, channel) in channels {
        match locked.remove(&id) {
            Some(Locked { epoch, .. }) => accounts.push((channel, epoch)),
            None => {
                locked_elsewhere.insert(id);
            }
        }
    }
    let owed = |row| Ok((rows::get(row, 0)?, Address::from(rows::fixed(row, 1)?), rows::amount(row, 2)?));
    let debts: Debts = found.debts.iter().map(owed).collect::<Result<_, LedgerError>>()?;
    let holds = found.holds.iter().flatten().chain(retried).map(|row| {
        let stored = Stored { created_at: rows::get(row, 8)?, expired: rows::get(row, 9)? };
        Ok((rows::hold(row, 0)?, rows::get::<&str>(row, 10)?.into(), stored))
    });
    let holds = Holds::read(holds.collect::<Result<_, LedgerError>>()?);
    Ok((Books::open(accounts, owed_in_all(&found.fresh, lately)?, holds, debts), locked_elsewhere))
}

/// The deployments that may sell, with what all their channels owe: what somebody summed up last, and what was sold here since.
fn owed_in_all(fresh: &[Row], lately: &Lately) -> Result<HashMap<String, Amount>, LedgerError> {
    let now = Instant::now();
    let owed = |row: &Row| {
        let (name, age): (String, Option<f64>) = (rows::get(row, 0)?, rows::get(row, 2)?);
        let age = age.map(|age| Duration::try_from_secs_f64(age.max(0.0)).unwrap_or(Duration::MAX));
        let sum = rows::optional_amount(row, 1)?.zip(age).map(|(owed, age)| Sum { owed, age });
        let owed = lately.owed(&name, sum, now);
        Ok((name, owed))
    };
    fresh.iter().map(owed).collect()
}
