use alloy_primitives::Address;
use bytes::Bytes;
use channel::Amount;
use clap::Args;
use http::Request;
use serde_json::json;

use crate::payer_arguments::PayerArguments;
use crate::report::{Report, Usage};

/// `sluice channel open`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice channel open --deposit 1000 http://127.0.0.1:8080/file.txt
  sluice channel open --deposit 1000 --contract 0x… --receiver 0x…")]
pub(crate) struct Arguments {
    /// Ask this URL whom to pay.
    #[arg(required_unless_present_all = ["contract", "receiver"])]
    url: Option<String>,
    /// The channel contract.
    #[arg(long, value_name = "ADDRESS", requires = "receiver", conflicts_with = "url")]
    contract: Option<Address>,
    /// Who is paid.
    #[arg(long, value_name = "ADDRESS", requires = "contract")]
    receiver: Option<Address>,
    /// How much to deposit, in base units.
    #[arg(long, value_name = "AMOUNT")]
    deposit: Amount,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let payer = arguments.payer.careful_payer().await?;
    let (contract, receiver) = match (arguments.contract, arguments.receiver, &arguments.url) {
        (Some(contract), Some(receiver), _) => (contract, receiver),
        (_, _, Some(url)) => {
            let bad = |_| Usage(format!("{url:?} is no address"));
            let request = Request::get(url).body(Bytes::new()).map_err(bad)?;
            let offer = payer.quote(request).await?;
            let offer = offer.ok_or_else(|| Usage(format!("{url} costs nothing: it names nobody to pay")))?;
            (offer.contract, offer.receiver)
        }
        _ => return Err(Usage("name a URL, or --contract and --receiver".to_owned()).into()),
    };
    let channel = payer.open_channel(contract, receiver, arguments.deposit).await?;
    Ok(Report::new(format!("opened {} with {}", channel.key, channel.deposit), json!(channel)))
}
