use clap::Args;
use serde_json::json;

use super::pick::pick;
use crate::payer_arguments::PayerArguments;
use crate::report::Report;

/// `sluice channel settle`.
#[derive(Args)]
#[command(after_help = "Example:\n  sluice channel settle 37")]
pub(crate) struct Arguments {
    /// CONTRACT/RECEIVER/OPEN_BLOCK, or the open block.
    channel: String,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let payer = arguments.payer.careful_payer().await?;
    let key = pick(&payer, &arguments.channel).await?;
    let ended = payer.settle(&key).await?;
    let text = format!("{key} is settled: {} to the receiver, {} back to you", ended.balance, ended.refund);
    Ok(Report::new(text, json!(ended)))
}
