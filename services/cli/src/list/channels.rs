use alloy_primitives::{Address, B256};
use channel::{Amount, Channel, ChannelId, Epoch, Status};
use clap::{Args, ValueEnum};
use contracts::raiden;
use ledger::{ChannelFilter, Ledger};
use serde_json::{Value, json};

use crate::database::DatabaseArguments;
use crate::report::Report;
use crate::table::table;

/// `sluice list channels`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice list channels --config sluice.toml                     those that are open or closing
  sluice list channels --payer 0x… --status all --json          all there ever were of one payer
  sluice list channels --unclaimed --limit 1000                 those with something to claim

Amounts are base units. spent + held is never more than authorised; exposure is what is authorised and not claimed yet, and
claimable what a claim takes now: the best voucher less what was claimed, where the channel is open and its deposit covers it.")]
pub(crate) struct Arguments {
    /// Of this deployment only.
    #[arg(long, value_name = "NAME")]
    deployment: Option<String>,
    /// Of this payer only.
    #[arg(long, value_name = "ADDRESS")]
    payer: Option<Address>,
    /// What the chain shows of them; without it, open and closing ones.
    #[arg(long, value_enum)]
    status: Option<Shown>,
    /// Only those with a voucher above what was claimed.
    #[arg(long)]
    unclaimed: bool,
    /// Only those after this one: the last of the page before.
    #[arg(long, value_name = "CHANNEL")]
    after: Option<B256>,
    /// At most this many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shown {
    Open,
    Closing,
    Closed,
    /// Its opening is on no block of the chain (any more).
    Absent,
    All,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let Arguments { deployment, payer, status, unclaimed, after, limit, database } = arguments;
    let (ledger, _) = database.ledger().await?;
    let wanted = |channel: &Channel, epoch: &Epoch| {
        deployment.as_ref().is_none_or(|name| *name == channel.deployment)
            && payer.is_none_or(|payer| payer == channel.payer)
            && shows(status, &channel.facts.status)
            && (!unclaimed || epoch.voucher.is_some_and(|(amount, _)| amount > channel.facts.claimed))
    };
    let (channels, next) = some(&ledger, after.map(ChannelId), limit as usize, wanted).await?;
    let rows: Vec<Vec<String>> = channels.iter().map(|(channel, epoch)| columns(channel, epoch)).collect();
    let mut text = if rows.is_empty() { "no channels".to_owned() } else { table(&NAMES, &rows, 9) };
    if let Some(next) = next {
        text += &format!("\nmore: --after {next}");
    }
    let json: Vec<Value> = channels.iter().map(|(channel, epoch)| as_json(channel, epoch)).collect();
    Ok(Report::new(text, json!({ "channels": json, "next": next })))
}

fn shows(wanted: Option<Shown>, status: &Status) -> bool {
    match (wanted, status) {
        (Some(Shown::All), _)
        | (None | Some(Shown::Open), Status::Open)
        | (None | Some(Shown::Closing), Status::Closing { .. })
        | (Some(Shown::Closed), Status::Closed)
        | (Some(Shown::Absent), Status::Absent) => true,
        (Some(_) | None, _) => false,
    }
}

/// The first channels after `after` that are wanted, at most `most`, and where to go on when there may be more. They are
/// picked out here, because a statement that looks for a few among millions takes longer than one may.
pub(crate) async fn some(
    ledger: &Ledger,
    mut after: Option<ChannelId>,
    most: usize,
    wanted: impl Fn(&Channel, &Epoch) -> bool,
) -> anyhow::Result<(Vec<(Channel, Epoch)>, Option<ChannelId>)> {
    let mut found = Vec::new();
    loop {
        let page = ledger.channels(&ChannelFilter { ended: true, after, ..ChannelFilter::default() }).await?;
        let is_last = page.is_empty();
        for (channel, epoch) in page {
            after = Some(channel.id);
            if wanted(&channel, &epoch) {
                found.push((channel, epoch));
            }
            if found.len() >= most {
                return Ok((found, after));
            }
        }
        if is_last {
            return Ok((found, None));
        }
    }
}

const NAMES: [&str; 14] = [
    "channel",
    "deployment",
    "payer",
    "block",
    "status",
    "deposit",
    "pending",
    "authorised",
    "spent",
    "held",
    "credit",
    "claimed",
    "claimable",
    "exposure",
];

fn columns(channel: &Channel, epoch: &Epoch) -> Vec<String> {
    let facts = &channel.facts;
    let words = [
        channel.id.to_string(),
        channel.deployment.clone(),
        channel.payer.to_string(),
        open_block(channel).map(|block| block.to_string()).unwrap_or_default(),
        status(channel).to_owned(),
    ];
    let numbers = [
        facts.deposit,
        facts.pending,
        epoch.authorised,
        epoch.spent,
        epoch.held,
        epoch.credit(),
        facts.claimed,
        claimable(channel, epoch),
        channel.exposure(epoch),
    ];
    words.into_iter().chain(numbers.map(|amount| amount.to_string())).collect()
}

fn as_json(channel: &Channel, epoch: &Epoch) -> Value {
    let facts = &channel.facts;
    let requested = match facts.status {
        Status::Closing { requested, .. } => Some(requested),
        _ => None,
    };
    json!({
        "channel": channel.id,
        "deployment": channel.deployment,
        "payer": channel.payer,
        "open_block": open_block(channel),
        "status": status(channel),
        "confirmed": facts.confirmed,
        "requested": requested,
        "agreed_close": channel.agreed_close,
        "deposit": facts.deposit,
        "pending": facts.pending,
        "authorised": epoch.authorised,
        "spent": epoch.spent,
        "held": epoch.held,
        "credit": epoch.credit(),
        "published": epoch.published,
        "claimed": facts.claimed,
        "claimable": claimable(channel, epoch),
        "exposure": channel.exposure(epoch),
    })
}

/// What a claim takes now: nothing from a channel that is to be closed, or whose deposit does not cover the voucher.
pub(crate) fn claimable(channel: &Channel, epoch: &Epoch) -> Amount {
    let facts = &channel.facts;
    match (facts.status, channel.agreed_close, epoch.voucher) {
        (Status::Open, None, Some((amount, _))) if amount <= facts.deposit => amount.saturating_sub(facts.claimed),
        _ => Amount::ZERO,
    }
}

fn open_block(channel: &Channel) -> Option<u32> {
    raiden::open_block(&channel.params).ok()
}

fn status(channel: &Channel) -> &'static str {
    match channel.facts.status {
        Status::Absent => "absent",
        Status::Open => "open",
        Status::Closing { .. } => "closing",
        Status::Closed => "closed",
    }
}
