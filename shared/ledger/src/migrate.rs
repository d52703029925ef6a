//! The schema: brought up to date by one command, and checked by everybody who connects.
//!
//! sqlx embeds the files and has the say on the table that counts them; they run over a connection like any other of ours, so
//! that an address means the same here as everywhere.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::migrate::{Migration, Migrator};
use tokio_postgres::{Client, Error};

use crate::address::Address;
use crate::session::Session;
use crate::{LedgerError, rows};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// One at a time, for as long as the connection lasts and however long it takes; and a place to write down what was done.
const BEGIN: &str = "-- begin_migrations
    RESET ALL;
    SET client_min_messages = warning;
    SELECT pg_advisory_lock(hashtext('sluice migrate'));
    CREATE TABLE IF NOT EXISTS _sqlx_migrations (
        version        bigint PRIMARY KEY,
        description    text NOT NULL,
        installed_on   timestamptz NOT NULL DEFAULT now(),
        success        boolean NOT NULL,
        checksum       bytea NOT NULL,
        execution_time bigint NOT NULL
    )";

/// Brings the schema of the database at `url` up to date. Safe to call at any time and from several places at once: one
/// works, and the others find nothing left to do. A schema that is newer already stays as it is.
///
/// # Errors
/// [`LedgerError::Refused`] for an address that is none, [`LedgerError::Unavailable`] when the database is away,
/// [`LedgerError::Migration`] when a migration fails, [`LedgerError::Conflict`] when one that was applied was another.
pub async fn migrate(url: &str) -> Result<(), LedgerError> {
    let away = |error| LedgerError::Unavailable(Arc::new(error));
    let session = Session::open(&Address::parse(url)?, "sluice migrate").await.map_err(away)?;
    session.batch_execute(BEGIN).await.map_err(LedgerError::before_commit)?;
    let applied = applied(&session).await?;
    for migration in MIGRATIONS.iter() {
        match applied.get(&migration.version) {
            None => apply(&session, migration).await.map_err(|error| failed(migration, error))?,
            Some(checksum) if *checksum == *migration.checksum => {}
            Some(_) => {
                let says = format!("migration {} is not the one that was applied to this database", migration.version);
                return Err(LedgerError::Conflict(says));
            }
        }
    }
    Ok(())
}

async fn applied(client: &Client) -> Result<HashMap<i64, Vec<u8>>, LedgerError> {
    let sql = "-- applied_migrations
        SELECT version, checksum FROM _sqlx_migrations WHERE success";
    let found = client.query(sql, &[]).await.map_err(LedgerError::before_commit)?;
    found.iter().map(|row| Ok((rows::get(row, 0)?, rows::get(row, 1)?))).collect()
}

/// All of it or nothing: an error ends the connection, and the transaction with it.
async fn apply(client: &Client, migration: &Migration) -> Result<(), Error> {
    client.batch_execute("BEGIN").await?;
    client.batch_execute(migration.sql.as_str()).await?;
    let sql = "-- note_migration
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES ($1, $2, true, $3, extract(epoch FROM clock_timestamp() - now()) * 1000000000)";
    client.execute(sql, &[&migration.version, &&*migration.description, &&*migration.checksum]).await?;
    client.batch_execute("COMMIT").await
}

fn failed(migration: &Migration, error: Error) -> LedgerError {
    LedgerError::Migration { version: migration.version, source: Arc::new(error) }
}

/// Refuses a schema that is older than this program. A newer one will do: migrations leave what the version before them needs,
/// so that during an upgrade, and after one that was taken back, programs of both versions work.
pub(crate) async fn check(client: &Client) -> Result<(), LedgerError> {
    let (found, wanted) = (version(client).await?, newest());
    if found >= wanted { Ok(()) } else { Err(LedgerError::Schema { found, wanted }) }
}

/// The schema version of this program.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The schema version of a database; 0 when it was never migrated.
pub(crate) async fn version(client: &Client) -> Result<i64, LedgerError> {
    let sql = "-- schema_version
        SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let migrated: bool = one(client, sql).await?;
    let sql = "-- schema_version
        SELECT COALESCE(max(version), 0) FROM _sqlx_migrations WHERE success";
    if migrated { one(client, sql).await } else { Ok(0) }
}

async fn one<T: for<'a> postgres_types::FromSql<'a>>(client: &Client, sql: &str) -> Result<T, LedgerError> {
    let row = client.query_one(sql, &[]).await.map_err(LedgerError::before_commit)?;
    row.try_get(0).map_err(|error| LedgerError::corrupt(&error))
}
