//! What `send` and `tend` do, step by step, with a clock of its own, and able to die after any step.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, Bytes, U256};
use channel::Key;
use evm::{Fees, Submission, Transaction, sign_transaction};
use ledger::{IntentId, IntentState, JobId, Lane, Signed, Slot};

use super::POLICY;
use super::chain::Chain;
use super::journal::Journal;
use crate::transactions::fees::capped;
use crate::transactions::machine::{Ours, Outcome, Seen, Step, outcome, step};
use crate::transactions::memory::Memory;
use crate::transactions::{line, slots};

/// The process is no more.
pub(super) struct Died;

pub(super) struct Wallet {
    key: Key,
    now: Instant,
    memory: Memory,
    pub(super) journal: Journal,
    /// How many looks see no receipts.
    pub(super) hidden: u32,
    /// How many steps are left to it.
    steps: Option<u32>,
}

impl Wallet {
    pub(super) fn new() -> Wallet {
        let key = Key::from_bytes(&[7; 32]).expect("a key");
        let (memory, journal) = (Memory::default(), Journal::default());
        Wallet { key, now: Instant::now(), memory, journal, hidden: 0, steps: None }
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// Lives for so many steps; a new process takes over from one that died.
    pub(super) fn live(&mut self, steps: Option<u32>, life: impl FnOnce(&mut Wallet) -> Result<(), Died>) {
        self.steps = steps;
        if life(self).is_err() {
            self.memory = Memory::default();
        }
        self.steps = None;
    }

    fn survive(&mut self) -> Result<(), Died> {
        match self.steps.as_mut() {
            Some(0) => Err(Died),
            Some(steps) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Sends for every job that needs it.
    pub(super) fn work(&mut self, chain: &mut Chain) -> Result<(), Died> {
        for (job, lane) in self.journal.idle_jobs() {
            // For what is not urgent nobody looks at the chain but the journal.
            let done = lane == Lane::Urgent && chain.effects().contains_key(&job);
            if done || self.journal.fails(job) {
                continue;
            }
            let mined = chain.mined();
            let found = self.journal.read(mined, self.now);
            let waiting = found.iter().filter(|slot| slot.nonce >= mined);
            let waiting: Vec<_> = waiting.map(|slot| slots::waiting(slot).expect("signed here")).collect();
            let nonces: Vec<u64> = found.iter().map(|slot| slot.nonce).collect();
            let free = line::free_nonce(mined, chain.pending(), &nonces);
            let Some(place) = line::place(&waiting, free, lane, chain.market(), &POLICY) else { continue };
            self.open(chain, Some(job), lane, place.nonce, place.number, place.fees, false)?;
        }
        Ok(())
    }

    /// Looks after everything.
    pub(super) fn look(&mut self, chain: &mut Chain) -> Result<(), Died> {
        let found = self.journal.read(chain.settled(), self.now);
        self.hidden = self.hidden.saturating_sub(1);
        self.look_at(chain, &found, chain.mined(), false)
    }

    /// The other wallet acts on what it read, which may be long ago. The journal asks for its lease before it marks
    /// anything; that it does so before anything else is left out here, to see that the numbers suffice.
    pub(super) fn wake_up(&mut self, chain: &mut Chain) -> Result<(), Died> {
        let Some((mined, found)) = self.journal.read.take() else { return Ok(()) };
        let memory = std::mem::take(&mut self.memory);
        let looked = self.look_at(chain, &found, mined, true);
        self.memory = memory;
        looked
    }

    fn look_at(&mut self, chain: &mut Chain, found: &[Slot], mined: u64, fenced: bool) -> Result<(), Died> {
        let head = chain.head();
        let is_new = self.memory.look(Address::ZERO, head.1, (mined, chain.settled()), self.now);
        self.fill_gap(chain, found, mined)?;
        let last_urgent = slots::last_urgent(found);
        for slot in found {
            let ours = slots::ours(slot, last_urgent.is_some_and(|last| slot.nonce <= last)).expect("signed here");
            let seen = self.observe(chain, slot, &ours, mined, is_new);
            let Some(outcome) = outcome(&ours, &seen) else {
                self.memory.look_again(Address::ZERO);
                continue;
            };
            let marks = slots::marks(slot, &outcome);
            if !marks.is_empty() && !fenced {
                self.survive()?;
                if !self.journal.mark(slot.nonce, &marks) {
                    // What was read is out of date: another intent of the job is back. The next look sees that.
                    self.memory.look_again(Address::ZERO);
                    return Ok(());
                }
            }
            if outcome == Outcome::Free {
                self.act(chain, slot, &ours, step(&ours, &seen, &POLICY))?;
            }
        }
        Ok(())
    }

    fn observe(&mut self, chain: &Chain, slot: &Slot, ours: &Ours, mined: u64, is_new: bool) -> Seen {
        let is_used = slot.nonce < mined;
        let receipt = slot.signed.iter().rev().find_map(|signed| {
            let (block, succeeded) = chain.receipt(signed.hash).filter(|_| is_used && self.hidden == 0)?;
            Some((slots::used_by(slot, signed.hash, succeeded)?, block))
        });
        let (signed, intent) = slots::newest(slot).expect("signed here");
        let sent = self.memory.when_sent(signed.hash, self.now);
        let late = slot.signed.first().is_some_and(|signed| signed.age >= POLICY.resend_after);
        let failing = if is_used || ours.noop || !is_new || !late {
            self.memory.failing_so_far(Address::ZERO, slot.nonce)
        } else {
            let refused = matches!(sent, Some((_, Submission::Refused(_))));
            let fails = intent.job.is_some_and(|job| self.journal.fails(job));
            self.memory.failing(Address::ZERO, slot.nonce, refused || fails)
        };
        Seen {
            head: chain.head().0,
            base_fee: chain.base_fee,
            market: chain.market(),
            mined,
            settled: chain.settled(),
            receipt,
            missed: self.memory.missed(Address::ZERO, slot.nonce, is_used && receipt.is_none()),
            failing,
            sent,
            next_for: self.memory.next_for(Address::ZERO, slot.nonce, self.now),
        }
    }

    fn act(&mut self, chain: &mut Chain, slot: &Slot, ours: &Ours, step: Step) -> Result<(), Died> {
        let (newest, intent) = slots::newest(slot).expect("signed here");
        let (fees, noop) = match step {
            Step::Wait => return Ok(()),
            Step::Send => return self.broadcast(chain, newest, slot.nonce, intent.state == IntentState::Prepared),
            Step::Raise(fees) => (fees, ours.noop),
            Step::Cancel(fees) => (fees, true),
        };
        let signed = self.sign(intent.id, slot.nonce, newest.number + 1, fees, noop);
        self.survive()?;
        if self.journal.again(slot.nonce, signed.clone(), self.now) {
            self.broadcast(chain, &signed, slot.nonce, true)?;
        }
        Ok(())
    }

    fn fill_gap(&mut self, chain: &mut Chain, found: &[Slot], mined: u64) -> Result<(), Died> {
        let nonces: Vec<u64> = found.iter().map(|slot| slot.nonce).filter(|nonce| *nonce >= mined).collect();
        let gap = line::gap(mined, chain.pending(), &nonces);
        let age = self.memory.gap_for(Address::ZERO, gap, self.now);
        let Some(nonce) = gap.filter(|_| age >= POLICY.resend_after) else { return Ok(()) };
        let fees = capped(chain.market(), POLICY.noop_cap);
        self.open(chain, None, Lane::Normal, nonce, 0, fees, true)
    }

    #[expect(clippy::too_many_arguments, reason = "a test's helper")]
    fn open(
        &mut self,
        chain: &mut Chain,
        job: Option<JobId>,
        lane: Lane,
        nonce: u64,
        number: u32,
        fees: Fees,
        noop: bool,
    ) -> Result<(), Died> {
        let signed = self.sign(IntentId(0), nonce, number, fees, noop);
        self.survive()?;
        match self.journal.open(job, lane, nonce, signed.clone(), self.now) {
            Some(intent) => self.broadcast(chain, &Signed { intent, ..signed }, nonce, true),
            None => Ok(()),
        }
    }

    fn broadcast(&mut self, chain: &mut Chain, signed: &Signed, nonce: u64, is_new: bool) -> Result<(), Died> {
        self.survive()?;
        let transaction = Transaction::decode(&signed.raw).expect("signed here");
        let fails = self.journal.purpose(signed.hash).is_some_and(|(job, _)| self.journal.fails(job));
        let said = chain.submit(signed.hash, &transaction, fails);
        if is_new && said == Submission::Taken {
            self.survive()?;
            self.journal.sent(nonce, signed.intent);
        }
        self.memory.sent(signed.hash, said, self.now);
        Ok(())
    }

    fn sign(&self, intent: IntentId, nonce: u64, number: u32, fees: Fees, noop: bool) -> Signed {
        // What it calls does not matter, but two transactions must differ.
        let data = Bytes::from(self.now.elapsed().as_nanos().to_be_bytes().to_vec());
        let (to, value, gas) = (Some(self.key.address()), U256::from(number), 21_000);
        let signed = sign_transaction(&self.key, &Transaction { chain_id: 1, nonce, to, data, value, gas, fees });
        Signed { hash: signed.hash, intent, number, noop, raw: signed.raw, age: Duration::ZERO }
    }
}
