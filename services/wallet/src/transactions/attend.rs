//! One nonce: what does the chain say about it, and what is to be done?

use std::time::{Duration, Instant};

use alloy_primitives::B256;
use evm::{EvmError, Fees, Receipt, Submission, Transaction};
use ledger::{Intent, IntentState, Mark, Slot};
use runtime::trace::{Kind, Span};

use super::machine::{By, Ours, Outcome, Seen, Step, outcome, step};
use super::signing::{self, Journalled};
use super::slots;
use super::tend::Look;
use crate::error::WalletError;
use crate::points::reach;

impl Look<'_> {
    /// Notes what became of a nonce, and does what is to be done about it.
    pub(super) async fn attend(&self, slot: &Slot, ours: &Ours) -> Result<(), WalletError> {
        if self.is_known && slot.nonce < self.mined {
            return Ok(());
        }
        let policy = &self.desk.policy;
        let (seen, hash) = self.observe(slot, ours).await?;
        let Some(outcome) = outcome(ours, &seen) else {
            self.desk.memory().look_again(self.account);
            return Ok(());
        };
        self.note(slot, &outcome, hash).await?;
        if outcome == Outcome::Free {
            self.act(slot, ours, step(ours, &seen, policy)).await?;
        }
        Ok(())
    }

    /// What the chain says about a nonce, and which of ours used it up.
    async fn observe(&self, slot: &Slot, ours: &Ours) -> Result<(Seen, Option<B256>), WalletError> {
        let (desk, account, nonce) = (self.desk, self.account, slot.nonce);
        let is_used = nonce < self.mined;
        let receipt = if is_used { self.receipt(slot).await? } else { None };
        let failing = match is_used || ours.noop || !self.is_new || !is_late(slot, desk.policy.resend_after) {
            true => desk.memory().failing_so_far(account, nonce),
            false => {
                let fails = self.would_fail(slot).await?;
                desk.memory().failing(account, nonce, fails)
            }
        };
        let (mut memory, now) = (desk.memory(), Instant::now());
        let (receipt, hash) = receipt.map(|(by, block, hash)| ((by, block), hash)).unzip();
        let seen = Seen {
            head: self.head.number,
            base_fee: self.head.base_fee.unwrap_or_default(),
            market: self.market,
            mined: self.mined,
            settled: self.settled,
            receipt,
            missed: memory.missed(account, nonce, is_used && receipt.is_none()),
            failing,
            sent: slot.signed.last().and_then(|signed| memory.when_sent(signed.hash, now)),
            next_for: memory.next_for(account, nonce, now),
        };
        Ok((seen, hash))
    }

    /// Which of ours was mined, and where. A receipt from a block that is not part of the chain is none.
    async fn receipt(&self, slot: &Slot) -> Result<Option<(By, u64, B256)>, WalletError> {
        for signed in slot.signed.iter().rev() {
            let Some(Receipt { block, succeeded, .. }) = self.desk.rpc.receipt(signed.hash).await? else { continue };
            let is_canonical = self.desk.rpc.block(block.number).await?.is_some_and(|known| known.hash == block.hash);
            if is_canonical {
                let by = slots::used_by(slot, signed.hash, succeeded);
                return Ok(by.map(|by| (by, block.number, signed.hash)));
            }
            tracing::warn!(tx.hash = %signed.hash, block = block.number, "a receipt from a block that is not in the chain");
        }
        Ok(None)
    }

    /// Whether the nodes refuse the newest transaction, or it would fail at the head.
    async fn would_fail(&self, slot: &Slot) -> Result<bool, WalletError> {
        let (signed, _) = slots::newest(slot)?;
        let said = self.desk.memory().when_sent(signed.hash, Instant::now());
        if said.is_some_and(|(_, said)| matches!(said, Submission::Refused(_))) {
            return Ok(true);
        }
        let transaction = Transaction::decode(&signed.raw)?;
        match self.desk.rpc.revert_reason(self.account, &transaction, None).await {
            Ok(None) => Ok(false),
            Ok(Some(reason)) => {
                tracing::warn!(tx.hash = %signed.hash, reason, "a transaction that waits to be mined would fail");
                Ok(true)
            }
            // That says nothing about the contract.
            Err(EvmError::Rejected { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down what became of a nonce, if that is new.
    async fn note(&self, slot: &Slot, outcome: &Outcome, hash: Option<B256>) -> Result<(), WalletError> {
        let desk = self.desk;
        let mut marks = slots::marks(slot, outcome);
        if marks.is_empty() {
            return Ok(());
        }
        reach("after_receipt_before_mark");
        for mark in marks.iter_mut().filter(|mark| mark.state == IntentState::Reverted && !mark.confirmed) {
            mark.reason = self.revert_reason(slot, mark).await;
        }
        desk.ledger.mark(&desk.fence, &marks).await?;
        reach("after_mark");
        for mark in &marks {
            let before = slot.intents.iter().find(|intent| intent.id == mark.intent);
            if let Some(intent) = before {
                self.trace(slot, intent, mark, hash);
            }
            let Mark { state, block, confirmed, reason, .. } = mark;
            if before.is_none_or(|before| before.state != *state) {
                desk.count(state.as_str());
            }
            if *confirmed && *state == IntentState::Mined {
                desk.count("confirmed");
            }
            let (nonce, state) = (slot.nonce, state.as_str());
            tracing::info!(chain = desk.chain_id, nonce, state, block, confirmed, reason, "an intent changed");
        }
        if let Outcome::Used { by, .. } = outcome {
            if *by == By::Stranger {
                tracing::error!(
                    chain = desk.chain_id,
                    account = %self.account,
                    nonce = slot.nonce,
                    "a transaction that is not in the journal took this nonce of our key"
                );
            }
            desk.memory().settle(self.account, slot.nonce, slot.signed.iter().map(|signed| signed.hash));
        }
        Ok(())
    }

    /// That the nonce was used up, and that this is certain: a span each in the trace of who caused it, from the first
    /// signature on. Whoever sent it is long done.
    fn trace(&self, slot: &Slot, intent: &Intent, mark: &Mark, hash: Option<B256>) {
        let (Some(block), Some(first)) = (mark.block, slot.signed.iter().find(|signed| signed.intent == intent.id))
        else {
            return;
        };
        let what = if mark.confirmed { "confirmed" } else { mark.state.as_str() };
        let span = Span::caused_earlier(intent.trace.as_deref(), first.age, format!("transaction {what}"));
        for (key, value) in [("tx.chain", self.desk.chain_id), ("tx.nonce", slot.nonce), ("tx.block", block)] {
            span.note(key, value.to_string());
        }
        if let Some(hash) = hash {
            span.note("tx.hash", hash.to_string());
        }
        span.note("sluice.outcome", mark.state.as_str());
        if mark.state != IntentState::Mined {
            span.failed();
        }
    }

    /// Why an intent failed, if the node can still tell. Not worth waiting for.
    async fn revert_reason(&self, slot: &Slot, mark: &Mark) -> Option<String> {
        let signed = slot.signed.iter().rfind(|signed| signed.intent == mark.intent && !signed.noop)?;
        let transaction = Transaction::decode(&signed.raw).ok()?;
        self.desk.rpc.revert_reason(self.account, &transaction, mark.block).await.ok().flatten()
    }

    async fn act(&self, slot: &Slot, ours: &Ours, step: Step) -> Result<(), WalletError> {
        let (desk, nonce) = (self.desk, slot.nonce);
        let (newest, intent) = slots::newest(slot)?;
        let number = newest.number.saturating_add(1);
        let (transaction, noop) = match step {
            Step::Wait => return Ok(()),
            Step::Send => {
                let is_new = intent.state == IntentState::Prepared;
                let (hash, raw) = (newest.hash, newest.raw.clone());
                return signing::broadcast(desk, &Journalled { intent: intent.id, is_new, hash, raw }).await;
            }
            Step::Raise(fees) => (Transaction { fees, ..Transaction::decode(&newest.raw)? }, newest.noop),
            Step::Cancel(fees) => (signing::noop(desk, self.account, nonce, fees).await?, true),
        };
        let reason = if noop && !ours.noop { "no-op" } else { "fees" };
        let Fees { max_fee, max_priority_fee } = transaction.fees;
        tracing::info!(chain = desk.chain_id, nonce, reason, max_fee, max_priority_fee, "a transaction is replaced");
        let span = Span::caused(intent.trace.as_deref(), Kind::Internal, "replace transaction");
        let signed = signing::again(desk, self.key, intent.id, &transaction, number, noop).await?;
        signed.describe(&span, desk.chain_id, nonce);
        let chain = desk.chain_id.to_string();
        metrics::counter!("wallet_replacements_total", "chain" => chain, "reason" => reason).increment(1);
        span.around(signing::broadcast(desk, &signed)).await
    }
}

/// Whether it is older than what is mined in good time.
fn is_late(slot: &Slot, than: Duration) -> bool {
    slot.signed.first().is_some_and(|signed| signed.age >= than)
}
