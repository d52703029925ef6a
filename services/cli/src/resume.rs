use anyhow::Context;
use clap::Args;
use ledger::Ledger;
use serde_json::json;

use crate::database::DatabaseArguments;
use crate::report::{Report, Usage};

/// `sluice resume`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice resume main --config sluice.toml

A watcher halts a deployment when its chain was reorganised below what must never change. Find out why, and point rpc_url
at a node on the right chain. Then resume: the watcher reads everything anew, and fronts sell again once it has caught up.")]
pub(crate) struct Arguments {
    /// The deployment's name in the configuration.
    deployment: String,
    #[command(flatten)]
    database: DatabaseArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let cluster = arguments.database.required()?;
    let name = arguments.deployment;
    let ledger = Ledger::connect(&cluster.database).await.context("cannot use the ledger")?;
    if !ledger.resume(&name).await? {
        return Err(Usage(format!("deployment {name} is not halted, or there is none of that name")).into());
    }
    Ok(Report::new(format!("deployment {name} is followed again, from its first block"), json!({ "resumed": name })))
}
