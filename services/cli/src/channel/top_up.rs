use channel::Amount;
use clap::Args;
use serde_json::json;

use super::pick::pick;
use crate::payer_arguments::PayerArguments;
use crate::report::Report;

/// `sluice channel top-up`.
#[derive(Args)]
#[command(after_help = "Example:\n  sluice channel top-up --amount 500 37")]
pub(crate) struct Arguments {
    /// CONTRACT/RECEIVER/OPEN_BLOCK, or the open block.
    channel: String,
    /// How much to add, in base units.
    #[arg(long, value_name = "AMOUNT")]
    amount: Amount,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let payer = arguments.payer.careful_payer().await?;
    let key = pick(&payer, &arguments.channel).await?;
    let channel = payer.top_up(&key, arguments.amount).await?;
    Ok(Report::new(format!("{key} holds {}", channel.deposit), json!(channel)))
}
