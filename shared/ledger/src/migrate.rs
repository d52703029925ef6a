//! The schema: brought up to date by one command, and checked by everybody who connects.

use std::sync::Arc;

use sqlx::Connection;
use sqlx::migrate::Migrator;
use tokio_postgres::Client;

use crate::LedgerError;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Brings the schema of the database at `url` up to date. Safe to call at any time and from several places at once: an
/// advisory lock lets one through, and the others find nothing left to do.
///
/// # Errors
/// [`LedgerError::Migration`] when the database is away or a migration fails; then that migration left nothing behind.
pub async fn migrate(url: &str) -> Result<(), LedgerError> {
    let failed = |error| LedgerError::Migration(Arc::new(error));
    let mut connection =
        sqlx::PgConnection::connect(url).await.map_err(|error| failed(sqlx::migrate::MigrateError::Execute(error)))?;
    MIGRATIONS.run(&mut connection).await.map_err(failed)?;
    // The schema stands; how the connection ends changes nothing.
    let _ = connection.close().await;
    Ok(())
}

/// Refuses a schema of another version than this program's.
pub(crate) async fn check(client: &Client) -> Result<(), LedgerError> {
    let (found, wanted) = (version(client).await?, newest());
    if found == wanted { Ok(()) } else { Err(LedgerError::Schema { found, wanted }) }
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
