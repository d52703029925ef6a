//! `sluice close`: the operator closes a channel without its payer.

use std::time::Duration;

use alloy_primitives::B256;
use channel::ChannelId;
use clap::Args;
use ledger::{JobKind, JobOutcome, NewJob};
use serde_json::json;

use crate::database::DatabaseArguments;
use crate::report::{Failure, Report};
use crate::waiting;

/// `sluice close`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice close --channel 0x… --config sluice.toml
  sluice close --channel 0x… --no-wait

The payee's close: the wallet closes on chain with the best voucher and its own signature, as `DELETE /api/1/admin/channels/…`
has it do. Nothing is sold on the channel from then on, and all that was authorised is taken, unused credit too: that is the
one amount the payer signed. A payer who wants its own channel closed says `sluice channel close` instead.")]
pub(crate) struct Arguments {
    /// The channel, as `sluice list channels` names it.
    #[arg(long, value_name = "CHANNEL")]
    channel: B256,
    /// Leave it to the wallet, and do not wait.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait, in seconds. The wallet goes on after that.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience_s: u64,
    #[command(flatten)]
    database: DatabaseArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let Arguments { channel, no_wait, patience_s, database } = arguments;
    let id = ChannelId(channel);
    let (ledger, _) = database.ledger().await?;
    let missing = || Failure::new(format!("the ledger knows no channel {id}"), "see `sluice list channels`");
    let (channel, _) = ledger.view(id).await?.ok_or_else(missing)?;
    let (key, deployment) = (id.to_string(), channel.deployment);
    let job = NewJob { kind: JobKind::Close, key, deployment, channel: Some(id), amount: None };
    let job = ledger.enqueue(&job).await?;
    if no_wait {
        let text = format!("left to the wallet as job {0}; see `sluice jobs show {0}`", job.0);
        return Ok(Report::new(text, json!({ "channel": id, "job": job.0 })));
    }
    let outcomes = waiting::wait(&ledger, &[job], Duration::from_secs(patience_s)).await?;
    let see = format!("see `sluice jobs show {}`", job.0);
    match outcomes.into_iter().next().flatten() {
        Some(JobOutcome::Done(outcome)) => {
            let text = match (outcome["closed"].as_str(), outcome["agreed"].as_str()) {
                (Some(taken), _) => format!("closed; {taken} was taken in all"),
                (_, Some(agreed)) => format!("nothing is sold any more; it is the payer's to close at {agreed}"),
                _ => format!("not closed: the contract would refuse the best voucher ({outcome})"),
            };
            Ok(Report::new(text, json!({ "channel": id, "job": job.0, "outcome": outcome })))
        }
        Some(JobOutcome::Failed(reason)) => Err(Failure::new(format!("the close failed: {reason}"), see).into()),
        None => {
            let next = format!("the wallet goes on when it is up; {see}");
            Err(Failure::new(format!("it is not closed after {patience_s} s"), next).into())
        }
    }
}
