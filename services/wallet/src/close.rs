//! The job `close`: a channel is closed without its payer, with the best voucher. An operator wants it so, or the payer has
//! our closing signature and does not use it.
//!
//! Repeated like a challenge, until the ledger says, from what the watcher saw, that the channel is closed.

use channel::{Amount, Channel, Closure, Signature, closure};
use ledger::{Job, Lane, NewJob};
use serde_json::json;

use crate::challenge::{self, LOOK_AGAIN};
use crate::claim;
use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::Verdict;
use crate::keys::Purse;

pub(crate) async fn attempt(desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
    let NewJob { channel, deployment, .. } = &job.job;
    let (&Some(id), Some(purse)) = (channel, desk.purses.get(deployment)) else {
        return Ok(Verdict::Failed("a close needs a channel".to_owned()));
    };
    let Some((channel, epoch)) = desk.ledger.view(id).await? else {
        return Ok(Verdict::Failed("there is no such channel".to_owned()));
    };
    // A payer that asks for less has a job of its own, which is more urgent and does the same.
    if channel::challenge(&channel, &epoch).is_some() {
        return Ok(Verdict::Wait(LOOK_AGAIN));
    }
    let done = |outcome| Ok(Verdict::Done(outcome));
    match closure(&channel, &epoch) {
        Closure::Gone => done(json!({ "closed": channel.facts.claimed })),
        Closure::Worthless => match desk.ledger.agree_close(id, Amount::ZERO).await? {
            Ok(_) => done(json!({ "agreed": Amount::ZERO })),
            Err(refusal) => Err(refusal.into()),
        },
        Closure::AgreedOtherwise { agreed } => done(json!({ "agreed": agreed })),
        Closure::Uncovered => done(json!({ "refused": "uncovered" })),
        Closure::Best { .. } if claim::is_under_way(desk, purse, &channel).await? => Ok(Verdict::Wait(LOOK_AGAIN)),
        Closure::Best { amount, signature } => close(desk, purse, job, &channel, (amount, &signature)).await,
    }
}

/// Closes with the best voucher and our own signature.
pub(crate) async fn close(
    desk: &Desk,
    purse: &Purse,
    job: &Job,
    channel: &Channel,
    (amount, voucher): (Amount, &Signature),
) -> Result<Verdict, WalletError> {
    // Where something was sold or agreed meanwhile, the next attempt sees it.
    desk.ledger.agree_close(channel.id, amount).await??;
    let hash = challenge::send(desk, purse, (job, Lane::Normal), channel, amount, voucher).await?;
    let kind = job.job.kind.as_str();
    tracing::info!(channel.id = %channel.id, kind, %amount, tx.hash = %hash, "a channel is closed without its payer");
    Ok(Verdict::Wait(LOOK_AGAIN))
}
