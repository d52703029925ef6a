//! The ledger's facts against the chain, as it was at the last block that the ledger had read.

use std::collections::HashMap;
use std::time::Duration;

use alloy_primitives::U256;
use anyhow::Context;
use channel::{Amount, BlockRef, ChannelId, Deadline, Event, Facts, Status};
use contracts::raiden::{self, ChannelInfo};
use evm::{EvmError, Rpc};
use ledger::ChannelRecord;
use runtime::config::Deployment;
use tokio::task::JoinSet;

use super::Findings;
use super::books::opening;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Blocks of one query for logs, until a node objects.
const RANGE: u64 = 10_000;
/// Questions about channels that are under way at a time.
const QUESTIONS_MAX: usize = 16;

/// What the chain said to a deployment up to a block. Takes some 200 bytes of memory an event.
pub(super) struct Chain {
    pub(super) rpc: Rpc,
    pub(super) block: u64,
    events: HashMap<ChannelId, Vec<Event>>,
    questions: JoinSet<anyhow::Result<Option<Answer>>>,
}

/// What a question about a channel led to.
enum Answer {
    Differs(String),
    /// The node does not know so old a state.
    Forgotten,
}

impl Chain {
    /// Reads all events up to `block`. `None` when the chain no longer has this block.
    pub(super) async fn read(
        configured: &Deployment,
        deployment: &contracts::Deployment,
        block: BlockRef,
        findings: &mut Findings,
    ) -> anyhow::Result<Option<Chain>> {
        let rpc = Rpc::over(&configured.nodes(), configured.chain_id, TIMEOUT, configured.max_node_lag)?;
        let asking = || format!("deployment {}: its node cannot be asked", deployment.name);
        let standing = rpc.block(block.number).await.with_context(asking)?;
        if standing.map(|standing| standing.hash) != Some(block.hash) {
            findings.differs(format!(
                "deployment {}: the ledger read block {} as {}, the node has {}; was the chain reorganised just now?",
                deployment.name,
                block.number,
                block.hash,
                standing.map_or_else(|| "none".to_owned(), |standing| standing.hash.to_string())
            ));
            return Ok(None);
        }
        let contract = deployment.kind.contract();
        let (filter, mut from, mut range) = (contract.filter(deployment), deployment.from_block, RANGE);
        let mut events: HashMap<ChannelId, Vec<Event>> = HashMap::new();
        while from <= block.number {
            let to = from.saturating_add(range - 1).min(block.number);
            let logs = match rpc.logs(&filter, from, to).await {
                Err(EvmError::RangeTooLarge(_)) if range > 1 => {
                    range /= 2;
                    continue;
                }
                logs => logs.with_context(asking)?,
            };
            for log in &logs {
                if let Some((_, event)) = contract.decode(deployment, log).ok().flatten() {
                    events.entry(event.channel).or_default().push(event);
                }
            }
            from = to.saturating_add(1);
        }
        Ok(Some(Chain { rpc, block: block.number, events, questions: JoinSet::new() }))
    }

    /// Compares a channel's events, and asks the contract about it.
    pub(super) async fn check(
        &mut self,
        channel: &ChannelRecord,
        ours: &[Event],
        deployment: &contracts::Deployment,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let theirs = self.events.remove(&channel.id).unwrap_or_default();
        for event in ours.iter().filter(|event| !theirs.contains(event)) {
            findings.differs(format!("channel {}: {} is in the ledger and not on chain", channel.id, told(event)));
        }
        for event in theirs.iter().filter(|event| !ours.contains(event)) {
            findings.differs(format!("channel {}: {} is on chain and not in the ledger", channel.id, told(event)));
        }
        while self.questions.len() >= QUESTIONS_MAX {
            self.hear(findings).await?;
        }
        let (rpc, block, channel, deployment) = (self.rpc.clone(), self.block, channel.clone(), deployment.clone());
        self.questions.spawn(async move { ask(&rpc, block, &channel, &deployment).await });
        Ok(())
    }

    /// Hears the last answers. What is left on chain is of channels that the ledger does not know.
    pub(super) async fn finish(&mut self, partial: bool, findings: &mut Findings) -> anyhow::Result<()> {
        while !self.questions.is_empty() {
            self.hear(findings).await?;
        }
        for (channel, events) in self.events.drain().filter(|_| !partial) {
            findings.differs(format!(
                "channel {channel}: {} events on chain, and the ledger does not know it",
                events.len()
            ));
        }
        Ok(())
    }

    async fn hear(&mut self, findings: &mut Findings) -> anyhow::Result<()> {
        let Some(answer) = self.questions.join_next().await else { return Ok(()) };
        match answer.context("a question failed")?? {
            None => {}
            Some(Answer::Differs(says)) => findings.differs(says),
            Some(Answer::Forgotten) => findings.note(format!(
                "the node does not remember block {}: the contract's own counters were not asked, only its events",
                self.block
            )),
        }
        Ok(())
    }
}

/// Asks the contract about a channel.
async fn ask(
    rpc: &Rpc,
    block: u64,
    channel: &ChannelRecord,
    deployment: &contracts::Deployment,
) -> anyhow::Result<Option<Answer>> {
    let question = raiden::channel_info(&opening(channel), deployment.payee)?;
    let info = match rpc.call_at(deployment.contract, question, block).await {
        Ok(answer) => Some(raiden::read_channel_info(&answer)?),
        Err(EvmError::Revert { .. }) => None,
        Err(EvmError::Rejected { .. }) => return Ok(Some(Answer::Forgotten)),
        Err(error) => return Err(error).context("the contract cannot be asked"),
    };
    Ok(difference(&channel.facts, info.as_ref()).map(|says| Answer::Differs(format!("channel {}: {says}", channel.id))))
}

/// In what the facts differ from what the contract says; it knows a channel until that is settled.
fn difference(facts: &Facts, info: Option<&ChannelInfo>) -> Option<String> {
    let Some(info) = info else {
        let gone = matches!(facts.status, Status::Closed | Status::Absent);
        return (!gone).then(|| format!("the ledger has it {:?}, the contract does not know it", facts.status));
    };
    let narrow = |wide| Amount::saturating_from(U256::from(wide));
    let (deposit, withdrawn) = (facts.deposit.saturating_add(facts.pending), narrow(info.withdrawn));
    if deposit != narrow(info.deposit) {
        return Some(format!("{deposit} is deposited by the ledger, {} by the contract", info.deposit));
    }
    if facts.claimed != withdrawn {
        return Some(format!("{} was claimed by the ledger, {withdrawn} by the contract", facts.claimed));
    }
    let closing = info.settle_block.map(|block| (Deadline::Block(block.into()), narrow(info.closing_balance)));
    let agrees = match (facts.status, closing) {
        (Status::Open, None) => true,
        (Status::Closing { requested, deadline }, Some(theirs)) => (deadline, requested) == theirs,
        _ => false,
    };
    (!agrees).then(|| format!("the ledger has it {:?}, the contract {closing:?}", facts.status))
}

fn told(event: &Event) -> String {
    format!("{:?} in block {} ({}, log {})", event.kind, event.block.number, event.tx_hash, event.log_index)
}
