//! `sluice claim`: the operator wants what is owed, now.

use std::time::Duration;

use alloy_primitives::B256;
use channel::{Amount, Channel, ChannelId, Epoch};
use clap::Args;
use ledger::{ClaimCause, JobId, JobOutcome, Ledger, NewJob};
use serde_json::{Value, json};

use crate::database::DatabaseArguments;
use crate::list::{claimable, some};
use crate::report::{Code, Failure, Report};
use crate::waiting;

/// `sluice claim`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice claim --all --config sluice.toml
  sluice claim --all --deployment main --no-wait
  sluice claim --channel 0x…

The wallet sends the contract the best voucher of each channel; the channels stay open. What was asked for is claimed whatever
the policy's thresholds say, one transaction a channel; only what is not worth its gas is left, without --at-any-cost. Exit
code 1: something was not claimed; the lines say why.")]
#[group(id = "which", required = true, multiple = false, args = ["channel", "all"])]
pub(crate) struct Arguments {
    /// From this channel, as `sluice list channels` names it.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<B256>,
    /// From every channel with something to claim.
    #[arg(long)]
    all: bool,
    /// Of this deployment only.
    #[arg(long, value_name = "NAME", requires = "all")]
    deployment: Option<String>,
    /// Also where the gas costs more than the policy's share of it.
    #[arg(long)]
    at_any_cost: bool,
    /// Leave it to the wallet, and do not wait.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait, in seconds. The wallet goes on after that.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience_s: u64,
    #[command(flatten)]
    database: DatabaseArguments,
}

/// Channels of which one call claims; then it is to be called again.
const CHANNELS_MAX: usize = 5_000;

/// A claim that was asked for.
struct Asked {
    channel: ChannelId,
    job: JobId,
    /// What was claimed before,
    claimed: Amount,
    /// and what is to be claimed now, at least.
    claimable: Amount,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let (ledger, _) = arguments.database.ledger().await?;
    let (channels, more) = which(&ledger, &arguments).await?;
    let cause = if arguments.at_any_cost { ClaimCause::Forced } else { ClaimCause::Asked };
    let mut asked = Vec::with_capacity(channels.len());
    for (channel, epoch) in &channels {
        asked.push(ask(&ledger, channel, epoch, cause).await?);
    }
    let report = if arguments.no_wait {
        left(&asked)
    } else {
        let jobs: Vec<JobId> = asked.iter().map(|asked| asked.job).collect();
        let outcomes = waiting::wait(&ledger, &jobs, Duration::from_secs(arguments.patience_s)).await?;
        told(&ledger, &asked, outcomes).await?
    };
    Ok(if more {
        let text = format!("{}\nmore channels have something to claim: repeat it", report.text);
        Report { text, ..report }
    } else {
        report
    })
}

/// The channels to claim from, and whether there are more.
async fn which(ledger: &Ledger, arguments: &Arguments) -> anyhow::Result<(Vec<(Channel, Epoch)>, bool)> {
    if let Some(id) = arguments.channel.map(ChannelId) {
        let missing = || Failure::new(format!("the ledger knows no channel {id}"), "see `sluice list channels`");
        let (channel, epoch) = ledger.view(id).await?.ok_or_else(missing)?;
        if claimable(&channel, &epoch).is_zero() {
            let next = "see its counters with `sluice list channels --status all`";
            return Err(Failure::new(format!("there is nothing to claim from {id} now"), next).into());
        }
        return Ok((vec![(channel, epoch)], false));
    }
    let is_meant = |channel: &Channel| arguments.deployment.as_ref().is_none_or(|name| *name == channel.deployment);
    let wanted = |channel: &Channel, epoch: &Epoch| is_meant(channel) && !claimable(channel, epoch).is_zero();
    let (found, next) = some(ledger, None, CHANNELS_MAX, wanted).await?;
    Ok((found, next.is_some()))
}

async fn ask(ledger: &Ledger, channel: &Channel, epoch: &Epoch, cause: ClaimCause) -> anyhow::Result<Asked> {
    let job = ledger.enqueue(&NewJob::claim(channel, cause)).await?;
    Ok(Asked { channel: channel.id, job, claimed: channel.facts.claimed, claimable: claimable(channel, epoch) })
}

fn left(asked: &[Asked]) -> Report {
    let line =
        |asked: &Asked| format!("{}  {} left to the wallet as job {}", asked.channel, asked.claimable, asked.job.0);
    let json = |asked: &Asked| json!({ "channel": asked.channel, "claimable": asked.claimable, "job": asked.job.0 });
    let lines: Vec<String> = asked.iter().map(line).collect();
    let text = if lines.is_empty() { "there is nothing to claim".to_owned() } else { lines.join("\n") };
    Report::new(text, Value::Array(asked.iter().map(json).collect()))
}

/// What became of the claims, by what the ledger says now.
async fn told(ledger: &Ledger, asked: &[Asked], outcomes: Vec<Option<JobOutcome>>) -> anyhow::Result<Report> {
    let (mut lines, mut json, mut sum, mut missed) = (Vec::new(), Vec::new(), Amount::ZERO, 0_usize);
    for (asked, outcome) in asked.iter().zip(outcomes) {
        let now = ledger.view(asked.channel).await?.map_or(asked.claimed, |(channel, _)| channel.facts.claimed);
        let got = now.saturating_sub(asked.claimed);
        sum = sum.saturating_add(got);
        let why = match outcome {
            Some(JobOutcome::Done(_)) if got >= asked.claimable => None,
            Some(JobOutcome::Done(outcome)) if outcome["refused"] == "gas" => {
                Some("not worth its gas now; --at-any-cost takes it all the same".to_owned())
            }
            Some(JobOutcome::Done(outcome)) => Some(outcome.to_string()),
            Some(JobOutcome::Failed(reason)) => Some(reason),
            None => Some(format!("not yet; the wallet goes on when it is up, see `sluice jobs show {}`", asked.job.0)),
        };
        missed += usize::from(why.is_some());
        let told = why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(format!("{}  {got} of {} claimed{told}", asked.channel, asked.claimable));
        json.push(json!({ "channel": asked.channel, "job": asked.job.0, "claimed": got, "problem": why }));
    }
    let text = match lines.is_empty() {
        true => "there is nothing to claim".to_owned(),
        false => format!("{}\n{sum} claimed from {} channels", lines.join("\n"), asked.len() - missed),
    };
    let code = if missed == 0 { Code::Done } else { Code::Failed };
    Ok(Report { code, ..Report::new(text, json!({ "claims": json, "claimed": sum })) })
}
