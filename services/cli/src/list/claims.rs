use alloy_primitives::B256;
use channel::ChannelId;
use clap::Args;
use ledger::{Claim, ClaimFilter, JobFilter, JobKind, JobRow, JobState, Ledger};
use serde_json::{Value, json};

use crate::database::DatabaseArguments;
use crate::report::{Failure, Report};
use crate::table::table;

/// `sluice list claims`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice list claims --config sluice.toml
  sluice list claims --channel 0x… --json
  sluice list claims --deployment main --before 812345.2        the page after one that ended there

A claim that was made stands on the chain; its transaction is `mined`, and `confirmed` once that block is deep, or `-` when it
is none of ours. Claims under way are jobs: see `sluice jobs show`.")]
pub(crate) struct Arguments {
    /// Of this deployment; needed when there are several.
    #[arg(long, value_name = "NAME")]
    deployment: Option<String>,
    /// Of this channel only.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<B256>,
    /// Only those before this place in the chain, BLOCK.INDEX: the last of the page before.
    #[arg(long, value_name = "PLACE", value_parser = place)]
    before: Option<(u64, u64)>,
    /// At most this many of each.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    #[command(flatten)]
    database: DatabaseArguments,
}

fn place(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('.').and_then(|(block, index)| Some((block.parse().ok()?, index.parse().ok()?)));
    parts.ok_or_else(|| "a place is a block and an index in it, such as 812345.2".to_owned())
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let Arguments { deployment, channel, before, limit, database } = arguments;
    let (ledger, _) = database.ledger().await?;
    let deployment = the_deployment(&ledger, deployment).await?;
    let channel = channel.map(ChannelId);
    let filter = ClaimFilter { deployment: deployment.clone(), channel, before, limit };
    let made = ledger.claims(&filter).await?;
    let open = JobFilter {
        kind: Some(JobKind::Claim),
        state: Some(JobState::Open),
        deployment: Some(deployment),
        before: None,
        limit,
    };
    let mut open = ledger.jobs(&open).await?;
    open.retain(|row| channel.is_none() || row.job.job.channel == channel);
    let json = json!({
        "open": open.iter().map(open_json).collect::<Vec<_>>(),
        "made": made.iter().map(made_json).collect::<Vec<_>>(),
    });
    Ok(Report::new(text(&open, &made, limit), json))
}

/// The deployment that is named, or the only one.
async fn the_deployment(ledger: &Ledger, named: Option<String>) -> anyhow::Result<String> {
    let known: Vec<String> = ledger.deployments().await?.into_iter().map(|deployment| deployment.id).collect();
    let names = || format!("the ledger knows {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
    match (named, known.as_slice()) {
        (Some(name), _) if known.contains(&name) => Ok(name),
        (Some(name), _) => Err(Failure::new(format!("there is no deployment {name}"), names()).into()),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Failure::new("which deployment? Name --deployment", names()).into()),
    }
}

fn text(open: &[JobRow], made: &[Claim], limit: u32) -> String {
    let under_way = |row: &JobRow| {
        let key = row.job.job.channel.map_or_else(|| row.job.job.key.clone(), |id| id.to_string());
        vec![row.job.id.0.to_string(), key, row.error.clone().unwrap_or_default(), row.job.attempts.to_string()]
    };
    let done = |claim: &Claim| {
        let intent = claim.intent.map(state).unwrap_or_default();
        let place = format!("{}.{}", claim.block, claim.log_index);
        vec![claim.channel.to_string(), claim.tx_hash.to_string(), intent, place, claim.amount.to_string()]
    };
    let mut parts = Vec::new();
    if !open.is_empty() {
        let rows: Vec<Vec<String>> = open.iter().map(under_way).collect();
        parts.push(format!("under way\n{}", table(&["job", "channel", "state", "tries"], &rows, 1)));
    }
    if !made.is_empty() {
        let rows: Vec<Vec<String>> = made.iter().map(done).collect();
        let names = ["channel", "transaction", "state", "place", "claimed"];
        parts.push(format!("made\n{}", table(&names, &rows, 2)));
    }
    if let Some(last) = made.last().filter(|_| made.len() == limit as usize) {
        parts.push(format!("more: --before {}.{}", last.block, last.log_index));
    }
    if parts.is_empty() { "no claims".to_owned() } else { parts.join("\n\n") }
}

fn state((state, confirmed): (ledger::IntentState, bool)) -> String {
    if confirmed { "confirmed".to_owned() } else { state.as_str().to_owned() }
}

fn open_json(row: &JobRow) -> Value {
    json!({
        "job": row.job.id.0,
        "deployment": row.job.job.deployment,
        "channel": row.job.job.channel,
        "amount": row.job.job.amount,
        "attempts": row.job.attempts,
        "error": row.error,
    })
}

fn made_json(claim: &Claim) -> Value {
    json!({
        "deployment": claim.deployment,
        "channel": claim.channel,
        "amount": claim.amount,
        "block": claim.block,
        "log_index": claim.log_index,
        "transaction": claim.tx_hash,
        "state": claim.intent.map(state),
    })
}
