//! What we send: numbered by us, in the journal first, then broadcast, and looked after until it is deep in the chain.
//!
//! ```text
//! send ─▶ simulate ─▶ place in the line ─▶ sign ─▶ journal ─▶ broadcast
//!                                                                 │
//! tend ─▶ what does the chain say? ─▶ note it in the ledger       ▼
//!    └──▶ machine: what next? ─▶ send again │ sign a dearer one │ sign a no-op ─▶ journal ─▶ broadcast
//! ```
//!
//! An *intent* is what we want mined. It has one nonce for ever, under which several transactions may be signed; the chain
//! mines at most one of them. Between any two of these steps the process may die: whatever the ledger has is taken up by
//! the next one, and what is not there was never broadcast.

mod attend;
mod fees;
mod health;
#[cfg(test)]
mod histories;
mod line;
mod machine;
mod memory;
mod signing;
mod slots;
mod tend;

use alloy_primitives::{Address, B256, Bytes, U256};
use channel::{Amount, ChannelId, Key, Signature};
use contracts::ContractError;
use evm::{Fees, Transaction};
use ledger::{IntentState, JobId, Lane, NewIntent, Slot};
use runtime::trace::{Kind, Span};

use crate::desk::Desk;
use crate::error::WalletError;
use crate::points::reach;

pub(crate) use health::{GAS_OF_AN_ANSWER, OUT_OF_GAS};
pub(crate) use machine::Policy;
pub(crate) use memory::Memory;
pub(crate) use tend::tend;

/// What a transaction is to do, and for whom.
pub(crate) struct Intent {
    /// The job it is for. A job has one intent that may still succeed.
    pub(crate) job: JobId,
    /// What goes first.
    pub(crate) lane: Lane,
    /// The channel it is about, if it is about one.
    pub(crate) channel: Option<ChannelId>,
    /// The amount whose voucher stands in its calldata, if one does.
    pub(crate) amount: Option<Amount>,
    pub(crate) to: Address,
    pub(crate) data: Bytes,
    /// How much of the chain's own coin goes along, in wei.
    pub(crate) value: U256,
}

/// That a transaction is to carry the voucher which is its channel's newest when it is signed: more may come while it is
/// simulated. The intent's own calldata is with the voucher of a moment before.
pub(crate) struct Newest<'a> {
    /// Only as long as no call is in flight and no credit is left.
    pub(crate) if_quiet: bool,
    /// Makes the calldata.
    pub(crate) data: &'a (dyn Fn(Amount, &Signature) -> Result<Bytes, ContractError> + Send + Sync),
}

impl Newest<'_> {
    async fn publish(&self, desk: &Desk, channel: ChannelId) -> Result<Bytes, WalletError> {
        let newest = desk.ledger.publish_newest(channel, self.if_quiet).await?;
        let (amount, voucher) = newest.ok_or(WalletError::NotNow)?;
        Ok((self.data)(amount, &voucher)?)
    }
}

/// Signs, journals and broadcasts a transaction. Returns once it is in the journal: [`tend()`] sees to the rest.
///
/// # Errors
/// Nothing was sent, and nothing is in the journal. [`evm::EvmError::Revert`] when it would fail; [`WalletError::Full`] while
/// as many as may be wait to be mined; a conflict in the ledger when another wallet was first with the nonce or the job.
/// Only when the ledger does not say whether it has it, it may be there, and is looked after.
pub(crate) async fn send(desk: &Desk, key: &Key, intent: Intent) -> Result<B256, WalletError> {
    send_with(desk, key, intent, None).await
}

/// Likewise, with the newest voucher of the intent's channel.
///
/// # Errors
/// As [`send`]; [`WalletError::NotNow`] when that voucher must not be published now.
pub(crate) async fn send_newest(
    desk: &Desk,
    key: &Key,
    intent: Intent,
    newest: &Newest<'_>,
) -> Result<B256, WalletError> {
    send_with(desk, key, intent, Some(newest)).await
}

