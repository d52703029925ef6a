//! Every transaction of ours that was mined stands in the journal: each nonce, and each claim.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::{Address, B256};
use anyhow::Context;
use channel::{Amount, ChannelId, Event, EventKind};
use evm::{EvmError, Rpc};
use ledger::{ChannelRecord, TransactionRecord};

use super::Findings;
use super::audit::Audited;

/// What is known of the journal so far.
#[derive(Default)]
pub(super) struct Journal {
    /// Claims on chain whose transaction was not met yet: only a payee can claim, so it must be one of ours. Takes some
    /// 100 bytes of memory a claim.
    claims: HashMap<B256, (ChannelId, Amount)>,
    /// The transactions of the nonce that is being read.
    nonce: Vec<TransactionRecord>,
    /// How many nonces of an account were used up at the block that the ledger had read; `None` when nobody can say.
    used: HashMap<(u64, Address), Option<u64>>,
}

impl Journal {
    /// Notes the claims that must be in the journal.
    pub(super) fn expect(&mut self, channel: &ChannelRecord, events: &[Event]) {
        for event in events {
            if let EventKind::Claimed { taken } = event.kind {
                self.claims.insert(event.tx_hash, (channel.id, taken));
            }
        }
    }

    pub(super) async fn take(
        &mut self,
        transaction: TransactionRecord,
        deployments: &BTreeMap<String, Audited>,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        self.claims.remove(&transaction.hash);
        let follows = self.nonce.last().is_some_and(|last| place(last) != place(&transaction));
        if follows {
            self.close_nonce(Some(&transaction), deployments, findings).await?;
        }
        self.nonce.push(transaction);
        Ok(())
    }

    pub(super) async fn finish(
        &mut self,
        deployments: &BTreeMap<String, Audited>,
        partial: bool,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        self.close_nonce(None, deployments, findings).await?;
        for (hash, (channel, amount)) in self.claims.drain().filter(|_| !partial) {
            findings.differs(format!("channel {channel}: {amount} was claimed by {hash}, which is not in the journal"));
        }
        Ok(())
    }

    /// All transactions of a nonce are there: what the chain mined must be one of them. `next` is the one after them.
    async fn close_nonce(
        &mut self,
        next: Option<&TransactionRecord>,
        deployments: &BTreeMap<String, Audited>,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let signed = std::mem::take(&mut self.nonce);
        let Some(last) = signed.last() else { return Ok(()) };
        let (chain_id, account, nonce) = place(last);
        let Some(used) = self.used(chain_id, account, deployments, findings).await? else { return Ok(()) };
        let Some((rpc, _)) = node(chain_id, deployments) else { return Ok(()) };
        if nonce < used {
            let mut mined = None;
            for transaction in &signed {
                let receipt = rpc.receipt(transaction.hash).await.context("a receipt cannot be had")?;
                mined = mined.or(receipt.map(|receipt| (transaction, receipt.succeeded)));
            }
            match mined {
                None => findings.differs(format!(
                    "chain {chain_id}: nonce {nonce} of {account} was used by a transaction that is not in the journal"
                )),
                Some((transaction, succeeded)) => agrees(transaction, succeeded, findings),
            }
        }
        let following = next.map(place).filter(|next| (next.0, next.1) == (chain_id, account)).map(|next| next.2);
        for missing in nonce.saturating_add(1)..following.unwrap_or(used).min(used) {
            findings
                .differs(format!("chain {chain_id}: nonce {missing} of {account} was used, and is not in the journal"));
        }
        Ok(())
    }

    async fn used(
        &mut self,
        chain_id: u64,
        account: Address,
        deployments: &BTreeMap<String, Audited>,
        findings: &mut Findings,
    ) -> anyhow::Result<Option<u64>> {
        if let Some(used) = self.used.get(&(chain_id, account)) {
            return Ok(*used);
        }
        let used = match node(chain_id, deployments) {
            None => None,
            Some((rpc, block)) => match rpc.nonce_at(account, block).await {
                Ok(used) => Some(used),
                Err(EvmError::Rejected { .. }) => {
                    findings.note(format!(
                        "the node does not remember block {block}: the journal's nonces on chain {chain_id} were not looked at"
                    ));
                    None
                }
                Err(error) => return Err(error).context("an account's nonce cannot be had"),
            },
        };
        self.used.insert((chain_id, account), used);
        Ok(used)
    }
}

/// What the journal says became of an intent, once that is certain, and what the chain says.
fn agrees(mined: &TransactionRecord, succeeded: bool, findings: &mut Findings) {
    let should = match (mined.noop, succeeded) {
        (true, _) => "cancelled",
        (false, true) => "mined",
        (false, false) => "reverted",
    };
    let TransactionRecord { chain_id, nonce, hash, state, confirmed, .. } = mined;
    if *confirmed && state != should {
        findings.differs(format!("chain {chain_id}: nonce {nonce}, {hash}: {state} by the journal, {should} on chain"));
    }
}

fn place(transaction: &TransactionRecord) -> (u64, Address, u64) {
    (transaction.chain_id, transaction.account, transaction.nonce)
}

/// A node of the chain, and the earliest block up to which deployments on it are read.
fn node(chain_id: u64, deployments: &BTreeMap<String, Audited>) -> Option<(&Rpc, u64)> {
    let on_it = deployments.values().filter(|deployment| deployment.record.chain_id == chain_id);
    let chains = on_it.filter_map(|deployment| deployment.chain.as_ref());
    chains.min_by_key(|chain| chain.block).map(|chain| (&chain.rpc, chain.block))
}
