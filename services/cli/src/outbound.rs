//! `sluice outbound`: channels that we pay from, which the wallet keeps filled.

use anyhow::Context;
use channel::Amount;
use clap::{Args, Subcommand};
use ledger::{LedgerError, OutboundRow};
use serde_json::{Value, json};

use crate::database::DatabaseArguments;
use crate::report::{Report, Usage};
use crate::table::table;

/// `sluice outbound`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the channels that the wallet keeps filled, as it saw them last.
    #[command(after_help = "\
Example:
  sluice outbound list --config sluice.toml

`spent` is what was signed away as far as it was reported, or what the receiver took on chain, if that is more.")]
    List(ListArguments),
    /// Say how much was signed away of a channel: the chain does not show it before the receiver takes it.
    #[command(after_help = "\
Example:
  sluice outbound report reports 8250 --config sluice.toml

The amount is cumulative, as in the last voucher: `balance` in what `sluice pay --json` and `sluice channel list --json` print.
An amount below an earlier one changes nothing.")]
    Report(ReportArguments),
}

#[derive(Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(Args)]
pub(crate) struct ReportArguments {
    /// The channel's name in the configuration.
    name: String,
    /// What was signed away in all, in base units.
    amount: Amount,
    #[command(flatten)]
    database: DatabaseArguments,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Report> {
    match command {
        Command::List(ListArguments { database }) => list(&database).await,
        Command::Report(arguments) => report(arguments).await,
    }
}

async fn list(database: &DatabaseArguments) -> anyhow::Result<Report> {
    let (ledger, _) = database.ledger().await?;
    let channels = ledger.outbound().await?;
    let rows: Vec<_> = channels.iter().map(columns).collect();
    let text = match rows.is_empty() {
        true => "no channels are kept filled".to_owned(),
        false => table(&["name", "state", "deposit", "spent", "left"], &rows, 3),
    };
    Ok(Report::new(text, Value::Array(channels.iter().map(as_json).collect())))
}

async fn report(arguments: ReportArguments) -> anyhow::Result<Report> {
    let ReportArguments { name, amount, database } = arguments;
    let (ledger, _) = database.ledger().await?;
    let row = match ledger.report_outbound(&name, amount).await {
        Err(LedgerError::NotFound(_)) => {
            return Err(Usage(format!("no wallet keeps a channel {name} filled; `sluice outbound list`")).into());
        }
        noted => noted.context("cannot note it")?,
    };
    let text = format!("{name}: {} of {} spent, {} left", row.spent(), row.deposit, left(&row));
    Ok(Report::new(text, as_json(&row)))
}

fn left(row: &OutboundRow) -> Amount {
    row.deposit.saturating_sub(row.spent())
}

fn columns(row: &OutboundRow) -> Vec<String> {
    let state = if row.is_open { "open" } else { "not open" };
    let amounts = [row.deposit, row.spent(), left(row)].map(|amount| amount.to_string());
    [row.name.clone(), state.to_owned()].into_iter().chain(amounts).collect()
}

fn as_json(row: &OutboundRow) -> Value {
    json!({
        "name": row.name,
        "channel": row.channel.to_string(),
        "is_open": row.is_open,
        "deposit": row.deposit,
        "claimed": row.claimed,
        "reported": row.reported,
        "left": left(row),
    })
}
