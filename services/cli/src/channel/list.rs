use alloy_primitives::Address;
use clap::Args;
use payer::Channel;
use serde_json::json;

use crate::payer_arguments::PayerArguments;
use crate::report::Report;

/// `sluice channel list`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice channel list
  sluice channel list --contract 0x… --from-block 4958602     also those that were forgotten")]
pub(crate) struct Arguments {
    /// Look for this payer's channels in the contract's logs, and remember the open ones.
    #[arg(long, value_name = "ADDRESS")]
    contract: Option<Address>,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let payer = arguments.payer.careful_payer().await?;
    if let Some(contract) = arguments.contract {
        payer.find_channels(contract).await?;
    }
    let channels = payer.channels().await;
    let lines: Vec<_> = channels.iter().map(line).collect();
    let text = if lines.is_empty() { "no channels".to_owned() } else { lines.join("\n") };
    Ok(Report::new(text, json!(channels)))
}

/// One line about a channel.
pub(super) fn line(channel: &Channel) -> String {
    let state = match &channel.closing {
        Some(closing) => format!("closing at {}", closing.balance),
        None if channel.in_doubt && channel.host.is_none() => {
            "found on chain; the server will be asked what was paid".to_owned()
        }
        None if channel.in_doubt => "open, last payment in doubt".to_owned(),
        None => "open".to_owned(),
    };
    format!("{}  {} of {} used  {state}", channel.key, channel.balance, channel.deposit)
}
