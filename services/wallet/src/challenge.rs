//! The job `challenge`: a payer asked to close below what we hold a voucher for, so we close with the voucher.
//!
//! A round of it changes one thing and is repeated until the ledger says, from what the watcher saw, that the channel
//! is closed.

use std::time::Duration;

use alloy_primitives::B256;
use channel::{Action, Amount, Channel, ChannelId, CloseRefusal, Signature, Status, plan};
use contracts::Opening;
use ledger::{Job, NewJob, TransactionState};
use serde_json::json;

use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::Verdict;
use crate::keys::Purse;
use crate::margins::Margins;
use crate::transactions::{self, Intent};

/// How often we look whether a challenge was mined.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Challenging {
    pub(crate) margins: Margins,
}

impl Challenging {
    pub(crate) async fn attempt(&self, desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
        let NewJob { channel, deployment, .. } = &job.job;
        let (&Some(id), Some(purse)) = (channel, desk.purses.get(deployment)) else {
            return Ok(Verdict::Failed("a challenge needs a channel".to_owned()));
        };
        let Some((channel, epoch)) = desk.ledger.view(id).await? else {
            return Ok(Verdict::Failed("there is no such channel".to_owned()));
        };
        // Planned on what the ledger says now: what was true when the job was made may be so no longer.
        let (Some(Action::Challenge { amount, signature }), Status::Closing { deadline, .. }) =
            (plan(&channel, &epoch), channel.facts.status)
        else {
            self.margins.forget(desk, id);
            return Ok(Verdict::Done(ended(&channel, epoch.voucher.map(|(amount, _)| amount))));
        };
        self.margins.note(desk, id, deadline, &desk.rpc.head().await?);
        if is_under_way(desk, id).await? {
            return Ok(Verdict::Wait(LOOK_AGAIN));
        }
        answer(desk, purse, job, &channel, amount, &signature).await
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
    let hash = send(desk, purse, job, channel, amount, voucher).await?;
    tracing::info!(channel.id = %channel.id, %amount, tx.hash = %hash, "a close below what is owed was answered");
    Ok(Verdict::Wait(LOOK_AGAIN))
}

/// Whether a transaction about this channel, from this job or an earlier one, waits to be mined, or was and the watcher
/// has not seen it yet, or a reorganisation took it back: that is looked into at once.
pub(crate) async fn is_under_way(desk: &Desk, channel: ChannelId) -> Result<bool, WalletError> {
    let sent = desk.ledger.transactions_of(channel).await?;
    desk.look.notify_one();
    Ok(sent.iter().any(|entry| match entry.state {
        TransactionState::Prepared | TransactionState::Broadcast | TransactionState::Mined => true,
        TransactionState::Reverted | TransactionState::Replaced => false,
    }))
}

/// Sends the contract the channel's voucher and our own signature, at an amount that the ledger agreed to.
pub(crate) async fn send(
    desk: &Desk,
    purse: &Purse,
    job: &Job,
    channel: &Channel,
    amount: Amount,
    voucher: &Signature,
) -> Result<B256, WalletError> {
    let closing = purse.closing_signature(channel, amount);
    let contract = purse.contract();
    let opening = Opening::from(channel);
    let data = contract.cooperative_close(&purse.deployment, &opening, amount, voucher, &closing)?;
    let intent = Intent { job: job.id, channel: channel.id, amount, to: purse.deployment.contract, data };
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
