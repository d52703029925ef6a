//! `sluice jobs`: the work of the background, as an operator sees it.

use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use ledger::{JobFilter, JobId, JobKind, JobRow, JobState, Ledger, LedgerError};
use serde_json::{Value, json};

use crate::database::DatabaseArguments;
use crate::report::{Failure, Report};
use crate::table::table;

/// `sluice jobs`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List jobs, the newest first.
    #[command(after_help = "\
Examples:
  sluice jobs list --config sluice.toml                        the last hundred, open and ended
  sluice jobs list --state failed --json                       what needs a person
  sluice jobs list --kind challenge --state open

Ended jobs are kept for database.idempotency_window_s, and as long as a transaction was sent for them.")]
    List(ListArguments),
    /// Show all that is known of a job.
    #[command(after_help = "Example:\n  sluice jobs show 4711 --config sluice.toml")]
    Show(OneArguments),
    /// Try a job again now: one that failed is open again, one that waits is due.
    #[command(after_help = "\
Example:
  sluice jobs retry 4711 --config sluice.toml

Mend the cause first: `sluice jobs show` says why it failed. It is harmless to try too early.")]
    Retry(OneArguments),
    /// Give an open job up.
    #[command(after_help = "\
Examples:
  sluice jobs drop 4711 --config sluice.toml
  sluice jobs drop 4712 --force

It fails with `dropped by an operator`. A transaction of it that is not mined yet is replaced by one that does nothing. What
still makes sense by the policy is planned again later. A `challenge` that is dropped is money given away: the payer closes
for less than it owes; hence --force.")]
    Drop(DropArguments),
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// Of this kind only.
    #[arg(long, value_parser = kind)]
    kind: Option<JobKind>,
    /// In this state only.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Of this deployment only.
    #[arg(long, value_name = "NAME")]
    deployment: Option<String>,
    /// Only those before this one: the last of the page before.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// At most this many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(Args)]
pub(crate) struct OneArguments {
    /// The job's number.
    id: i64,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(Args)]
pub(crate) struct DropArguments {
    #[command(flatten)]
    one: OneArguments,
    /// Also a challenge.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    Open,
    Done,
    Failed,
}

fn kind(word: &str) -> Result<JobKind, String> {
    let words = JobKind::ALL.map(JobKind::as_str).join(", ");
    let known = JobKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    known.ok_or_else(|| format!("a kind of job is one of {words}"))
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Report> {
    match command {
        Command::List(arguments) => list(arguments).await,
        Command::Show(OneArguments { id, database }) => {
            let (ledger, _) = database.ledger().await?;
            Ok(shown(&known(&ledger, id).await?))
        }
        Command::Retry(OneArguments { id, database }) => {
            let (ledger, _) = database.ledger().await?;
            retry(&ledger, id).await
        }
        Command::Drop(DropArguments { one, force }) => {
            let (ledger, _) = one.database.ledger().await?;
            give_up(&ledger, one.id, force).await
        }
    }
}

async fn list(arguments: ListArguments) -> anyhow::Result<Report> {
    let ListArguments { kind, state, deployment, before, limit, database } = arguments;
    let state = state.map(|state| match state {
        State::Open => JobState::Open,
        State::Done => JobState::Done,
        State::Failed => JobState::Failed,
    });
    let (ledger, _) = database.ledger().await?;
    let jobs = ledger.jobs(&JobFilter { kind, state, deployment, before: before.map(JobId), limit }).await?;
    let rows: Vec<Vec<String>> = jobs.iter().map(columns).collect();
    let mut text = match rows.is_empty() {
        true => "no jobs".to_owned(),
        false => table(&["id", "kind", "state", "deployment", "due", "tries", "key", "error"], &rows, 0),
    };
    if let Some(last) = jobs.last().filter(|_| jobs.len() == limit as usize) {
        text += &format!("\nmore: --before {}", last.job.id.0);
    }
    Ok(Report::new(text, Value::Array(jobs.iter().map(as_json).collect())))
}

fn columns(row: &JobRow) -> Vec<String> {
    let JobRow { job, state, run_at, error, .. } = row;
    let due = if *state == JobState::Open { time(*run_at) } else { String::new() };
    vec![
        job.id.0.to_string(),
        job.job.kind.as_str().to_owned(),
        state.as_str().to_owned(),
        job.job.deployment.clone(),
        due,
        job.attempts.to_string(),
        job.job.key.clone(),
        error.clone().unwrap_or_default(),
    ]
}

async fn known(ledger: &Ledger, id: i64) -> anyhow::Result<JobRow> {
    let missing = || Failure::new(format!("there is no job {id}, or no longer"), "see `sluice jobs list`");
    Ok(ledger.job(JobId(id)).await?.ok_or_else(missing)?)
}

fn shown(row: &JobRow) -> Report {
    let json = as_json(row);
    let lines = json.as_object().into_iter().flatten().map(|(name, value)| match value {
        Value::Null => format!("{name:<12} -"),
        Value::String(text) => format!("{name:<12} {text}"),
        other => format!("{name:<12} {other}"),
    });
    Report::new(lines.collect::<Vec<_>>().join("\n"), json)
}

async fn retry(ledger: &Ledger, id: i64) -> anyhow::Result<Report> {
    let before = known(ledger, id).await?;
    let another = || {
        let says = format!("another {} job for {} is open", before.job.job.kind.as_str(), before.job.job.key);
        Failure::new(says, "that one does the same; see `sluice jobs list --state open`")
    };
    match ledger.make_due(JobId(id)).await {
        Ok(true) => Ok(shown(&known(ledger, id).await?)),
        Ok(false) => {
            let next = "there is nothing to try again; see what it led to with `sluice jobs show`";
            Err(Failure::new(format!("job {id} is done"), next).into())
        }
        Err(LedgerError::Conflict(_)) => Err(another().into()),
        Err(error) => Err(error.into()),
    }
}

async fn give_up(ledger: &Ledger, id: i64, force: bool) -> anyhow::Result<Report> {
    let before = known(ledger, id).await?;
    if before.job.job.kind == JobKind::Challenge && !force {
        let says = format!("job {id} answers a dishonest close: without it the payer closes for less than it owes");
        return Err(Failure::new(says, "if that is what you want, say --force").into());
    }
    if before.state == JobState::Open {
        ledger.fail(JobId(id), "dropped by an operator").await?;
    }
    let after = known(ledger, id).await?;
    match after.state {
        JobState::Failed if before.state == JobState::Open => Ok(shown(&after)),
        state => Err(Failure::new(format!("job {id} is {} already", state.as_str()), "nothing is to be done").into()),
    }
}

fn as_json(row: &JobRow) -> Value {
    let JobRow { job, state, run_at, rung_at, outcome, error, created_at, ended_at } = row;
    json!({
        "id": job.id.0,
        "kind": job.job.kind.as_str(),
        "key": job.job.key,
        "deployment": job.job.deployment,
        "channel": job.job.channel,
        "amount": job.job.amount,
        "state": state.as_str(),
        "attempts": job.attempts,
        "due_at": time(*run_at),
        "rung_at": rung_at.map(time),
        "outcome": outcome,
        "error": error,
        "created_at": time(*created_at),
        "ended_at": ended_at.map(time),
    })
}

/// A time to the second, in UTC, as RFC 3339 has it.
fn time(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let timestamp = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.map(|timestamp| timestamp.to_string()).unwrap_or_default()
}
