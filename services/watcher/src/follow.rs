//! The story of a block.
//!
//! ```text
//! poll, or a front rings ─→ head ─→ does what we read still stand? ─┬─ yes ─→ read on after the cursor
//!                                                                   ├─ no ──→ read again from after the anchor
//!                                                                   └─ nor the anchor ─→ halt: nothing is sold any more
//!        ┌──────────────────────────────────────────────────────────┘
//!        └─→ logs ─→ events ─→ ledger.advance: events stored and orphaned, facts folded, cursor moved, in one transaction
//! ```
//!
//! A block is new to us when the head is beyond the *cursor*, the last block whose events the ledger has. The logs after
//! the cursor are read so that they belong to one chain ([`crate::fetch`]), decoded by the contract's own file, and
//! handed to the ledger, which refuses them if another watcher moved the cursor meanwhile. What a payer deposits counts
//! once it is deep enough; what takes money away counts at once.
//!
//! When the cursor's block is no longer part of the chain, everything after the *anchor* is read again. The ledger marks
//! what is no longer there as orphaned and folds the facts anew: there is no undo. The anchor trails the head by
//! `reorg_depth` blocks and never passes what the chain itself calls final. If the anchor is gone, the chain broke a
//! promise that we sold on, and a person must look.
//!
//! *Invariant:* fronts may sell until a time derived from the last block read, never from one merely heard of.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use channel::{BlockRef, Freshness, Policy};
use contracts::{Deployment, Log};
use evm::{Block, Rpc};
use ledger::{Advance, Cursor, Ledger, NewEvent};

use crate::Trouble;
use crate::fetch::{Batch, fetch, still_there};
use crate::gauges;
use crate::inspect::inspect;
use crate::range::Range;
use crate::reorg::{self, Read, Step};
use crate::stall::Stall;

/// How many rounds in a row must find the anchor gone before it is believed: a halt takes a person to end, and a single
/// answer may come from a node that is on a fork of its own.
const ROUNDS_OF_DOUBT: u32 = 3;

/// What a round led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// The ledger knows all there was when the round began.
    Current,
    /// There is more to read.
    More,
    /// The node has less than we read. Nothing to do but wait.
    Waiting,
    /// The deployment was halted, now or before.
    Halted,
}

/// Follows the chain for one deployment.
pub(crate) struct Follower {
    pub(crate) deployment: Deployment,
    pub(crate) freshness: Freshness,
    /// When money is taken on chain.
    pub(crate) policy: Policy,
    pub(crate) reorg_depth: u64,
    pub(crate) rpc: Rpc,
    pub(crate) ledger: Ledger,
    pub(crate) range: Range,
    /// How many rounds in a row found the anchor gone.
    pub(crate) doubts: u32,
    /// Whether the chain's head moves.
    pub(crate) stall: Stall,
    /// Whether the contract was found to be the one configured.
    pub(crate) inspected: bool,
}

/// What is to be written.
pub(crate) enum Finding {
    /// Nothing.
    Nothing(Round),
    /// What the chain said.
    News(Box<Advance>, Round),
    /// The chain broke its promise.
    Broken(String),
}

impl Follower {
    /// Asks the node what is new. Changes nothing, so it may be dropped at any time.
    pub(crate) async fn look(&mut self) -> Result<Finding, Trouble> {
        if !self.inspected {
            inspect(&self.rpc, &self.deployment).await?;
            self.inspected = true;
        }
        let seen_at = now();
        let head = self.rpc.head().await?;
        self.stall.heard(head.reference(), Instant::now());
        let cursor = self.ledger.cursor(&self.deployment.name).await?;
        gauges::head(&self.deployment, &head);
        let Some(cursor) = cursor else {
            return self.read(None, (self.deployment.from_block, None), &head, seen_at).await;
        };
        gauges::cursor(&self.deployment, &cursor);
        if cursor.halted.is_some() {
            return Ok(Finding::Nothing(Round::Halted));
        }
        match self.next(&cursor, &head).await? {
            Step::Rest => Ok(Finding::Nothing(Round::Current)),
            Step::Wait => {
                tracing::debug!(
                    deployment = self.deployment.name,
                    head = head.number,
                    cursor = cursor.block.number,
                    "the node is behind what we read"
                );
                Ok(Finding::Nothing(Round::Waiting))
            }
            Step::Extend => {
                let after = (cursor.block.number + 1, Some(cursor.block.hash));
                self.read(Some(&cursor), after, &head, seen_at).await
            }
            Step::Rewind => {
                let depth = cursor.block.number - cursor.anchor.number;
                tracing::warn!(
                    deployment = self.deployment.name,
                    from = cursor.anchor.number + 1,
                    head = head.number,
                    depth,
                    "the chain was reorganised: reading again from the anchor"
                );
                gauges::reorg(&self.deployment);
                self.read(Some(&cursor), self.after_anchor(&cursor), &head, seen_at).await
            }
            Step::Halt => Ok(Finding::Broken(format!(
                "block {} is no longer {}: the chain was reorganised below what it must keep",
                cursor.anchor.number, cursor.anchor.hash
            ))),
        }
    }

