//! `sluice backup` and `sluice restore`: the vouchers are the money.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use ledger::Backup;
use serde_json::json;

use crate::database::DatabaseArguments;
use crate::private;
use crate::report::Report;

/// `sluice backup`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice backup /backups/sluice-$(date +%F).dump --config sluice.toml
  pg_restore --list /backups/sluice-2026-11-01.dump              what is in it

One moment of the whole ledger, while everything goes on, by pg_dump (which must not be older than the server). The file holds
every voucher: it is readable by its owner alone; keep it so.

A backup forgets what is sold after it. What was claimed on chain by the time it is restored is not lost; what was not, is:
docs/operating.md says how much that is. So claim before you rely on one, and have a synchronous standby as well.")]
pub(crate) struct BackupArguments {
    /// The file, which must not be there yet.
    file: PathBuf,
    #[command(flatten)]
    database: DatabaseArguments,
}

/// `sluice restore`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  createdb sluice_restored
  sluice restore /backups/sluice-2026-11-01.dump --database-url postgresql://sluice@db/sluice_restored

Into a database that is new, or migrated and never used. All or nothing. A backup of an older version is brought up to date.
Start the watchers and wallets on it first: nothing is sold before a watcher has read the chain to its end, which brings back
what was claimed meanwhile. Then `sluice verify` says what the backup does not know.

Never restore beside processes that still run on the old database: two ledgers would sell the same vouchers.")]
pub(crate) struct RestoreArguments {
    /// A file that `sluice backup` made.
    file: PathBuf,
    #[command(flatten)]
    database: DatabaseArguments,
}

pub(crate) async fn backup(arguments: BackupArguments) -> anyhow::Result<Report> {
    let BackupArguments { file, database } = arguments;
    let cluster = database.required()?;
    let (part, made) = private::create(&file)?;
    let Backup { server, schema } =
        ledger::backup(&cluster.database, &part).await.context("the ledger cannot be backed up")?;
    drop(made);
    let written = File::open(&part)?;
    written.sync_all()?;
    let bytes = written.metadata()?.len();
    private::name(&part, &file)?;
    let text = format!("{}: {bytes} bytes, schema {schema} of PostgreSQL {server}", file.display());
    Ok(Report::new(text, json!({ "file": file, "bytes": bytes, "schema": schema, "postgresql": server })))
}

pub(crate) async fn restore(arguments: RestoreArguments) -> anyhow::Result<Report> {
    let RestoreArguments { file, database } = arguments;
    let cluster = database.required()?;
    let Backup { server, schema } = ledger::restore(&cluster.database, &file).await.context("nothing was restored")?;
    let text = format!(
        "{} is restored: schema {schema} of PostgreSQL {server}, brought up to date\n\
         next: start watchers and wallets; fronts sell once a watcher has caught up; then `sluice verify`",
        file.display()
    );
    Ok(Report::new(text, json!({ "file": file, "schema": schema, "postgresql": server })))
}
