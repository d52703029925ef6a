//! The job `refill`: what our accounts need for gas, and channels that we pay from, are kept filled.
//!
//! ```text
//! watch ─▶ what is left? ─▶ channel::refill ─▶ job ─▶ planned again ─▶ decision stored ─▶ sent ─▶ … ─▶ deep in the chain
//! ```
//!
//! *Invariant:* a job decides once, before anything is signed, and sends once. As long as it may still happen nothing else
//! is decided about the same thing, so no shortage is met twice.

mod alerts;
mod allowance;
mod gas;
mod outbound;
mod watch;

use std::time::Duration;

use alloy_primitives::Address;
use channel::{Amount, Balance, Key, Refill, RefillPolicy, refill};
use ledger::{Fate, IntentState, Job, JobId, Refills};
use runtime::Config;
use serde_json::json;

use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::Verdict;
use crate::keys::Purse;
use crate::points::reach;

use gas::Gas;
use outbound::Outbound;
pub(crate) use watch::watch;

/// How often we look whether a refill is deep in the chain.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is kept filled on a chain.
#[derive(Default)]
pub(crate) struct Kept {
    gas: Option<Gas>,
    outbound: Vec<Outbound>,
    /// How often we look.
    poll: Duration,
}

/// One of the things that are kept filled.
#[derive(Clone, Copy)]
enum Tank<'a> {
    /// An account's gas.
    Gas(&'a Gas, Address),
    /// The deposit of a channel that we pay from.
    Outbound(&'a Outbound),
}

/// What is in a tank.
struct Level {
    balance: Balance,
    /// What happened lately.
    refills: Refills,
}

impl Kept {
    /// What the configuration wants kept filled on this chain, with the keys for it.
    pub(crate) fn load(config: &Config, chain_id: u64, purses: &[Purse]) -> anyhow::Result<Kept> {
        let outbound = outbound::load(config, chain_id)?;
        let gas = config.wallet.gas_on(chain_id);
        let gas = gas.map(|gas| gas::load(gas, chain_id, purses, &outbound)).transpose()?;
        Ok(Kept { gas, outbound, poll: config.wallet.refill_poll })
    }

    /// The keys of the accounts that send for it.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let funding = self.gas.as_ref().and_then(|gas| gas.funding.as_ref());
        funding.into_iter().chain(self.outbound.iter().map(|outbound| &outbound.key))
    }

    fn tanks(&self) -> Vec<Tank<'_>> {
        let gas = self.gas.iter().flat_map(|gas| gas.accounts.keys().map(move |account| Tank::Gas(gas, *account)));
        gas.chain(self.outbound.iter().map(Tank::Outbound)).collect()
    }
}

impl Tank<'_> {
    /// The key of its jobs.
    fn key(&self, chain_id: u64) -> String {
        match self {
            Tank::Gas(_, account) => format!("gas:{chain_id}:{account}"),
            Tank::Outbound(outbound) => format!("outbound:{}", outbound.name),
        }
    }

    fn policy(&self) -> RefillPolicy {
        match self {
            Tank::Gas(gas, _) => gas.policy,
            Tank::Outbound(outbound) => outbound.policy,
        }
    }

    /// What is in it, without what the job `except` decided on; `None` for a channel that is no more, or about to be.
    async fn level(&self, desk: &Desk, except: Option<JobId>) -> Result<Option<Level>, WalletError> {
        // The ledger first: what is mined between the two questions counts twice rather than not at all.
        let refills = desk.ledger.refills(&self.key(desk.chain_id), except).await?;
        if desk.rpc.head().await?.number < refills.block {
            return Err(WalletError::Behind { block: refills.block });
        }
        let held = match self {
            Tank::Gas(_, account) => Some((Amount::saturating_from(desk.rpc.balance(*account).await?), Amount::ZERO)),
            Tank::Outbound(outbound) => outbound.look(desk).await?,
        };
        Ok(held.map(|(deposit, spent)| {
            // Nobody can take our own deposit back, so what is mined counts.
            let pending_deposit = Amount::ZERO;
            let balance = Balance { deposit, pending_deposit, pending_top_ups: refills.pending, spent };
            Level { balance, refills }
        }))
    }
}

/// Attempts a refill.
pub(crate) async fn attempt(desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
    if let Some(outbound) = allowance::of(&desk.kept, job) {
        return allowance::attempt(desk, job, outbound).await;
    }
    let tanks = desk.kept.tanks();
    let Some(tank) = tanks.iter().find(|tank| tank.key(desk.chain_id) == job.job.key) else {
        return Ok(Verdict::Failed("the configuration does not want it refilled (any more)".to_owned()));
    };
    match desk.ledger.fate(job.id).await? {
        Some(Fate { confirmed: false, .. }) => Ok(Verdict::Wait(LOOK_AGAIN)),
        Some(Fate { state: IntentState::Mined, .. }) => {
            let added = desk.ledger.decided_refill(job.id).await?.unwrap_or_default();
            tracing::info!(job.key = job.job.key, %added, "refilled");
            Ok(Verdict::Done(json!({ "added": added })))
        }
        Some(Fate { state, reason, .. }) => {
            Ok(Verdict::Failed(reason.unwrap_or_else(|| format!("its transaction was {}", state.as_str()))))
        }
        None => decide(desk, job, tank).await,
    }
}

/// Planned on what is so now: the shortage that the job was made for may be over.
async fn decide(desk: &Desk, job: &Job, tank: &Tank<'_>) -> Result<Verdict, WalletError> {
    let Some(Level { balance, refills }) = tank.level(desk, Some(job.id)).await? else {
        return Ok(Verdict::Done(json!({ "refused": "not_open" })));
    };
    let amount = match (refill(&balance, &tank.policy(), &refills.today), tank) {
        (Refill::By(amount), _) => amount,
        (Refill::Pause(pause), _) => return Ok(Verdict::Wait(pause)),
        (Refill::UnderWay, _) => return Ok(Verdict::Wait(LOOK_AGAIN)),
        (Refill::Capped, _) => return Ok(Verdict::Done(json!({ "refused": "cap_per_day" }))),
        (Refill::Enough, _) => return Ok(Verdict::Done(json!({ "stale": true }))),
    };
    let amount = desk.ledger.decide_refill(&desk.fence, job.id, amount).await?;
    reach("after_decision_before_sign");
    match tank {
        Tank::Gas(gas, account) => gas.send(desk, job, *account, amount).await?,
        Tank::Outbound(outbound) if allowance::suffices(desk, outbound, amount).await? => {
            outbound.send(desk, job, amount).await?;
        }
        Tank::Outbound(_) => {}
    }
    Ok(Verdict::Wait(LOOK_AGAIN))
}
