//! The REST interface: what its questions are answered, as in the original, with whole numbers as JSON numbers of any size.
//!
//! *Invariant:* no answer holds a voucher's signature: whoever had one could close somebody else's channel. The original
//! shows it to anybody; no client reads it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use alloy_primitives::{Address, hex};
use channel::{Channel, CloseRefusal, Deadline, Epoch, Status, challenge};
use contracts::{artifacts, raiden};
use http::header::{CACHE_CONTROL, LINK, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::GATEWAY_PATH;
use crate::{Answer, Details, Page, Reply, Statistics};

pub(super) fn answer(reply: &Reply<'_>) -> Answer {
    let ok = |text: &str| Answer::json(StatusCode::OK, &text);
    match *reply {
        Reply::Nothing => not_found(),
        Reply::NoDeployment => {
            let message = json!({ "message": { "deployment": "there is no such deployment" } });
            Answer::json(StatusCode::BAD_REQUEST, &message)
        }
        Reply::Closed(Ok(signature)) => {
            let hex = hex::encode_prefixed(signature.as_bytes());
            Answer::json(StatusCode::OK, &json!({ "close_signature": hex }))
        }
        Reply::Closed(Err(CloseRefusal::NotOpen)) => bad("Channel does not exist or has been closed"),
        Reply::Closed(Err(CloseRefusal::AgreedOtherwise { .. })) => bad("Channel closing has been requested already."),
        Reply::Closed(Err(CloseRefusal::Amount { .. })) => bad("Requested closing balance does not match latest one."),
        Reply::Statistics(statistics) => self::statistics(statistics),
        Reply::Listed(page) => listed(page),
        Reply::Shown(details) => shown(details),
        Reply::Unauthorized => {
            let challenge = HeaderValue::from_static("Basic realm=\"Authentication Required\"");
            Answer::json(StatusCode::UNAUTHORIZED, &"Unauthorized Access").with(WWW_AUTHENTICATE, challenge)
        }
        Reply::LoggedIn { token } => {
            let answer = Answer::json(StatusCode::OK, &json!({ "token": token }));
            answer.with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        }
        Reply::LoggedOut => ok("OK"),
        Reply::Greeted => ok("NOTHING TO SEE HERE, GO AWAY"),
        Reply::ForceClosed(opening) => {
            ok(&format!("force closed ({}, {})", opening.payer.to_checksum(None), block_of(&opening.params)))
        }
    }
}

pub(super) fn not_found() -> Answer {
    Answer::json(StatusCode::NOT_FOUND, &json!({ "message": "Not found" }))
}

pub(super) fn bad(reason: &str) -> Answer {
    Answer::json(StatusCode::BAD_REQUEST, &reason)
}

#[derive(Serialize)]
struct Stats<'a> {
    balance_sum: u128,
    deposit_sum: u128,
    open_channels: u64,
    pending_channels: u64,
    unique_senders: u64,
    liquid_balance: Option<u128>,
    /// Ours: when that was seen, in seconds since 1970.
    liquid_balance_at: Option<u64>,
    token_address: String,
    contract_address: String,
    receiver_address: String,
    manager_abi: &'a Value,
    token_abi: Cow<'a, Value>,
    /// Where clients look for events from, not how far we are.
    sync_block: u64,
    /// Ours: how far we are.
    synced_block: Option<u64>,
}

fn statistics(statistics: &Statistics<'_>) -> Answer {
    let Statistics { deployment, totals, balance, .. } = statistics;
    let stats = Stats {
        balance_sum: totals.authorised.units(),
        deposit_sum: totals.deposit.units(),
        open_channels: totals.open,
        pending_channels: totals.closing,
        unique_senders: totals.payers,
        liquid_balance: balance.map(|(amount, _)| amount.units()),
        liquid_balance_at: balance.map(|(_, seen_at)| seen_at.as_secs()),
        token_address: deployment.token.to_checksum(None),
        contract_address: deployment.contract.to_checksum(None),
        receiver_address: deployment.payee.to_checksum(None),
        manager_abi: &artifacts::CHANNELS.abi,
        token_abi: token_abi(statistics.erc223),
        sync_block: deployment.from_block,
        synced_block: statistics.synced,
    };
    Answer::json(StatusCode::OK, &stats)
}

/// The browser's client sends tokens with data where the ABI has such a transfer, and approves and calls where it has not.
fn token_abi(erc223: bool) -> Cow<'static, Value> {
    let abi = &artifacts::TEST_TOKEN.abi;
    let carries_data =
        |entry: &Value| entry["name"] == "transfer" && entry["inputs"].as_array().map_or(0, Vec::len) == 3;
    match abi {
        Value::Array(entries) if !erc223 => {
            Cow::Owned(entries.iter().filter(|entry| !carries_data(entry)).cloned().collect())
        }
        _ => Cow::Borrowed(abi),
    }
}

