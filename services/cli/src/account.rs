use std::collections::BTreeSet;
use std::fmt::Write;

use alloy_primitives::Address;
use clap::Args;
use serde_json::json;

use crate::payer_arguments::PayerArguments;
use crate::report::Report;

/// `sluice account`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice account
  sluice account --token 0x… --json

Shows the tokens of remembered channels, of the contracts allowed in the payer file, and those named.")]
pub(crate) struct Arguments {
    /// A token to look at. Repeatable.
    #[arg(long, value_name = "ADDRESS")]
    token: Vec<Address>,
    #[command(flatten)]
    payer: PayerArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let payer = arguments.payer.careful_payer().await?;
    let mut tokens: BTreeSet<Address> = arguments.token.iter().copied().collect();
    tokens.extend(payer.channels().await.iter().map(|channel| channel.token));
    for contract in arguments.payer.allowed_contracts()? {
        tokens.insert(payer.token_of(contract).await?);
    }
    let coins = payer.coins().await?;
    let mut text = format!("address  {}\nwei      {coins}", payer.address());
    let mut balances = Vec::new();
    for token in tokens {
        let balance = payer.tokens(token).await?;
        let _ = write!(text, "\ntoken    {token}  {balance}");
        balances.push(json!({ "token": token, "balance": balance.to_string() }));
    }
    let json = json!({ "address": payer.address(), "wei": coins.to_string(), "tokens": balances });
    Ok(Report::new(text, json))
}
