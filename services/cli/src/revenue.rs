use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use ledger::{Ledger, Sales, SalesQuery};
use serde_json::{Map, Value, json};

use crate::database::DatabaseArguments;
use crate::report::{Report, Usage};
use crate::table::table;

/// `sluice revenue`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice revenue --config sluice.toml                                  by day and route
  sluice revenue --by payer --from 2026-11-01 --to 2026-11-30 --csv    a month, by payer, for a spreadsheet
  sluice revenue --by deployment --json                                all there ever was

Amounts are in base units of the deployment's token, exact up to the last payment: what was charged, not what was held or
given back. Days are of UTC. What was claimed without a voucher of ours has no route (-) and no calls.")]
pub(crate) struct Arguments {
    /// What to tell apart; deployments always are.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["day", "route"], value_name = "COLUMNS")]
    by: Vec<By>,
    /// From this day on (2026-11-01).
    #[arg(long, value_name = "DAY")]
    from: Option<Date>,
    /// Up to this day, which is included.
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
    /// Of this deployment only.
    #[arg(long, value_name = "NAME")]
    deployment: Option<String>,
    /// Print comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Day,
    Deployment,
    Route,
    Payer,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let Arguments { by, from, to, deployment, csv, database } = arguments;
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Usage("--from is after --to".to_owned()).into());
    }
    let ledger = Ledger::connect(&database.required()?.database).await.context("cannot use the ledger")?;
    let [by_day, by_route, by_payer] = [By::Day, By::Route, By::Payer].map(|column| by.contains(&column));
    let sales = ledger.sales(&SalesQuery { deployment, from, to, by_day, by_route, by_payer }).await?;
    ledger.close().await;

    let shown = [("day", by_day), ("deployment", true), ("route", by_route), ("payer", by_payer)];
    let names: Vec<&str> = shown.iter().filter(|(_, shown)| *shown).map(|(name, _)| *name).collect();
    let names = [names.as_slice(), &["amount", "calls"]].concat();
    let rows: Vec<Vec<String>> =
        sales.iter().map(|line| columns(line).into_iter().map(|(_, value)| value).collect()).collect();
    let text = if csv { as_csv(&names, &rows)? } else { as_table(&names, &rows) };
    Ok(Report::new(text, Value::Array(sales.iter().map(as_json).collect())))
}

/// The columns that were asked for.
fn columns(line: &Sales) -> Vec<(&'static str, String)> {
    let Sales { day, deployment, route, payer, amount, calls } = line;
    let columns = [
        ("day", day.map(|day| day.to_string())),
        ("deployment", Some(deployment.clone())),
        ("route", route.clone()),
        ("payer", payer.map(|payer| payer.to_checksum(None))),
        ("amount", Some(amount.to_string())),
        ("calls", Some(calls.to_string())),
    ];
    columns.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn as_json(line: &Sales) -> Value {
    let mut columns: Map<_, _> =
        columns(line).into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
    columns.insert("calls".to_owned(), json!(line.calls));
    Value::Object(columns)
}

fn as_csv(names: &[&str], rows: &[Vec<String>]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(names)?;
    for row in rows {
        writer.write_record(row)?;
    }
    Ok(String::from_utf8(writer.into_inner().context("the lines do not fit into memory")?)?)
}

fn as_table(names: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() { "nothing was sold".to_owned() } else { table(names, rows, 2) }
}