#[derive(Serialize)]
struct Sender {
    sender_address: String,
    blocks: Vec<u32>,
}

#[derive(Serialize)]
struct Listed {
    sender_address: String,
    open_block: u32,
    state: &'static str,
    deposit: u128,
    balance: u128,
}

fn listed(page: &Page<'_>) -> Answer {
    let mut answer = match page.listing.payer {
        Some(payer) => Answer::json(StatusCode::OK, &page.channels.iter().map(of_sender(payer)).collect::<Vec<_>>()),
        None => Answer::json(StatusCode::OK, &senders(page.channels)),
    };
    answer.headers.extend(next(page).map(|link| (LINK, link)));
    answer
}

fn of_sender(payer: Address) -> impl Fn(&(Channel, Epoch)) -> Listed {
    move |(channel, epoch)| Listed {
        sender_address: payer.to_checksum(None),
        open_block: block_of(&channel.params),
        state: if is_open(channel) { "open" } else { "closed" },
        deposit: channel.facts.deposit.units(),
        balance: epoch.authorised.units(),
    }
}

/// Channels of one payer are next to each other.
fn senders(channels: &[(Channel, Epoch)]) -> Vec<Sender> {
    let of_one = channels.chunk_by(|(one, _), (other, _)| one.payer == other.payer);
    let sender = |channels: &[(Channel, Epoch)]| Sender {
        sender_address: channels[0].0.payer.to_checksum(None),
        blocks: channels.iter().map(|(channel, _)| block_of(&channel.params)).collect(),
    };
    of_one.map(sender).collect()
}

/// The link to the next page.
fn next(page: &Page<'_>) -> Option<HeaderValue> {
    let (last, _) = page.channels.last().filter(|_| page.more)?;
    let payer = page.listing.payer.map(|payer| payer.to_checksum(None)).unwrap_or_default();
    let status = match page.listing.open {
        Some(true) => "open",
        Some(false) => "closed",
        None => "all",
    };
    let deployment = page.listing.deployment.as_ref().map(|name| format!("&deployment={name}")).unwrap_or_default();
    let target = format!("{GATEWAY_PATH}/channels/{payer}?status={status}{deployment}&after={}", last.id);
    HeaderValue::try_from(format!("<{target}>; rel=\"next\"")).ok()
}

#[derive(Serialize)]
struct Shown {
    receiver: String,
    sender: String,
    deposit: u128,
    open_block_number: u32,
    balance: u128,
    state: u8,
    last_signature: (),
    settle_timeout: i128,
    ctime: f64,
    mtime: f64,
    confirmed: u8,
    unconfirmed_topups: BTreeMap<String, u128>,
}

pub(super) fn shown(details: Option<&Details<'_>>) -> Answer {
    let Some(Details { deployment, channel, epoch, created_at, changed_at, pending }) = details else {
        return Answer::json(StatusCode::NOT_FOUND, &"Sender address not found");
    };
    let shown = Shown {
        receiver: deployment.payee.to_checksum(None),
        sender: channel.payer.to_checksum(None),
        deposit: channel.facts.deposit.units(),
        open_block_number: block_of(&channel.params),
        balance: epoch.authorised.units(),
        state: state(channel, epoch),
        last_signature: (),
        settle_timeout: match channel.facts.status {
            Status::Closing { deadline: Deadline::Block(last) | Deadline::Time(last), .. } => last.into(),
            _ => -1,
        },
        ctime: created_at.as_secs_f64(),
        mtime: changed_at.as_secs_f64(),
        confirmed: channel.facts.confirmed.into(),
        unconfirmed_topups: pending.iter().map(|(hash, added)| (hash.to_string(), added.units())).collect(),
    };
    Answer::json(StatusCode::OK, &shown)
}

/// 0: open; 1: closed; 2: closed below what is owed, and to be answered.
fn state(channel: &Channel, epoch: &Epoch) -> u8 {
    match challenge(channel, epoch) {
        Some(_) => 2,
        None if is_open(channel) => 0,
        None => 1,
    }
}

fn is_open(channel: &Channel) -> bool {
    channel.facts.status == Status::Open && channel.agreed_close.is_none()
}

/// The block a channel was opened in. The params are the contract's own; others would be no channel of this protocol.
fn block_of(params: &[u8]) -> u32 {
    raiden::open_block(params).unwrap_or_default()
}
