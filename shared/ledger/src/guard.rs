//! The start guard: which servers may hold money. Checked on every connection that commits payments, so that a
//! fail-over to a weaker server is noticed too.

use tokio_postgres::{Client, Error};

use crate::LedgerError;

/// Refuses a server that would forget what it acknowledged.
pub(crate) async fn check(client: &Client, single_node: bool) -> Result<(), LedgerError> {
    match weakness(client, single_node).await.map_err(LedgerError::before_commit)? {
        Some(weakness) => Err(LedgerError::Refused(weakness)),
        None => Ok(()),
    }
}

async fn weakness(client: &Client, single_node: bool) -> Result<Option<String>, Error> {
    let sql = "-- guard
        SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
               current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
               current_setting('synchronous_commit'), current_setting('synchronous_standby_names')";
    let row = client.query_one(sql, &[]).await?;
    let (standby, read_only, fsync, pages) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let (commit, standbys): (&str, &str) = (row.try_get(4)?, row.try_get(5)?);
    let alone = standbys.trim().is_empty();

    let weakness = match (standby, read_only, fsync, pages, commit) {
        (true, ..) => "it is a standby".to_owned(),
        (_, true, ..) => "it is read-only".to_owned(),
        (_, _, false, ..) => "fsync = off".to_owned(),
        (_, _, _, false, _) => "full_page_writes = off".to_owned(),
        (.., "off") => "synchronous_commit = off".to_owned(),
        (.., "local") if !single_node => "synchronous_commit = local".to_owned(),
        _ if alone && !single_node => {
            "synchronous_standby_names is empty, and the configuration does not say single_node = true".to_owned()
        }
        _ => return Ok(None),
    };
    Ok(Some(weakness))
}
