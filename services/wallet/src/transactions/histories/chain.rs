//! A chain with one account on it, and the nodes in front of it.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::{B256, keccak256};
use evm::{Fees, Submission, Transaction};
use ledger::{JobId, Lane};

use super::journal::Journal;

/// What nodes say instead of the truth.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lie {
    Underpriced,
    ReplacementUnderpriced,
    NonceTooLow,
    Refused,
    /// Says that it took the transaction, and forgets it.
    Forgotten,
    /// Does not answer, but may have taken it.
    Unsure {
        taken: bool,
    },
}

/// A transaction that was mined.
#[derive(Clone, Debug)]
struct Mined {
    waiting: Waiting,
    succeeded: bool,
    /// The job that it did.
    effect: Option<(JobId, Lane)>,
}

/// A transaction that waits.
#[derive(Clone, Debug)]
struct Waiting {
    hash: B256,
    nonce: u64,
    fees: Fees,
}

#[derive(Debug)]
pub(super) struct Chain {
    blocks: Vec<Vec<Mined>>,
    waiting: BTreeMap<u64, Waiting>,
    /// What was ever taken, newest last.
    heard: Vec<Waiting>,
    fork: u64,
    strangers: u64,
    pub(super) base_fee: u128,
    pub(super) lies: VecDeque<Lie>,
}

impl Chain {
    pub(super) fn new() -> Chain {
        let blocks = vec![Vec::new()];
        let (waiting, heard, lies) = (BTreeMap::new(), Vec::new(), VecDeque::new());
        Chain { blocks, waiting, heard, fork: 0, strangers: 0, base_fee: super::GWEI, lies }
    }

    pub(super) fn head(&self) -> (u64, B256) {
        let number = self.blocks.len() as u64 - 1;
        (number, keccak256([number.to_be_bytes(), self.fork.to_be_bytes()].concat()))
    }

    /// How many nonces are used up.
    pub(super) fn mined(&self) -> u64 {
        self.blocks.iter().map(|block| block.len() as u64).sum()
    }

    /// How many were before the last blocks.
    pub(super) fn settled(&self) -> u64 {
        let recent = usize::try_from(super::POLICY.confirmations).expect("it is small");
        self.blocks.iter().rev().skip(recent).map(|block| block.len() as u64).sum()
    }

    /// Likewise, with those that wait in their turn.
    pub(super) fn pending(&self) -> u64 {
        let mut nonce = self.mined();
        while self.waiting.contains_key(&nonce) {
            nonce += 1;
        }
        nonce
    }

    pub(super) fn market(&self) -> Fees {
        let tip = super::GWEI;
        Fees { max_fee: self.base_fee * 2 + tip, max_priority_fee: tip }
    }

    /// The block of a mined transaction, and whether it succeeded.
    pub(super) fn receipt(&self, hash: B256) -> Option<(u64, bool)> {
        (0..).zip(&self.blocks).find_map(|(number, block)| {
            block.iter().find(|mined| mined.waiting.hash == hash).map(|mined| (number, mined.succeeded))
        })
    }

    /// How often each job was done.
    pub(super) fn effects(&self) -> BTreeMap<JobId, u32> {
        let mut effects = BTreeMap::new();
        for (job, _) in self.blocks.iter().flatten().filter_map(|mined| mined.effect) {
            *effects.entry(job).or_default() += 1;
        }
        effects
    }

    /// Mines what waits in its turn and pays enough.
    pub(super) fn mine(&mut self, journal: &Journal) {
        let mut block: Vec<Mined> = Vec::new();
        let mut nonce = self.mined();
        let mut done = self.effects();
        while let Some(next) = self.waiting.get(&nonce).filter(|next| next.fees.max_fee >= self.base_fee) {
            let wanted = journal.purpose(next.hash);
            // A contract lets what is urgent happen once.
            let again = |(job, lane)| lane == Lane::Urgent && done.contains_key(&job);
            let succeeded = wanted.is_none_or(|wanted| !journal.fails(wanted.0) && !again(wanted));
            let effect = wanted.filter(|_| succeeded);
            if let Some((job, _)) = effect {
                *done.entry(job).or_default() += 1;
            }
            block.push(Mined { waiting: next.clone(), succeeded, effect });
            self.waiting.remove(&nonce);
            nonce += 1;
        }
        self.blocks.push(block);
        self.waiting.retain(|waiting, _| *waiting >= nonce);
    }

    /// Replaces the last `depth` blocks by one more, all empty.
    pub(super) fn reorg(&mut self, depth: u64, kept: bool) {
        let depth = usize::try_from(depth).expect("it is small").min(self.blocks.len() - 1);
        for mined in self.blocks.split_off(self.blocks.len() - depth).into_iter().flatten().filter(|_| kept) {
            self.waiting.entry(mined.waiting.nonce).or_insert(mined.waiting);
        }
        self.fork += 1;
        self.blocks.extend(std::iter::repeat_n(Vec::new(), depth + 1));
    }

    pub(super) fn drop_waiting(&mut self, place: usize) {
        if let Some(nonce) = self.waiting.keys().nth(place).copied() {
            self.waiting.remove(&nonce);
        }
    }

    pub(super) fn resurface(&mut self, ago: usize) {
        let mined = self.mined();
        if let Some(old) = self.heard.iter().rev().nth(ago).filter(|old| old.nonce >= mined) {
            self.waiting.insert(old.nonce, old.clone());
        }
    }

    pub(super) fn stranger(&mut self) {
        self.strangers += 1;
        let (nonce, fees) = (self.pending(), self.market());
        self.waiting.insert(nonce, Waiting { hash: keccak256(self.strangers.to_be_bytes()), nonce, fees });
    }

    pub(super) fn submit(&mut self, hash: B256, transaction: &Transaction, fails: bool) -> Submission {
        match self.lies.pop_front() {
            // Some nodes take nothing that would fail.
            _ if fails => Submission::Refused("it would fail".to_owned()),
            None => self.take(hash, transaction),
            Some(Lie::Underpriced) => Submission::Underpriced,
            Some(Lie::ReplacementUnderpriced) => Submission::ReplacementUnderpriced,
            Some(Lie::NonceTooLow) => Submission::NonceTooLow,
            Some(Lie::Refused) => Submission::Refused("so it is".to_owned()),
            Some(Lie::Forgotten) => Submission::Taken,
            Some(Lie::Unsure { taken }) => {
                if taken {
                    self.take(hash, transaction);
                }
                Submission::Unsure("no answer".to_owned())
            }
        }
    }

    fn take(&mut self, hash: B256, transaction: &Transaction) -> Submission {
        let Transaction { nonce, fees, .. } = *transaction;
        if nonce < self.mined() {
            return Submission::NonceTooLow;
        }
        if fees.max_fee < self.base_fee {
            return Submission::Underpriced;
        }
        if let Some(there) = self.waiting.get(&nonce) {
            let enough = |offered: u128, there: u128| offered > there && offered * 10 >= there * 11;
            if there.hash == hash {
                return Submission::Taken;
            }
            if !enough(fees.max_fee, there.fees.max_fee) || !enough(fees.max_priority_fee, there.fees.max_priority_fee)
            {
                return Submission::ReplacementUnderpriced;
            }
        }
        self.waiting.insert(nonce, Waiting { hash, nonce, fees });
        self.heard.push(Waiting { hash, nonce, fees });
        Submission::Taken
    }
}
