use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::database::DatabaseArguments;
use crate::report::Report;

/// `sluice migrate`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice migrate --config sluice.toml
  sluice migrate --database-url postgresql://sluice@localhost/sluice

Brings the schema up to date; run it before a new version's processes. Several at once are fine: one works, the others wait.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    ledger::migrate(&arguments.database.url()?).await.context("cannot migrate the database")?;
    Ok(Report::new("the schema is up to date", json!({ "migrated": true })))
}
