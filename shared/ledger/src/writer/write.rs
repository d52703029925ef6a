//! The second round trip: write what changed, and commit.

use std::time::Duration;

use channel::{Amount, Epoch};
use futures::join;
use tokio_postgres::{Error, Statement};

use super::batch::Failure;
use super::books::Changes;
use super::connection::Connection;
use crate::database::Params;
use crate::numeric::Numeric;
use crate::{LedgerError, rows};

/// Writes and commits. An error before the commit is as good as one in it: both were sent together.
pub(super) async fn write_and_commit(
    connection: &Connection,
    changes: &Changes<'_>,
    hold_ttl: Duration,
) -> Result<(), Failure> {
    let (epochs, inserted, updated, forgotten, agreed, logged, committed) = join!(
        write_epochs(connection, changes),
        insert_holds(connection, changes, hold_ttl),
        update_holds(connection, changes),
        forget_holds(connection, changes),
        write_agreed(connection, changes),
        log_sales(connection, changes),
        connection.batch_execute("COMMIT"),
    );
    let written = epochs.and(inserted).and(updated).and(forgotten).and(agreed).and(logged);
    written.and(committed.map(|()| 0)).map_err(|error| Failure::of(error, LedgerError::in_commit))?;
    Ok(())
}

async fn write_epochs(connection: &Connection, changes: &Changes<'_>) -> Result<u64, Error> {
    let epochs = &changes.epochs;
    let numerics = |of: fn(&Epoch) -> Amount| epochs.iter().map(|(_, e)| Numeric(of(e))).collect::<Vec<_>>();
    let channels: Vec<&[u8]> = epochs.iter().map(|(channel, _)| channel.id.0.as_slice()).collect();
    let numbers: Vec<i64> = epochs.iter().map(|(_, epoch)| rows::signed(epoch.number)).collect();
    let vouchers: Vec<Option<Numeric>> =
        epochs.iter().map(|(_, e)| e.voucher.map(|(amount, _)| Numeric(amount))).collect();
    let signatures: Vec<Option<&[u8]>> =
        epochs.iter().map(|(_, e)| e.voucher.as_ref().map(|(_, signature)| signature.as_bytes().as_slice())).collect();
    let unclaimed: Vec<bool> =
        epochs.iter().map(|(channel, e)| e.voucher.is_some_and(|(amount, _)| amount > channel.facts.claimed)).collect();
    let (authorised, spent) = (numerics(|e| e.authorised), numerics(|e| e.spent));
    let (held, published) = (numerics(|e| e.held), numerics(|e| e.published));
    let params: &Params<'_> =
        &[&channels, &numbers, &authorised, &spent, &held, &published, &vouchers, &signatures, &unclaimed];
    change(connection, &connection.statements.write_epochs, epochs.len(), params).await
}

async fn insert_holds(connection: &Connection, changes: &Changes<'_>, ttl: Duration) -> Result<u64, Error> {
    let holds = &changes.new_holds;
    let ids: Vec<_> = holds.iter().map(|(hold, _)| rows::uuid(hold.id)).collect();
    let channels: Vec<&[u8]> = holds.iter().map(|(hold, _)| hold.channel.0.as_slice()).collect();
    let epochs: Vec<i64> = holds.iter().map(|(hold, _)| rows::signed(hold.epoch)).collect();
    let amounts: Vec<Numeric> = holds.iter().map(|(hold, _)| Numeric(hold.amount)).collect();
    let requests: Vec<Option<&str>> = holds.iter().map(|(hold, _)| hold.request.id.as_deref()).collect();
    let hashes: Vec<&[u8]> = holds.iter().map(|(hold, _)| hold.request.hash.0.as_slice()).collect();
    let states: Vec<&str> = holds.iter().map(|(hold, _)| rows::hold_state(hold.state)).collect();
    let captured: Vec<Numeric> = holds.iter().map(|(hold, _)| Numeric(hold.captured)).collect();
    let routes: Vec<&str> = holds.iter().map(|(_, route)| &***route).collect();
    let ttl = ttl.as_secs_f64();
    let params: &Params<'_> =
        &[&ids, &channels, &epochs, &amounts, &requests, &hashes, &states, &captured, &routes, &ttl];
    change(connection, &connection.statements.insert_holds, holds.len(), params).await
}

async fn update_holds(connection: &Connection, changes: &Changes<'_>) -> Result<u64, Error> {
    let holds = &changes.old_holds;
    let ids: Vec<_> = holds.iter().map(|(hold, _)| rows::uuid(hold.id)).collect();
    let created: Vec<_> = holds.iter().map(|(_, created_at)| *created_at).collect();
    let states: Vec<&str> = holds.iter().map(|(hold, _)| rows::hold_state(hold.state)).collect();
    let captured: Vec<Numeric> = holds.iter().map(|(hold, _)| Numeric(hold.captured)).collect();
    let params: &Params<'_> = &[&ids, &created, &states, &captured];
    change(connection, &connection.statements.update_holds, holds.len(), params).await
}

async fn forget_holds(connection: &Connection, changes: &Changes<'_>) -> Result<u64, Error> {
    let (ids, created): (Vec<_>, Vec<_>) =
        changes.done_holds.iter().map(|(hold, created_at)| (rows::uuid(hold.id), *created_at)).unzip();
    change(connection, &connection.statements.forget_holds, ids.len(), &[&ids, &created]).await
}

async fn write_agreed(connection: &Connection, changes: &Changes<'_>) -> Result<u64, Error> {
    let channels: Vec<&[u8]> = changes.agreed.iter().map(|(id, _)| id.0.as_slice()).collect();
    let amounts: Vec<Numeric> = changes.agreed.iter().map(|(_, amount)| Numeric(*amount)).collect();
    let params: &Params<'_> = &[&channels, &amounts];
    change(connection, &connection.statements.write_agreed, channels.len(), params).await
}

async fn log_sales(connection: &Connection, changes: &Changes<'_>) -> Result<u64, Error> {
    let takings = &changes.takings;
    let routes: Vec<&str> = takings.iter().map(|(_, taking)| &*taking.route).collect();
    let channels: Vec<&[u8]> = takings.iter().map(|(id, _)| id.0.as_slice()).collect();
    let amounts: Vec<Numeric> = takings.iter().map(|(_, taking)| Numeric(taking.amount)).collect();
    let calls: Vec<i32> = takings.iter().map(|(_, taking)| taking.calls).collect();
    let params: &Params<'_> = &[&routes, &channels, &amounts, &calls];
    change(connection, &connection.statements.log_sales, takings.len(), params).await
}

/// Runs a statement unless there is nothing to change.
async fn change(connection: &Connection, sql: &Statement, size: usize, params: &Params<'_>) -> Result<u64, Error> {
    if size == 0 { Ok(0) } else { connection.execute(sql, params).await }
}