    /// Writes what was found. Not to be dropped half-way for no reason; if it is, the next round finds it again.
    pub(crate) async fn record(&mut self, finding: Finding) -> Result<Round, Trouble> {
        match finding {
            Finding::Nothing(round) => Ok(round),
            Finding::News(advance, round) => {
                let (from, to) = (advance.rescan_from, advance.to.block.number);
                let events = advance.events.len();
                self.ledger.advance(&advance).await?;
                gauges::cursor(&self.deployment, &advance.to);
                gauges::safe_until(&self.deployment, advance.safe_until);
                if round == Round::More || events > 0 {
                    tracing::info!(deployment = self.deployment.name, from, to, events, "read blocks");
                }
                Ok(round)
            }
            Finding::Broken(reason) => {
                tracing::error!(
                    deployment = self.deployment.name,
                    reason,
                    "halted: nothing is sold through this deployment until a person has looked"
                );
                self.ledger.halt(&self.deployment.name, &reason).await?;
                gauges::halted(&self.deployment, true);
                Ok(Round::Halted)
            }
        }
    }

    /// Whether what we read still stands. The two usual cases cost no question.
    async fn next(&mut self, cursor: &Cursor, head: &Block) -> Result<Step, Trouble> {
        if head.reference() == cursor.block {
            return Ok(Step::Rest);
        }
        if head.parent == cursor.block.hash {
            return Ok(Step::Extend);
        }
        let at_cursor = self.rpc.block(cursor.block.number).await?.map(|block| block.hash);
        let at_anchor = self.rpc.block(cursor.anchor.number).await?.map(|block| block.hash);
        let read = Read { cursor: cursor.block, anchor: cursor.anchor };
        let step = reorg::next(&read, head.reference(), at_cursor, at_anchor);
        if matches!(step, Step::Rewind | Step::Halt) {
            // Another chain is no fork of ours.
            self.rpc.check_chains_again().await?;
        }
        self.doubts = if step == Step::Halt { self.doubts + 1 } else { 0 };
        if step == Step::Halt && self.doubts < ROUNDS_OF_DOUBT {
            return Ok(Step::Wait);
        }
        Ok(step)
    }

    /// Where reading again begins: after the anchor, but never before the first block to be read at all.
    fn after_anchor(&self, cursor: &Cursor) -> (u64, Option<B256>) {
        let after = cursor.anchor.number + 1;
        if self.deployment.from_block > after {
            (self.deployment.from_block, None)
        } else {
            (after, Some(cursor.anchor.hash))
        }
    }

    /// Reads from `after` (a block number and its parent's hash) towards the head.
    async fn read(
        &mut self,
        cursor: Option<&Cursor>,
        after: (u64, Option<B256>),
        head: &Block,
        seen_at: u64,
    ) -> Result<Finding, Trouble> {
        if head.number < after.0 {
            return Ok(Finding::Nothing(Round::Waiting));
        }
        let filter = self.deployment.kind.contract().filter(&self.deployment);
        let Batch { logs, last } = fetch(&self.rpc, &filter, &mut self.range, after, head).await?;
        let anchor = self.anchor(cursor, &last, head).await?;
        let round = if last.hash == head.hash { Round::Current } else { Round::More };
        let safe_until = channel::safe_until(last.time, seen_at, &self.freshness);
        let safe_until = if round == Round::More { self.prolonged(safe_until).await? } else { safe_until };
        let advance = Advance {
            deployment: self.deployment.name.clone(),
            from: cursor.map(|cursor| cursor.block),
            to: Cursor { block: last.reference(), block_time: last.time, anchor, halted: None },
            events: self.decode(&logs),
            rescan_from: after.0,
            confirmed: head.number.saturating_sub(self.deployment.confirmations),
            safe_until,
        };
        Ok(Finding::News(Box::new(advance), round))
    }

    /// Until when to sell while there is more to read: selling that has stopped does not begin again before that is read. In
    /// a ledger that was restored, it may be the claim of a voucher that would buy once more.
    async fn prolonged(&self, until: u64) -> Result<u64, Trouble> {
        let stored = self.ledger.deployment(&self.deployment.name).await?.and_then(|(_, safe_until)| safe_until);
        Ok(if stored.is_some_and(|stored| stored > SystemTime::now()) { until } else { 0 })
    }

    /// The anchor after reading up to `last`.
    async fn anchor(&self, cursor: Option<&Cursor>, last: &Block, head: &Block) -> Result<BlockRef, Trouble> {
        let old = cursor.map(|cursor| cursor.anchor);
        let wanted =
            |finalized| reorg::anchor(old.map(|old| old.number), last.number, head.number, self.reorg_depth, finalized);
        if let (Some(old), None) = (old, wanted(None)) {
            return Ok(old);
        }
        let finalized = self.rpc.finalized().await?.map(|block| block.number);
        let number = match (wanted(finalized), old) {
            (Some(number), _) => number,
            (None, Some(old)) => return Ok(old),
            (None, None) => last.number,
        };
        let anchor = self.rpc.block(number).await?.ok_or(Trouble::Moved)?;
        // What was read must stand after the anchor was looked up: then both are of one chain.
        still_there(&self.rpc, last.number, last.hash).await?;
        Ok(anchor.reference())
    }

    /// The events in the logs. A log that cannot be read is counted and left out: the watcher outlives whatever a chain says.
    fn decode(&self, logs: &[Log]) -> Vec<NewEvent> {
        let contract = self.deployment.kind.contract();
        let mut events = Vec::with_capacity(logs.len());
        for log in logs {
            match contract.decode(&self.deployment, log) {
                Ok(Some((opening, event))) => {
                    events.push(NewEvent { payer: opening.payer, params: opening.params, event });
                }
                Ok(None) => {}
                Err(error) => {
                    gauges::skipped(&self.deployment);
                    let (name, hash) = (&self.deployment.name, log.tx_hash);
                    tracing::error!(deployment = name, %error, tx.hash = %hash, "a log cannot be read and is left out");
                }
            }
        }
        events
    }
}

/// The time by our clock, in seconds since 1970. A clock before that is as wrong as can be: nothing is fresh then.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
