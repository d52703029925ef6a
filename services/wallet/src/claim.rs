//! The job `claim`: takes what is owed on chain, and leaves the channel open.
//!
//! ```text
//! planned again ─▶ simulated ─▶ the newest voucher, published ─▶ journalled ─▶ broadcast ─▶ … ─▶ claimed in the ledger
//! ```
//! One claim a channel waits to be mined; the next one begins when the ledger shows this one. A job that finds the chain
//! ahead of it is a no-op, however often it comes. What a reorganisation takes back is sent again as long as it is not deep,
//! and what came later is for the planner to see.

use std::time::Duration;

use alloy_primitives::U256;
use channel::{Action, Amount, Channel, ChannelId, Moment, Signature, plan};
use contracts::Opening;
use evm::Transaction;
use ledger::{ClaimCause, Job, JobId, Lane, NewJob, Prospect};
use serde_json::{Value, json};

use crate::challenge::LOOK_AGAIN;
use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::Verdict;
use crate::keys::Purse;
use crate::transactions::{self, Intent, Newest};

/// How soon a claim tries again that would have disturbed a call.
const NOT_NOW: Duration = Duration::from_millis(250);

pub(crate) async fn attempt(desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
    let NewJob { channel, deployment, .. } = &job.job;
    let (&Some(id), Some(purse)) = (channel, desk.purses.get(deployment)) else {
        return Ok(Verdict::Failed("a claim needs a channel".to_owned()));
    };
    let Some((channel, _)) = desk.ledger.view(id).await? else {
        return Ok(Verdict::Failed("there is no such channel".to_owned()));
    };
    let got = channel.facts.claimed;
    let sent = sent(desk, purse, id).await?;
    if is_done(job, got, &sent) {
        return Ok(Verdict::Done(json!({ "claimed": got })));
    }
    if sent.iter().any(|sent| sent.is_under_way(got)) {
        desk.look.notify_one();
        return Ok(Verdict::Wait(LOOK_AGAIN));
    }
    let Some(prospect) = desk.ledger.prospect(id).await? else {
        return Ok(Verdict::Done(json!({ "stale": true })));
    };
    let moment = moment(desk, &prospect).await?;
    let policy = match job.job.claim_cause() {
        ClaimCause::Planned(_) => purse.policy,
        ClaimCause::Asked => purse.policy.on_request(),
        ClaimCause::Forced => purse.policy.at_any_cost(),
    };
    let Prospect { channel, epoch, .. } = &prospect;
    match plan(channel, epoch, &policy, &moment) {
        Some(Action::Claim { amount, signature, if_quiet, .. }) => {
            take(desk, purse, job, channel, (amount, &signature), if_quiet).await
        }
        _ => Ok(Verdict::Done(why_not(purse, &prospect, &moment))),
    }
}

async fn take(
    desk: &Desk,
    purse: &Purse,
    job: &Job,
    channel: &Channel,
    (amount, voucher): (Amount, &Signature),
    if_quiet: bool,
) -> Result<Verdict, WalletError> {
    let (contract, opening) = (purse.contract(), Opening::from(channel));
    let with = |amount, voucher: &Signature| contract.claim(&opening, amount, voucher);
    let intent = Intent {
        job: job.id,
        lane: Lane::Normal,
        channel: Some(channel.id),
        amount: Some(amount),
        to: purse.deployment.contract,
        data: with(amount, voucher)?,
        value: U256::ZERO,
    };
    match transactions::send_newest(desk, &purse.key, intent, &Newest { if_quiet, data: &with }).await {
        Ok(hash) => {
            tracing::info!(channel.id = %channel.id, least = %amount, tx.hash = %hash, "what is owed is claimed");
            Ok(Verdict::Wait(LOOK_AGAIN))
        }
        Err(WalletError::NotNow) => Ok(Verdict::Wait(NOT_NOW)),
        Err(error) => Err(error),
    }
}

/// What plans depend on, as it is now.
pub(crate) async fn moment(desk: &Desk, prospect: &Prospect) -> Result<Moment, WalletError> {
    let head = desk.rpc.head().await?;
    let gas_price = desk.rpc.fees_at(&head).await?.max_fee;
    Ok(prospect.moment((head.number, head.time), gas_price))
}

/// A planned claim is done once that much is claimed, by whomever; one that was asked for once what it sent is.
fn is_done(job: &Job, got: Amount, sent: &[Sent]) -> bool {
    match job.job.claim_cause() {
        ClaimCause::Planned(amount) => got >= amount,
        ClaimCause::Asked | ClaimCause::Forced => {
            sent.iter().any(|sent| sent.job == Some(job.id) && sent.claims.is_some_and(|amount| got >= amount))
        }
    }
}

/// For who asked: whether it is the gas alone that speaks against it.
fn why_not(purse: &Purse, prospect: &Prospect, moment: &Moment) -> Value {
    let at_any_cost = plan(&prospect.channel, &prospect.epoch, &purse.policy.at_any_cost(), moment);
    let price = moment.gas_price;
    let owed = at_any_cost.map(|action| action.amount().saturating_sub(prospect.channel.facts.claimed));
    match owed {
        Some(owed) if !purse.policy.on_request().is_worth_its_gas(owed, price) => json!({ "refused": "gas" }),
        _ => json!({ "stale": true }),
    }
}

/// What was sent about a channel.
struct Sent {
    job: Option<JobId>,
    /// The amount of its voucher, if it is a claim.
    claims: Option<Amount>,
    is_live: bool,
    is_mined: bool,
}

impl Sent {
    /// Whether it may still change something that the ledger does not show. A claim that it shows is not in the way.
    fn is_under_way(&self, got: Amount) -> bool {
        let is_shown = self.is_mined && self.claims.is_some_and(|amount| got >= amount);
        self.is_live && !is_shown
    }
}

/// Whether something about a channel is under way, of which this much was claimed.
pub(crate) async fn is_under_way(desk: &Desk, purse: &Purse, channel: &Channel) -> Result<bool, WalletError> {
    let sent = sent(desk, purse, channel.id).await?;
    desk.look.notify_one();
    Ok(sent.iter().any(|sent| sent.is_under_way(channel.facts.claimed)))
}

/// The signed bytes are the truth about what a transaction claims.
async fn sent(desk: &Desk, purse: &Purse, channel: ChannelId) -> Result<Vec<Sent>, WalletError> {
    let slots = desk.ledger.slots_about(channel).await?;
    let mut sent = Vec::new();
    for (slot, intent) in slots.iter().flat_map(|slot| slot.intents.iter().map(move |intent| (slot, intent))) {
        if intent.channel != Some(channel) {
            continue;
        }
        let signed = slot.signed.iter().rfind(|signed| signed.intent == intent.id && !signed.noop);
        let bytes = signed.map(|signed| Transaction::decode(&signed.raw)).transpose()?;
        let claims = bytes.and_then(|transaction| purse.contract().claimed_by(&transaction.data));
        let is_mined = intent.state == ledger::IntentState::Mined;
        sent.push(Sent { job: intent.job, claims, is_live: intent.is_live(), is_mined });
    }
    Ok(sent)
}
