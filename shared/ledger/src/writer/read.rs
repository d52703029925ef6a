//! The first round trip: lock, and read what the rules need.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use channel::{Amount, ChannelId, RequestHash, Step};
use futures::join;
use postgres_types::ToSql;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, Row, Statement};
use uuid::Uuid;

use super::batch::{Failure, Lock, rollback};
use super::books::Books;
use super::connection::Connection;
use super::debts::Debts;
use super::entry::Entry;
use super::holds::{Holds, Stored};
use super::totals::{Lately, Sum};
use crate::numeric::Numeric;
use crate::{LedgerError, rows};

/// Opens the transaction and the books. Also returns the channels that somebody else has locked.
pub(super) async fn read(
    connection: &Connection,
    entries: &[Entry],
    lock: Lock,
    lately: &Lately,
) -> Result<(Books, HashSet<ChannelId>), Failure> {
    let statements = &connection.statements;
    let wanted = Wanted::by(entries);
    let Columns { channels, limited, deployments, holds, requests, retries } = &Columns::of(&wanted);
    let (begin, lock_statement) = match lock {
        Lock::Free => ("BEGIN", &statements.lock_free),
        Lock::Wait => ("BEGIN; SET LOCAL lock_timeout = '50ms'", &statements.lock_wait),
    };
    let (begun, locked, accounts, debts, fresh, by_id, by_request, by_hash) = join!(
        connection.batch_execute(begin),
        ask(connection, lock_statement, channels.len(), [channels]),
        ask(connection, &statements.accounts, channels.len(), [channels]),
        ask(connection, &statements.debts, limited.len(), [limited]),
        ask(connection, &statements.fresh, deployments.len(), [deployments]),
        ask(connection, &statements.holds_by_id, holds.len(), [holds]),
        ask(connection, &statements.holds_by_request, requests.0.len(), [&requests.0, &requests.1]),
        ask(
            connection,
            &statements.holds_by_hash,
            retries.counts.len(),
            [&retries.channels, &retries.hashes, &retries.amounts, &retries.counts,]
        ),
    );
    if let (Lock::Wait, Err(error)) = (lock, &locked)
        && error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    {
        rollback(connection).await?;
        return Ok((Books::default(), wanted.channels));
    }
    let rows = (|| Ok((begun.and(locked)?, accounts?, debts?, fresh?, [by_id?, by_request?, by_hash?])))();
    match rows {
        Ok((locked, accounts, debts, fresh, holds)) => {
            let fresh = owed_in_all(&fresh, lately);
            fresh.and_then(|fresh| open_books(&locked, &accounts, &debts, fresh, &holds)).map_err(Failure::Connection)
        }
        Err(error) => {
            let failure = Failure::of(error, LedgerError::before_commit);
            if matches!(failure, Failure::Entry(_)) {
                rollback(connection).await?;
            }
            Err(failure)
        }
    }
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

fn open_books(
    locked: &[Row],
    accounts: &[Row],
    debts: &[Row],
    fresh: HashMap<String, Amount>,
    holds: &[Vec<Row>],
) -> Result<(Books, HashSet<ChannelId>), LedgerError> {
    let locked: HashSet<(ChannelId, u64)> = locked
        .iter()
        .map(|row| Ok((rows::channel_id(row, 0)?, rows::unsigned(row, 1)?)))
        .collect::<Result<_, LedgerError>>()?;
    let mut accounts: Vec<_> = accounts.iter().map(rows::account).collect::<Result<_, _>>()?;
    let locked_elsewhere: HashSet<ChannelId> = accounts
        .iter()
        .filter(|(channel, epoch)| !locked.contains(&(channel.id, epoch.number)))
        .map(|(channel, _)| channel.id)
        .collect();
    accounts.retain(|(channel, _)| !locked_elsewhere.contains(&channel.id));
    let owed = |row| Ok((rows::get(row, 0)?, Address::from(rows::fixed(row, 1)?), rows::amount(row, 2)?));
    let debts: Debts = debts.iter().map(owed).collect::<Result<_, LedgerError>>()?;
    let holds = holds
        .iter()
        .flatten()
        .map(|row| {
            let stored = Stored { created_at: rows::get(row, 8)?, expired: rows::get(row, 9)? };
            Ok((rows::hold(row, 0)?, rows::get::<&str>(row, 10)?.into(), stored))
        })
        .collect::<Result<_, LedgerError>>()?;
    Ok((Books::open(accounts, fresh, Holds::read(holds), debts), locked_elsewhere))
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

/// What the entries of a batch need read.
#[derive(Default)]
struct Wanted<'a> {
    channels: HashSet<ChannelId>,
    /// Those whose payers may owe only so much in all.
    limited: HashSet<ChannelId>,
    deployments: HashSet<&'a str>,
    holds: Vec<Uuid>,
    requests: HashSet<(ChannelId, &'a str)>,
    retries: HashMap<(ChannelId, RequestHash), Retry>,
}

/// Sales that may turn out to repeat a released one.
struct Retry {
    /// Only where at least this much is authorised can they be repetitions.
    least: Amount,
    /// How many they are: each may repeat another one.
    entries: i64,
}

impl<'a> Wanted<'a> {
    fn by(entries: &'a [Entry]) -> Wanted<'a> {
        let channels = entries.iter().map(Entry::channel).collect();
        let mut wanted = Wanted { channels, ..Wanted::default() };
        let mut sales: HashMap<ChannelId, usize> = HashMap::new();
        for entry in entries {
            match entry {
                Entry::Sell(ask) => *sales.entry(ask.question.voucher.channel).or_default() += 1,
                Entry::Settle(ask) => wanted.holds.push(rows::uuid(ask.question.hold)),
                Entry::Agree(_) | Entry::Publish(_) => {}
            }
        }
        for entry in entries {
            let Entry::Sell(ask) = entry else { continue };
            let order = &ask.question;
            let channel = order.voucher.channel;
            wanted.deployments.insert(&*order.deployment);
            if order.terms.limits_payers() {
                wanted.limited.insert(channel);
            }
            match &order.request.id {
                Some(request) => {
                    wanted.requests.insert((channel, request.as_str()));
                }
                None if order.terms.step == Step::Any => {}
                None => {
                    // Another sale of this batch may be what makes the voucher one that was seen before.
                    let least = if sales[&channel] > 1 { Amount::ZERO } else { order.voucher.amount };
                    let retry =
                        wanted.retries.entry((channel, order.request.hash)).or_insert(Retry { least, entries: 0 });
                    retry.entries += 1;
                }
            }
        }
        wanted
    }
}

/// The same as arrays of parameters.
struct Columns<'a> {
    channels: Vec<&'a [u8]>,
    limited: Vec<&'a [u8]>,
    deployments: Vec<&'a str>,
    holds: Vec<Uuid>,
    requests: (Vec<&'a [u8]>, Vec<&'a str>),
    retries: RetryColumns<'a>,
}

#[derive(Default)]
struct RetryColumns<'a> {
    channels: Vec<&'a [u8]>,
    hashes: Vec<&'a [u8]>,
    amounts: Vec<Numeric>,
    counts: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(wanted: &'a Wanted<'a>) -> Columns<'a> {
        let mut retries = RetryColumns::default();
        for ((channel, hash), retry) in &wanted.retries {
            retries.channels.push(channel.0.as_slice());
            retries.hashes.push(hash.0.as_slice());
            retries.amounts.push(Numeric(retry.least));
            retries.counts.push(retry.entries);
        }
        Columns {
            channels: wanted.channels.iter().map(|id| id.0.as_slice()).collect(),
            limited: wanted.limited.iter().map(|id| id.0.as_slice()).collect(),
            deployments: wanted.deployments.iter().copied().collect(),
            holds: wanted.holds.clone(),
            requests: wanted.requests.iter().map(|(id, request)| (id.0.as_slice(), *request)).unzip(),
            retries,
        }
    }
}
