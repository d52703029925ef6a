//! The ledger's tables of jobs, intents and transactions, with their constraints.

use std::collections::BTreeMap;
use std::time::Instant;

use alloy_primitives::B256;
use evm::{Fees, Transaction};
use ledger::{Intent, IntentId, IntentState, JobId, Lane, Mark, Signed, Slot};
use proptest::prop_assert;
use proptest::test_runner::TestCaseError;

use super::POLICY;

#[derive(Clone, Copy, Debug)]
struct Job {
    lane: Lane,
    /// What it wants would fail at the head.
    fails: bool,
    given_up: bool,
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    jobs: Vec<Job>,
    slots: BTreeMap<u64, Slot>,
    stored: BTreeMap<B256, Instant>,
    intents: i64,
    /// What the other wallet read.
    pub(super) read: Option<(u64, Vec<Slot>)>,
}

impl Journal {
    pub(super) fn add_job(&mut self, lane: Lane) {
        self.jobs.push(Job { lane, fails: false, given_up: false });
    }

    pub(super) fn set_failing(&mut self, job: usize, fails: bool) {
        self.jobs.get_mut(job).into_iter().for_each(|job| job.fails = fails);
    }

    pub(super) fn give_up(&mut self, job: usize) {
        self.jobs.get_mut(job).into_iter().for_each(|job| job.given_up = true);
    }

    /// Nothing fails any more, but what is wanted no more.
    pub(super) fn heal(&mut self) {
        self.jobs.iter_mut().for_each(|job| job.fails &= job.given_up);
    }

    /// The jobs, and whether each was given up.
    pub(super) fn jobs(&self) -> Vec<(JobId, bool)> {
        (0..).map(JobId).zip(self.jobs.iter().map(|job| job.given_up)).collect()
    }

    fn job(&self, id: JobId) -> Job {
        self.jobs[usize::try_from(id.0).expect("jobs are numbered from 0")]
    }

    pub(super) fn fails(&self, job: JobId) -> bool {
        self.job(job).fails
    }

    /// Open jobs of which no intent is under way, with their lanes.
    pub(super) fn idle_jobs(&self) -> Vec<(JobId, Lane)> {
        let jobs = self.jobs().into_iter().filter(|(job, given_up)| !given_up && self.live(*job).is_empty());
        jobs.map(|(job, _)| (job, self.job(job).lane)).collect()
    }

    fn live(&self, job: JobId) -> Vec<IntentId> {
        let intents = self.slots.values().flat_map(|slot| &slot.intents);
        intents.filter(|intent| intent.job == Some(job) && intent.is_live()).map(|intent| intent.id).collect()
    }

    /// How often the index `intents_live` has a job.
    fn indexed(&self, job: JobId) -> usize {
        let is_indexed = |intent: &&Intent| {
            let waits = matches!(intent.state, IntentState::Prepared | IntentState::Broadcast);
            intent.job == Some(job) && (waits || (intent.lane == Lane::Normal && !intent.confirmed))
        };
        self.slots.values().flat_map(|slot| &slot.intents).filter(is_indexed).count()
    }

    /// Whether a job has an intent that was mined; of one that is urgent, as long as that is not certain.
    fn is_done(&self, job: JobId) -> bool {
        let is_done = |intent: &Intent| {
            let counts = intent.lane == Lane::Normal || !intent.confirmed;
            intent.job == Some(job) && intent.state == IntentState::Mined && counts
        };
        self.slots.values().flat_map(|slot| &slot.intents).any(is_done)
    }

    /// What a transaction is for; `None` when it does nothing, or is not ours.
    pub(super) fn purpose(&self, hash: B256) -> Option<(JobId, Lane)> {
        let slot = self.slots.values().find(|slot| slot.signed.iter().any(|signed| signed.hash == hash))?;
        let signed = slot.signed.iter().find(|signed| signed.hash == hash && !signed.noop)?;
        let job = slot.intents.iter().find(|intent| intent.id == signed.intent)?.job?;
        Some((job, self.job(job).lane))
    }

    /// What `Ledger::slots` reads.
    pub(super) fn read(&self, settled: u64, now: Instant) -> Vec<Slot> {
        let unsettled = |slot: &&Slot| slot.nonce >= settled || slot.intents.iter().any(|intent| !intent.confirmed);
        let mut slots: Vec<Slot> = self.slots.values().filter(unsettled).cloned().collect();
        for slot in &mut slots {
            for intent in &mut slot.intents {
                let others = |job: JobId| self.live(job).iter().any(|other| *other != intent.id);
                intent.wanted = intent.job.is_none_or(|job| !self.job(job).given_up && !others(job));
            }
            for signed in &mut slot.signed {
                signed.age = now.duration_since(self.stored[&signed.hash]);
            }
        }
        slots
    }

