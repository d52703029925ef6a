use clap::Args;
use serde_json::json;

use super::list::line;
use super::pick::pick;
use crate::payer_arguments::PayerArguments;
use crate::report::Report;

/// `sluice channel show`.
#[derive(Args)]
#[command(after_help = "Example:\n  sluice channel show 37 --json")]
pub(crate) struct Arguments {
    /// CONTRACT/RECEIVER/OPEN_BLOCK, or the open block.
    channel: String,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let payer = arguments.payer.careful_payer().await?;
    let key = pick(&payer, &arguments.channel).await?;
    let remembered = payer.channels().await.into_iter().find(|channel| channel.key == key);
    let on_chain = payer.on_chain(&key).await?;
    let ours = remembered.as_ref().map_or_else(|| format!("{key}  not remembered"), line);
    let chain = match &on_chain {
        None => "on chain: settled, or never opened".to_owned(),
        Some(info) => {
            let closing = info.closing.map_or_else(
                || "open".to_owned(),
                |(balance, until)| format!("closing at {balance}, settles after block {until}"),
            );
            format!("on chain: deposit {}, withdrawn {}, {closing}", info.deposit, info.withdrawn)
        }
    };
    let json = json!({ "channel": key, "remembered": remembered, "on_chain": on_chain });
    Ok(Report::new(format!("{ours}\n{chain}"), json))
}
