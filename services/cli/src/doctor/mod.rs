//! `sluice doctor`: why is a channel not accepted? Asks everybody who has a say, and compares.

use alloy_primitives::Address;
use anyhow::ensure;
use clap::Args;
use payer::{ChannelKey, Payer};
use serde::Serialize;
use serde_json::json;

use crate::database::DatabaseArguments;
use crate::payer_arguments::PayerArguments;
use crate::report::{Code, Report, Usage};

mod chain;
mod ledger;
mod memory;
mod server;

/// `sluice doctor`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice doctor 37 --url http://127.0.0.1:8080/file.txt               the payer: chain, memory, server
  sluice doctor 0xCONTRACT/0xRECEIVER/37 --sender 0x… --config sluice.toml     the operator: chain, ledger

Asks nothing that costs anything. Exit code 0: nothing is wrong; 1: something is, each with its next step.")]
pub(crate) struct Arguments {
    /// CONTRACT/RECEIVER/OPEN_BLOCK, or the open block of a remembered channel.
    channel: String,
    /// Whose channel, for who has not its key.
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<Address>,
    /// Something its server sells: the server is asked what it thinks of the channel. Needs the key.
    #[arg(long, value_name = "URL", conflicts_with = "sender")]
    url: Option<String>,
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    payer: PayerArguments,
}

/// Whose channel is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patient {
    pub(crate) key: ChannelKey,
    pub(crate) sender: Address,
}

/// What somebody says of the channel.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// Who.
    from: &'static str,
    /// Whether payments can pass, as far as that one knows.
    ok: bool,
    /// What.
    says: String,
    /// What to do about it.
    next: Option<String>,
}

impl Finding {
    pub(crate) fn good(from: &'static str, says: impl Into<String>) -> Finding {
        Finding { from, ok: true, says: says.into(), next: None }
    }

    pub(crate) fn bad(from: &'static str, says: impl Into<String>, next: impl Into<String>) -> Finding {
        Finding { from, ok: false, says: says.into(), next: Some(next.into()) }
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let (patient, payer) = patient(&arguments).await?;
    let rpc = arguments.payer.rpc()?;
    let mut findings = Vec::new();
    let seen = chain::examine(&rpc, &patient, &mut findings).await;
    if let Some(payer) = &payer {
        memory::examine(payer, &patient, &mut findings).await;
    }
    if let Some(cluster) = arguments.database.cluster()? {
        ledger::examine(&cluster, &patient, rpc.chain_id(), seen.as_ref(), &mut findings).await;
    }
    match (&payer, &arguments.url) {
        (Some(payer), Some(url)) => server::examine(payer, &patient, url, &mut findings).await?,
        (None, Some(_)) => return Err(Usage("--url needs the payer's key: name --key-file".to_owned()).into()),
        _ => {}
    }
    Ok(report(&patient, &findings))
}

async fn patient(arguments: &Arguments) -> anyhow::Result<(Patient, Option<Payer>)> {
    if let Some(sender) = arguments.sender {
        let key = arguments.channel.parse().map_err(Usage)?;
        return Ok((Patient { key, sender }, None));
    }
    ensure!(arguments.payer.has_key()?, Usage("whose channel is it? Name --sender, or --key-file".to_owned()));
    let payer = arguments.payer.careful_payer().await?;
    let key = crate::channel::pick(&payer, &arguments.channel).await?;
    Ok((Patient { key, sender: payer.address() }, Some(payer)))
}

fn report(patient: &Patient, findings: &[Finding]) -> Report {
    let healthy = findings.iter().all(|finding| finding.ok);
    let mut text = format!("channel {} of {}", patient.key, patient.sender);
    for Finding { from, ok, says, next } in findings {
        let mark = if *ok { "ok " } else { "BAD" };
        text += &format!("\n{mark}  {from:<7} {says}");
        if let Some(next) = next {
            text += &format!("\n             next: {next}");
        }
    }
    text += if healthy { "\nNothing is wrong." } else { "" };
    let json = json!({ "channel": patient.key, "sender": patient.sender, "healthy": healthy, "findings": findings });
    Report { code: if healthy { Code::Done } else { Code::Failed }, ..Report::new(text, json) }
}
