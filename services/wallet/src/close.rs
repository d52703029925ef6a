//! The job `close`: an operator wants a channel closed without its payer, so we close with the best voucher.
//!
//! Repeated like a challenge, until the ledger says, from what the watcher saw, that the channel is closed.

use channel::{Action, Amount, Closure, closure, plan};
use ledger::{Job, NewJob};
use serde_json::json;

use crate::challenge::{self, LOOK_AGAIN};
use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::Verdict;

pub(crate) async fn attempt(desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
    let NewJob { channel, deployment, .. } = &job.job;
    let (&Some(id), Some(purse)) = (channel, desk.purses.get(deployment)) else {
        return Ok(Verdict::Failed("a close needs a channel".to_owned()));
    };
    let Some((channel, epoch)) = desk.ledger.view(id).await? else {
        return Ok(Verdict::Failed("there is no such channel".to_owned()));
    };
    // A payer that asks for less has a job of its own, which is more urgent and does the same.
    if let Some(Action::Challenge { .. }) = plan(&channel, &epoch) {
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
        Closure::Best { .. } if challenge::is_under_way(desk, id).await? => Ok(Verdict::Wait(LOOK_AGAIN)),
        Closure::Best { amount, signature } => match desk.ledger.agree_close(id, amount).await? {
            Ok(_) => {
                let hash = challenge::send(desk, purse, job, &channel, amount, &signature).await?;
                tracing::info!(channel.id = %id, %amount, tx.hash = %hash, "a channel is closed for the operator");
                Ok(Verdict::Wait(LOOK_AGAIN))
            }
            // Something was sold or agreed meanwhile; the next attempt sees it.
            Err(refusal) => Err(refusal.into()),
        },
    }
}
