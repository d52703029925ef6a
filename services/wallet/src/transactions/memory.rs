//! What this process remembers about its transactions. All of it may be lost: a new process sends at once, waits a little
//! longer before it offers more, and doubts a little longer. Time is an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};
use evm::{Block, Submission};
use ledger::Lane;

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    accounts: HashMap<Address, Account>,
    sent: HashMap<B256, (Instant, Submission)>,
    /// The newest block at the last look at any account, and when that was.
    newest: Option<(Block, Instant)>,
}

/// About one account.
#[derive(Debug, Default)]
struct Account {
    /// The head at the last look, and how many nonces were used up and settled there.
    head: Option<(B256, u64, u64)>,
    /// Whether something was left undecided then.
    again: bool,
    /// How many nonces were used up at the last look, and since when.
    mined: Option<(u64, Instant)>,
    /// A nonce that nobody seems to use, and since when.
    gap: Option<(u64, Instant)>,
    /// What found no place in the line at this head. For what is urgent there is one whenever there is one for what is not.
    full: Option<Lane>,
    /// What it had to have to send something, and had not.
    needs: Option<U256>,
    /// The last look to its end: when, and what would keep an answer to a close from being mined in good time.
    looked: Option<(Instant, Option<&'static str>)>,
    missed: HashMap<u64, u32>,
    failing: HashMap<u64, u32>,
}

impl Memory {
    /// How many nonces were used up and settled at this head, if the last look was at it and left nothing undecided.
    pub(crate) fn at(&self, account: Address, head: B256) -> Option<(u64, u64)> {
        let memory = self.accounts.get(&account).filter(|memory| !memory.again)?;
        memory.head.filter(|(before, ..)| *before == head).map(|(_, mined, settled)| (mined, settled))
    }

    /// Notes a look at an account, and says whether the head is a new one.
    pub(crate) fn look(&mut self, account: Address, head: B256, (mined, settled): (u64, u64), now: Instant) -> bool {
        let memory = self.accounts.entry(account).or_default();
        if memory.mined.is_none_or(|(before, _)| before != mined) {
            memory.mined = Some((mined, now));
        }
        memory.again = false;
        let is_new = memory.head.replace((head, mined, settled)).is_none_or(|(before, ..)| before != head);
        memory.full = memory.full.filter(|_| !is_new);
        is_new
    }

    /// Notes the newest block.
    pub(crate) fn head(&mut self, head: Block, now: Instant) {
        self.newest = Some((head, now));
    }

    /// The newest block, if it was asked for within this time.
    pub(crate) fn head_within(&self, age: Duration, now: Instant) -> Option<Block> {
        self.newest.filter(|(_, at)| now.duration_since(*at) <= age).map(|(head, _)| head)
    }

    /// Notes that there is no place in the line for more of these, until the next head; unless more nonces are used up
    /// by now than when that was found.
    pub(crate) fn full(&mut self, account: Address, lane: Lane, mined: u64) {
        let memory = self.accounts.entry(account).or_default();
        if memory.full != Some(Lane::Urgent) && memory.head.is_some_and(|(_, counted, _)| counted == mined) {
            memory.full = Some(lane);
        }
    }

    /// Whether there is no place in the line for more of these, as far as is known.
    pub(crate) fn is_full(&self, account: Address, lane: Lane) -> bool {
        let full = self.accounts.get(&account).and_then(|memory| memory.full);
        full.is_some_and(|full| full == Lane::Urgent || full == lane)
    }

    /// Notes what an account would have to have to send something; `None` once it had it.
    pub(crate) fn needs(&mut self, account: Address, needs: Option<U256>) {
        self.accounts.entry(account).or_default().needs = needs;
    }

    /// What an account would have to have to send what it could not send.
    pub(crate) fn what_it_needs(&self, account: Address) -> Option<U256> {
        self.accounts.get(&account).and_then(|memory| memory.needs)
    }

    /// Notes the end of a look at an account, and says what it was hindered by before.
    pub(crate) fn looked(
        &mut self,
        account: Address,
        hindrance: Option<&'static str>,
        now: Instant,
    ) -> Option<&'static str> {
        let before = self.accounts.entry(account).or_default().looked.replace((now, hindrance));
        before.and_then(|(_, hindrance)| hindrance)
    }

    /// What the last look at an account found, and when that was.
    pub(crate) fn last_look(&self, account: Address) -> Option<(Instant, Option<&'static str>)> {
        self.accounts.get(&account).and_then(|memory| memory.looked)
    }

    /// Asks the chain anew next time, whether or not there is a new head.
    pub(crate) fn look_again(&mut self, account: Address) {
        self.accounts.entry(account).or_default().again = true;
    }

    /// How long this nonce has been the next to be mined.
    pub(crate) fn next_for(&self, account: Address, nonce: u64, now: Instant) -> Duration {
        let mined = self.accounts.get(&account).and_then(|memory| memory.mined);
        mined.filter(|(mined, _)| *mined == nonce).map_or(Duration::ZERO, |(_, since)| now.duration_since(since))
    }

    /// How long this nonce has seemed to be a gap.
    pub(crate) fn gap_for(&mut self, account: Address, gap: Option<u64>, now: Instant) -> Duration {
        let memory = self.accounts.entry(account).or_default();
        memory.gap = gap.map(|nonce| match memory.gap {
            Some((before, since)) if before == nonce => (nonce, since),
            _ => (nonce, now),
        });
        memory.gap.map_or(Duration::ZERO, |(_, since)| now.duration_since(since))
    }

    /// Counts looks that found the nonce used up and no receipt; says how many there were in a row.
    pub(crate) fn missed(&mut self, account: Address, nonce: u64, missed: bool) -> u32 {
        count(&mut self.accounts.entry(account).or_default().missed, nonce, missed)
    }

    /// Counts heads at which the intent would fail; says how many there were in a row.
    pub(crate) fn failing(&mut self, account: Address, nonce: u64, failing: bool) -> u32 {
        count(&mut self.accounts.entry(account).or_default().failing, nonce, failing)
    }

    /// Likewise, without having looked.
    pub(crate) fn failing_so_far(&self, account: Address, nonce: u64) -> u32 {
        self.accounts.get(&account).and_then(|memory| memory.failing.get(&nonce)).copied().unwrap_or(0)
    }

    /// Notes that a transaction was handed in, and what the nodes said.
    pub(crate) fn sent(&mut self, hash: B256, said: Submission, now: Instant) {
        self.sent.insert(hash, (now, said));
    }

    /// How long ago a transaction was handed in, and what the nodes said.
    pub(crate) fn when_sent(&self, hash: B256, now: Instant) -> Option<(Duration, Submission)> {
        self.sent.get(&hash).map(|(at, said)| (now.duration_since(*at), said.clone()))
    }

    /// Forgets about transactions whose nonce is used up.
    pub(crate) fn settle(&mut self, account: Address, nonce: u64, hashes: impl Iterator<Item = B256>) {
        for hash in hashes {
            self.sent.remove(&hash);
        }
        if let Some(memory) = self.accounts.get_mut(&account) {
            memory.failing.remove(&nonce);
        }
    }
}

fn count(counts: &mut HashMap<u64, u32>, nonce: u64, once_more: bool) -> u32 {
    if !once_more {
        counts.remove(&nonce);
        return 0;
    }
    let times = counts.entry(nonce).or_default();
    *times = times.saturating_add(1);
    *times
}
