//! The job `challenge`: a payer asked to close below what we hold a voucher for, so we close with the voucher.
//!
//! A round of it changes one thing and is repeated until the ledger says, from what the watcher saw, that the channel
//! is closed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::{B256, U256};
use channel::{Action, Amount, Channel, CloseRefusal, Signature, Status, challenge};
use contracts::Opening;
use ledger::{Job, JobKind, Lane, NewJob};
use serde_json::json;

use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::{Verdict, Work};
use crate::keys::Purse;
use crate::margins::{Margins, Waiting};
use crate::transactions::{self, Intent};

/// How often we look whether a challenge was mined.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long one waits that finds the line full: the next head may make room.
const ROOM: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(crate) struct Challenging {
    pub(crate) margins: Margins,
}

impl Work for Challenging {
    const KINDS: &'static [JobKind] = &[JobKind::Challenge];

    async fn attempt(&self, desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
        let NewJob { channel, deployment, .. } = &job.job;
        let (&Some(id), Some(purse)) = (channel, desk.purses.get(deployment)) else {
            return Ok(Verdict::Failed("a challenge needs a channel".to_owned()));
        };
        let Some((channel, epoch)) = desk.ledger.view(id).await? else {
            return Ok(Verdict::Failed("there is no such channel".to_owned()));
        };
        // Planned on what the ledger says now: what was true when the job was made may be so no longer.
        let (Some(Action::Challenge { amount, signature }), Status::Closing { deadline, .. }) =
            (challenge(&channel, &epoch), channel.facts.status)
        else {
            self.margins.forget(desk, id);
            return Ok(Verdict::Done(ended(&channel, epoch.voucher.map(|(amount, _)| amount))));
        };
        let progress = transactions::progress(desk, id).await?;
        let period = u64::from(purse.deployment.challenge_period);
        let waiting = Waiting { deadline, period, is_mined: progress.is_mined };
        self.margins.note(desk, id, &waiting, newest(desk, deployment).await?);
        if progress.is_live {
            return Ok(Verdict::Wait(LOOK_AGAIN));
        }
        match answer(desk, purse, job, &channel, amount, &signature).await {
            Err(WalletError::Full { .. }) => Ok(Verdict::Wait(ROOM)),
            verdict => verdict,
        }
    }
}

/// Number and time of the newest block. While no node says so: of the one there must be by now if the chain is at its
/// fastest, going by the last one in the ledger.
async fn newest(desk: &Desk, deployment: &str) -> Result<(u64, u64), WalletError> {
    let looked = desk.memory().head_within(LOOK_AGAIN, Instant::now());
    let head = match looked {
        Some(head) => Ok(head),
        None => desk.rpc.head().await,
    };
    match head {
        Ok(head) => Ok((head.number, head.time)),
        Err(away) => {
            let cursor = desk.ledger.cursor(deployment).await?.ok_or(away)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(cursor.block_time, |now| now.as_secs());
            let blocks = now.saturating_sub(cursor.block_time) / desk.block_s.max(1);
            Ok((cursor.block.number.saturating_add(blocks), now))
        }
    }
}

async fn answer(
    desk: &Desk,
    purse: &Purse,
    job: &Job,
    channel: &Channel,
    amount: Amount,
    voucher: &Signature,
) -> Result<Verdict, WalletError> {
    // From here on nothing is sold even if the close request is reorganised away: our answer would still be valid then.
    match desk.ledger.agree_close(channel.id, amount).await? {
        // A payer that we agreed with at another amount asks for less than that: it has our signature for both.
        Ok(_) | Err(CloseRefusal::AgreedOtherwise { .. }) => {}
        Err(CloseRefusal::NotOpen) => return Ok(Verdict::Wait(LOOK_AGAIN)),
        // Planned on a moment that is over, or the best voucher is below what was taken already.
        Err(refusal @ CloseRefusal::Amount { .. }) => return Err(refusal.into()),
    }
    let hash = send(desk, purse, (job, Lane::Urgent), channel, amount, voucher).await?;
    tracing::info!(channel.id = %channel.id, %amount, tx.hash = %hash, "a close below what is owed was answered");
    Ok(Verdict::Wait(LOOK_AGAIN))
}

/// Sends the contract the channel's voucher and our own signature, at an amount that the ledger agreed to.
pub(crate) async fn send(
    desk: &Desk,
    purse: &Purse,
    (job, lane): (&Job, Lane),
    channel: &Channel,
    amount: Amount,
    voucher: &Signature,
) -> Result<B256, WalletError> {
    let closing = purse.closing_signature(channel, amount);
    let contract = purse.contract();
    let opening = Opening::from(channel);
    let data = contract.cooperative_close(&purse.deployment, &opening, amount, voucher, &closing)?;
    let intent = Intent {
        job: job.id,
        lane,
        channel: Some(channel.id),
        amount: Some(amount),
        to: purse.deployment.contract,
        data,
        value: U256::ZERO,
    };
    transactions::send(desk, &purse.key, intent).await
}

/// What became of it, when there is nothing left to do.
fn ended(channel: &Channel, voucher: Option<Amount>) -> serde_json::Value {
    if channel.facts.status != Status::Closed {
        return json!({ "stale": true });
    }
    let (held, got) = (voucher.unwrap_or_default(), channel.facts.claimed);
    let outcome = if got < held && channel.agreed_close.is_none_or(|agreed| got < agreed) { "lost" } else { "won" };
    if outcome == "lost" {
        tracing::error!(channel.id = %channel.id, %held, %got, "a channel was closed below what is owed");
    }
    metrics::counter!("wallet_challenges_total", "outcome" => outcome).increment(1);
    json!({ "closed": got })
}
