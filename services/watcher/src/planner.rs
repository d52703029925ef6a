//! What is to be claimed, closed or ended, as the operator wants it: a job for the wallet, which plans again before it acts.
//!
//! ```text
//! every plan_ms ─▶ head, price of gas ─▶ a page of channels, by key ─▶ channel::plan ─▶ jobs that are not open already ─▶ …
//! ```
//! Answers to dishonest closes are added with the facts they follow from, and here again should their job be gone before
//! the close is settled.

use std::time::Duration;

use alloy_primitives::U256;
use channel::{Action, Amount, Policy, plan};
use contracts::Deployment;
use evm::{EvmError, Rpc};
use ledger::{ClaimCause, JobKind, Ledger, LedgerError, NewJob, Prospect};
use tokio_util::sync::CancellationToken;

use crate::gauges;

/// No setting makes it a busy loop.
const LEAST_PAUSE: Duration = Duration::from_millis(100);
/// Channels that are read at a time.
const PAGE: u32 = 500;
/// Jobs that one round adds at most, or a page more; the rest is for the next round.
const JOBS_MAX: usize = 1_000;

/// Why a round of planning came to nothing. The next one begins anew.
#[derive(Debug, thiserror::Error)]
enum Unplanned {
    #[error("the node did not say what gas costs")]
    Chain(#[from] EvmError),
    #[error("the ledger did not go along")]
    Ledger(#[from] LedgerError),
}

/// A deployment, as it is planned for.
pub(crate) struct Planner {
    pub(crate) deployment: Deployment,
    pub(crate) policy: Policy,
    pub(crate) rpc: Rpc,
    pub(crate) ledger: Ledger,
}

impl Planner {
    /// Plans at once and then `every` so often, until `term` ends.
    pub(crate) async fn keep(self, every: Duration, term: &CancellationToken) {
        let rounds = async {
            loop {
                if let Err(unplanned) = self.round().await {
                    let cause = std::error::Error::source(&unplanned).map(ToString::to_string).unwrap_or_default();
                    tracing::info!(deployment = self.deployment.name, error = %unplanned, cause, "nothing was planned");
                }
                tokio::time::sleep(every.max(LEAST_PAUSE)).await;
            }
        };
        // Broken off anywhere, it leaves jobs that are as good as all others.
        term.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> Result<(), Unplanned> {
        let Planner { deployment, rpc, ledger, .. } = self;
        let head = rpc.head().await?;
        let gas_price = rpc.fees_at(&head).await?.max_fee;
        let (mut after, mut claimable, mut added) = (None, U256::ZERO, 0);
        while added < JOBS_MAX {
            let page = ledger.prospects(&deployment.name, after, PAGE).await?;
            let Some(last) = page.last() else {
                gauges::claimable(deployment, claimable);
                return Ok(());
            };
            after = Some(last.channel.id);
            claimable += page.iter().map(|prospect| U256::from(unclaimed(prospect).units())).sum::<U256>();
            let planned = page.iter().filter_map(|prospect| {
                let moment = prospect.moment((head.number, head.time), gas_price);
                plan(&prospect.channel, &prospect.epoch, &self.policy, &moment).map(|action| (prospect, action))
            });
            added += self.add(planned.collect()).await?;
        }
        tracing::info!(deployment = deployment.name, added, "there is more to plan for: the next round goes on");
        Ok(())
    }

    async fn add(&self, planned: Vec<(&Prospect, Action)>) -> Result<usize, Unplanned> {
        let jobs: Vec<NewJob> = planned.iter().map(|(prospect, action)| job(prospect, action)).collect();
        let added = self.ledger.add_jobs(&jobs).await?;
        for (prospect, action) in added.iter().filter_map(|place| planned.get(*place)) {
            let (reason, amount) = (action.why(), action.amount());
            gauges::planned(&self.deployment, reason);
            tracing::info!(channel.id = %prospect.channel.id, reason, %amount, "money is to be taken on chain");
        }
        Ok(added.len())
    }
}

fn job(prospect: &Prospect, action: &Action) -> NewJob {
    let channel = &prospect.channel;
    match *action {
        Action::Challenge { amount, .. } => NewJob::challenge(channel, amount),
        Action::Claim { amount, .. } => NewJob::claim(channel, ClaimCause::Planned(amount)),
        Action::Close { amount, .. } => NewJob::about(JobKind::Close, channel, Some(amount)),
        Action::Settle { amount, .. } => NewJob::about(JobKind::Settle, channel, Some(amount)),
    }
}

fn unclaimed(prospect: &Prospect) -> Amount {
    let best = prospect.epoch.voucher.map_or(Amount::ZERO, |(amount, _)| amount);
    best.saturating_sub(prospect.channel.facts.claimed)
}