async fn send_with(
    desk: &Desk,
    key: &Key,
    mut intent: Intent,
    newest: Option<&Newest<'_>>,
) -> Result<B256, WalletError> {
    let account = key.address();
    let span = Span::current().child(Kind::Internal, "send transaction");
    // What there was no place for is not simulated again and again.
    if desk.memory().is_full(account, intent.lane) {
        return Err(WalletError::Full { account });
    }
    let circumstances = Circumstances::of(desk, account, &intent).await?;
    // One at a time: two that read the same line would find the same place in it.
    let turn = desk.turn.lock().await;
    let slots = desk.ledger.slots(desk.chain_id, account, circumstances.mined).await?;
    let Some(place) = circumstances.place(desk, &slots, intent.lane)? else {
        desk.memory().full(account, intent.lane, circumstances.mined);
        return Err(WalletError::Full { account });
    };
    let Circumstances { gas, has, .. } = circumstances;
    let needs = U256::from(gas).saturating_mul(U256::from(place.fees.max_fee)).saturating_add(intent.value);
    desk.memory().needs(account, Some(needs).filter(|needs| has < *needs));
    if has < needs {
        return Err(WalletError::OutOfGas { account, has, needs });
    }
    // Vouchers up to this one are public from now on, whatever becomes of it.
    match (intent.channel, intent.amount, newest) {
        (Some(channel), _, Some(newest)) => intent.data = newest.publish(desk, channel).await?,
        (Some(channel), Some(amount), None) => desk.ledger.publish(channel, amount).await?,
        _ => {}
    }
    reach("after_commit_before_sign");
    let Intent { to, data, value, .. } = intent;
    let (chain_id, nonce, fees) = (desk.chain_id, place.nonce, place.fees);
    let transaction = Transaction { chain_id, nonce, to: Some(to), data, value, gas, fees };
    let wanted = NewIntent { job: Some(intent.job), channel: intent.channel, lane: intent.lane };
    let signed = signing::open(desk, key, &wanted, &transaction, place.number, false).await?;
    drop(turn);
    signed.describe(&span, desk.chain_id, nonce);
    span.around(signing::broadcast(desk, &signed)).await?;
    desk.look.notify_one();
    Ok(signed.hash)
}

/// How far what is urgent about a channel is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// A transaction, from this job or an earlier one, waits to be mined, or was and the watcher has not seen it yet, or a
    /// reorganisation took it back.
    pub(crate) is_live: bool,
    /// One is mined, perhaps so deep that it is certain.
    pub(crate) is_mined: bool,
}

/// How far what is urgent about a channel is; it does not wait for what is not. That is looked into at once.
pub(crate) async fn progress(desk: &Desk, channel: ChannelId) -> Result<Progress, WalletError> {
    let slots = desk.ledger.slots_about(channel).await?;
    desk.look.notify_one();
    let is_ours = |intent: &&ledger::Intent| intent.channel == Some(channel) && intent.lane == Lane::Urgent;
    let intents = || slots.iter().flat_map(|slot| &slot.intents).filter(is_ours);
    Ok(Progress {
        is_live: intents().any(ledger::Intent::is_live),
        is_mined: intents().any(|intent| intent.state == IntentState::Mined),
    })
}

/// What the chain says before something is sent.
struct Circumstances {
    gas: u64,
    market: Fees,
    has: U256,
    mined: u64,
    pending: u64,
}

impl Circumstances {
    /// Simulates the call, and asks what it costs.
    async fn of(desk: &Desk, account: Address, intent: &Intent) -> Result<Circumstances, WalletError> {
        let rpc = &desk.rpc;
        let (gas, market, has, mined, pending) = tokio::try_join!(
            rpc.estimate(account, Some(intent.to), intent.value, intent.data.clone()),
            rpc.fees(),
            rpc.balance(account),
            rpc.mined_nonce(account),
            rpc.nonce(account),
        )?;
        Ok(Circumstances { gas: with_margin(gas), market, has, mined, pending })
    }

    fn place(&self, desk: &Desk, slots: &[Slot], lane: Lane) -> Result<Option<line::Place>, WalletError> {
        let line = slots.iter().filter(|slot| slot.nonce >= self.mined).map(slots::waiting);
        let line = line.collect::<Result<Vec<_>, _>>()?;
        let nonces: Vec<u64> = slots.iter().map(|slot| slot.nonce).collect();
        let free = line::free_nonce(self.mined, self.pending, &nonces);
        Ok(line::place(&line, free, lane, self.market, &desk.policy))
    }
}

/// What is there when a transaction is mined may differ a little from what is there now.
const fn with_margin(gas: u64) -> u64 {
    gas.saturating_add(gas / 4)
}
