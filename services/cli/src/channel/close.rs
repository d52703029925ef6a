use bytes::Bytes;
use channel::Amount;
use clap::Args;
use http::Request;
use serde_json::json;

use super::pick::pick;
use crate::payer_arguments::PayerArguments;
use crate::report::{Report, Usage};

/// `sluice channel close`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice channel close 37                                  with the receiver's consent: at once
  sluice channel close 37 --server https://host/api/1      asking there
  sluice channel close 37 --ask https://host/file.txt      after losing the state: learn what was paid first
  sluice channel close 37 --alone                          without it: then wait, and `sluice channel settle 37`")]
pub(crate) struct Arguments {
    /// CONTRACT/RECEIVER/OPEN_BLOCK, or the open block.
    channel: String,
    /// The server's channel API [default: what the server named when it was paid last].
    #[arg(long, value_name = "URL", conflicts_with = "alone")]
    server: Option<String>,
    /// Something the server sells. Asked with a voucher that buys nothing, it shows what the server holds.
    #[arg(long, value_name = "URL", conflicts_with = "alone")]
    ask: Option<String>,
    /// Without the receiver: what is left comes back after the challenge period.
    #[arg(long)]
    alone: bool,
    /// The final balance to ask for [default: what was signed last].
    #[arg(long, value_name = "AMOUNT", requires = "alone")]
    balance: Option<Amount>,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let payer = arguments.payer.careful_payer().await?;
    let key = pick(&payer, &arguments.channel).await?;
    if arguments.alone {
        let ended = payer.close_alone(&key, arguments.balance).await?;
        let until = payer.on_chain(&key).await?.and_then(|info| info.closing).map(|(_, until)| until);
        let mut json = json!(ended);
        json["settle_after_block"] = json!(until);
        let when = until.map_or_else(String::new, |until| format!(" after block {until}"));
        let text = format!(
            "{key} closes at {} of ours to the receiver; take back {} with `sluice channel settle`{when}",
            ended.balance, ended.refund
        );
        return Ok(Report::new(text, json));
    }
    let mut api = arguments.server;
    if let Some(url) = arguments.ask {
        let request = Request::get(&url).body(Bytes::new()).map_err(|_| Usage(format!("{url:?} is no address")))?;
        let probe = payer.probe(&key, request).await?;
        api = api.or(probe.api);
    }
    let ended = payer.close(&key, api.as_deref()).await?;
    let text = format!("{key} is closed: {} to the receiver, {} back to you", ended.balance, ended.refund);
    Ok(Report::new(text, json!(ended)))
}