    pub(super) fn read_for_later(&mut self, mined: u64) {
        let now = self.stored.values().max().copied().unwrap_or_else(Instant::now);
        self.read = Some((mined, self.read(mined, now)));
    }

    pub(super) fn nonces_from(&self, mined: u64) -> Vec<u64> {
        self.slots.keys().copied().filter(|nonce| *nonce >= mined).collect()
    }

    /// `Ledger::journal`.
    pub(super) fn open(
        &mut self,
        job: Option<JobId>,
        lane: Lane,
        nonce: u64,
        signed: Signed,
        now: Instant,
    ) -> Option<IntentId> {
        let taken = self.slots.get(&nonce).map_or(0, |slot| slot.signed.len());
        let is_first = usize::try_from(signed.number) == Ok(taken);
        if !is_first || job.is_some_and(|job| self.indexed(job) > 0 || self.is_done(job)) {
            return None;
        }
        self.intents += 1;
        let id = IntentId(self.intents);
        let state = IntentState::Prepared;
        let intent =
            Intent { id, job, channel: None, lane, state, block: None, confirmed: false, wanted: true, trace: None };
        let slot = self.slots.entry(nonce).or_insert(Slot { nonce, intents: Vec::new(), signed: Vec::new() });
        for other in &mut slot.intents {
            if matches!(other.state, IntentState::Prepared | IntentState::Broadcast) {
                other.state = IntentState::Replaced;
            }
        }
        slot.intents.push(intent);
        self.stored.insert(signed.hash, now);
        slot.signed.push(Signed { intent: id, ..signed });
        Some(id)
    }

    /// `Ledger::journal_again`.
    pub(super) fn again(&mut self, nonce: u64, signed: Signed, now: Instant) -> bool {
        let slot = self.slots.get_mut(&nonce).expect("it has a first");
        let is_first = usize::try_from(signed.number) == Ok(slot.signed.len());
        if is_first {
            self.stored.insert(signed.hash, now);
            slot.signed.push(signed);
        }
        is_first
    }

    /// `Ledger::mark_sent`.
    pub(super) fn sent(&mut self, nonce: u64, id: IntentId) {
        let slot = self.slots.get_mut(&nonce).expect("it was journalled");
        let new = slot.intents.iter_mut().find(|intent| intent.id == id && intent.state == IntentState::Prepared);
        new.into_iter().for_each(|intent| intent.state = IntentState::Broadcast);
    }

    /// `Ledger::mark`; false for a conflict.
    pub(super) fn mark(&mut self, nonce: u64, marks: &[Mark]) -> bool {
        let before = self.slots.clone();
        let slot = self.slots.get_mut(&nonce).expect("it was journalled");
        for mark in marks {
            let intent = slot.intents.iter_mut().find(|intent| intent.id == mark.intent).expect("it was journalled");
            (intent.state, intent.block, intent.confirmed) = (mark.state, mark.block, mark.confirmed);
        }
        let allowed = self.jobs().iter().all(|(job, _)| self.indexed(*job) <= 1);
        if !allowed {
            self.slots = before;
        }
        allowed
    }

    /// No fee exceeds its cap, and each transaction offers a tenth more than the one before it.
    pub(super) fn check_fees(&self) -> Result<(), TestCaseError> {
        for slot in self.slots.values() {
            let mut last = Fees { max_fee: 0, max_priority_fee: 0 };
            for signed in &slot.signed {
                let Fees { max_fee, max_priority_fee } =
                    Transaction::decode(&signed.raw).expect("it was signed here").fees;
                let cap = if signed.noop { POLICY.noop_cap } else { POLICY.urgent_cap };
                prop_assert!(max_fee <= cap && max_priority_fee <= max_fee);
                prop_assert!(max_fee * 8 >= last.max_fee * 9 && max_priority_fee * 8 >= last.max_priority_fee * 9);
                last = Fees { max_fee, max_priority_fee };
            }
            let first = slot.signed.first().expect("a slot has one");
            let normal = slot.intents.iter().all(|intent| intent.lane == Lane::Normal);
            let fees = Transaction::decode(&first.raw).expect("it was signed here").fees;
            prop_assert!(!normal || first.noop || fees.max_fee <= POLICY.normal_cap);
        }
        Ok(())
    }
}
