//! The job `settle`: the payer asked to close and we accept, but it does not settle; so we close with both signatures, which
//! ends it with our money. Only the payer can settle by itself.

use channel::{Action, Status, plan};
use ledger::{Job, NewJob};
use serde_json::json;

use crate::challenge::LOOK_AGAIN;
use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::Verdict;
use crate::{claim, close};

/// Repeated like a challenge, until the ledger says that the channel is closed.
pub(crate) async fn attempt(desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
    let NewJob { channel, deployment, .. } = &job.job;
    let (&Some(id), Some(purse)) = (channel, desk.purses.get(deployment)) else {
        return Ok(Verdict::Failed("a settlement needs a channel".to_owned()));
    };
    let Some((channel, _)) = desk.ledger.view(id).await? else {
        return Ok(Verdict::Failed("there is no such channel".to_owned()));
    };
    if channel.facts.status == Status::Closed {
        return Ok(Verdict::Done(json!({ "closed": channel.facts.claimed })));
    }
    if claim::is_under_way(desk, purse, &channel).await? {
        return Ok(Verdict::Wait(LOOK_AGAIN));
    }
    let Some(prospect) = desk.ledger.prospect(id).await? else {
        return Ok(Verdict::Done(json!({ "stale": true })));
    };
    let moment = claim::moment(desk, &prospect).await?;
    match plan(&prospect.channel, &prospect.epoch, &purse.policy, &moment) {
        Some(Action::Settle { amount, signature, .. }) => {
            close::close(desk, purse, job, &prospect.channel, (amount, &signature)).await
        }
        _ => Ok(Verdict::Done(json!({ "stale": true }))),
    }
}
