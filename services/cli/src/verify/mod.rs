//! `sluice verify`: the audit, to the unit. The ledger (or an export of it) against itself, its vouchers, and the chain.
//!
//! ```text
//! ledger, or a file ─▶ records ─▶ channel and its events ─▶ books: counters, signatures, facts   needs nobody
//!                                        └────────────────▶ chain: events, what the contract says  needs a node
//!                                 sales ─▶ sums
//!                                 transactions ─▶ journal: each nonce and each claim accounted for
//! ```

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use serde_json::json;

use crate::database::{Cluster, DatabaseArguments};
use crate::report::{Code, Report, Usage};

mod audit;
mod books;
mod chain;
mod journal;
mod source;

use audit::Audit;

/// `sluice verify`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice verify --config sluice.toml                             the ledger as it is now, against its chains
  sluice verify --config sluice.toml --offline                   without a node: counters, signatures, facts, sums
  sluice verify --export trail.jsonl --config sluice.toml        a file that `sluice export` made

Each difference is a line with its numbers. Exit code 0: there is none; 1: there are some; 5: a node was not reached. The
cluster may go on selling: the ledger is looked at as it is at one moment, and the chain as it was at the last block that the
ledger had read by then.")]
pub(crate) struct Arguments {
    /// Verify this export instead of the ledger.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Ask no node.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    database: DatabaseArguments,
}

/// Differences that are told one by one.
const DIFFERENCES_MAX: usize = 1_000;

/// What does not agree, and what could not be looked at.
#[derive(Debug, Default)]
struct Findings {
    differences: Vec<String>,
    /// Differences beyond [`DIFFERENCES_MAX`].
    untold: usize,
    notes: Vec<String>,
}

impl Findings {
    fn differs(&mut self, says: impl Into<String>) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(says.into());
        } else {
            self.untold = self.untold.saturating_add(1);
        }
    }

    fn note(&mut self, says: impl Into<String>) {
        let says = says.into();
        if !self.notes.contains(&says) {
            self.notes.push(says);
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let Arguments { export, offline, database } = arguments;
    let cluster = database.required()?;
    ensure!(
        !cluster.deployments.is_empty(),
        Usage("which contracts? The configuration says it: use --config FILE".to_owned())
    );
    let mut records = match export {
        Some(file) => source::file(file)?,
        None => source::ledger(&cluster).await?,
    };
    let Cluster { deployments, .. } = cluster;
    let mut audit = Audit::new(deployments, offline);
    while let Some(record) = records.recv().await {
        audit.take(record?).await?;
    }
    let (checked, findings) = audit.finish().await?;
    let Findings { differences, untold, notes } = findings;
    let count = differences.len() + untold;
    let mut lines = differences.clone();
    if untold > 0 {
        lines.push(format!("… and {untold} more"));
    }
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    lines.push(match count {
        0 => format!("{checked}: all agree"),
        1 => format!("{checked}: 1 difference"),
        _ => format!("{checked}: {count} differences"),
    });
    let code = if count == 0 { Code::Done } else { Code::Failed };
    let json = json!({ "checked": checked, "differences": differences, "untold": untold, "notes": notes });
    Ok(Report { code, ..Report::new(lines.join("\n"), json) })
}
