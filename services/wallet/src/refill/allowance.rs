//! What a contract may take from a payer's tokens before it is told to: a job of its own, which the top-up waits for. A job
//! sends once, and a top-up of a token without ERC-223 takes two transactions.

use alloy_primitives::U256;
use channel::Amount;
use contracts::token;
use ledger::{Fate, IntentState, Job, JobKind, NewJob};
use runtime::config::TokenStandard;
use serde_json::json;

use super::outbound::{self, Outbound};
use super::{Kept, LOOK_AGAIN};
use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::Verdict;
use crate::transactions;

/// The channel for whose top-up a job is to allow something, if that is what it is for.
pub(super) fn of<'a>(kept: &'a Kept, job: &Job) -> Option<&'a Outbound> {
    kept.outbound.iter().find(|outbound| key(outbound) == job.job.key)
}

fn key(outbound: &Outbound) -> String {
    format!("allow:{}", outbound.name)
}

/// Whether the contract may take this much. Otherwise there is a job to change that.
pub(super) async fn suffices(desk: &Desk, outbound: &Outbound, amount: Amount) -> Result<bool, WalletError> {
    if outbound.standard == TokenStandard::Erc223 {
        return Ok(true);
    }
    let allowed = allowed(desk, outbound).await?;
    if allowed >= amount.units() {
        return Ok(true);
    }
    // Through zero, because some tokens refuse anything else.
    let next = if allowed.is_zero() { amount } else { Amount::ZERO };
    let (kind, key, deployment) = (JobKind::Refill, key(outbound), outbound.home.clone());
    desk.ledger.enqueue(&NewJob { kind, key, deployment, channel: None, amount: Some(next) }).await?;
    Ok(false)
}

/// Has the contract allowed what the job says. Doing that twice does no harm.
pub(super) async fn attempt(desk: &Desk, job: &Job, outbound: &Outbound) -> Result<Verdict, WalletError> {
    let wanted = job.job.amount.unwrap_or_default();
    match desk.ledger.fate(job.id).await? {
        Some(Fate { confirmed: false, .. }) => return Ok(Verdict::Wait(LOOK_AGAIN)),
        Some(Fate { state: IntentState::Mined, .. }) => return Ok(Verdict::Done(json!({ "allowed": wanted }))),
        Some(_) | None => {}
    }
    if allowed(desk, outbound).await? == wanted.units() {
        return Ok(Verdict::Done(json!({ "allowed": wanted })));
    }
    let data = token::approve(outbound.contract, wanted);
    let hash = transactions::send(desk, &outbound.key, outbound::call(job, outbound.token, data)).await?;
    tracing::info!(outbound = outbound.name, amount = %wanted, tx.hash = %hash, "a contract is allowed to take tokens");
    Ok(Verdict::Wait(LOOK_AGAIN))
}

async fn allowed(desk: &Desk, outbound: &Outbound) -> Result<U256, WalletError> {
    let question = token::allowance(outbound.key.address(), outbound.contract);
    Ok(token::read_amount(&desk.rpc.call(outbound.token, question).await?)?)
}
