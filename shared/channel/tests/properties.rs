//! Any interleaving of vouchers, holds, captures (late, repeated, after release), chain events, reorgs and closes.
//!
//! 5 000 runs of 200 steps: a million operations, each followed by every check. A failure prints the steps that led to it.

mod common;

use std::collections::HashSet;

use alloy_primitives::B256;
use channel::{
    Amount, BlockRef, Channel, Deadline, Epoch, Event, EventKind, Hold, HoldState, Refusal, Sale, Sold, Step, Terms,
    absorb_claims, agree_close, capture, facts, hold, release,
};
use common::*;
use proptest::prelude::*;

const CONFIRMATIONS: u64 = 2;

#[derive(Clone, Debug)]
enum Op {
    /// A voucher asks for one of a few requests: the price above what is authorised, or off by this much.
    Sell { off: i8, price: u8, content: u8, named: bool },
    /// The nth hold is captured with at most this much, whatever state it is in.
    Capture { nth: usize, actual: u8 },
    /// The nth hold is released, whatever state it is in.
    Release { nth: usize },
    /// A block with one of our events.
    Block(EventKind),
    /// The newest blocks vanish.
    Reorg { depth: usize },
    /// The payer asks for a cooperative close.
    Close { amount: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    let small = || (0u8..60).prop_map(|n| amount(n.into()));
    prop_oneof![
        60 => (prop_oneof![4 => Just(0), 1 => -6i8..7], 0u8..6, 0u8..3, prop::bool::weighted(0.3))
            .prop_map(|(off, price, content, named)| Op::Sell { off, price, content, named }),
        40 => (any::<usize>(), 0u8..8).prop_map(|(nth, actual)| Op::Capture { nth, actual }),
        20 => any::<usize>().prop_map(|nth| Op::Release { nth }),
        20 => small().prop_map(|added| Op::Block(EventKind::ToppedUp { added })),
        3 => small().prop_map(|taken| Op::Block(EventKind::Claimed { taken })),
        1 => small().prop_map(|requested| {
            Op::Block(EventKind::CloseRequested { requested, deadline: Deadline::Block(1_000) })
        }),
        10 => (1usize..5).prop_map(|depth| Op::Reorg { depth }),
        1 => (0u8..120).prop_map(|amount| Op::Close { amount }),
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    let step = prop_oneof![Just(Step::Any), Just(Step::FromAuthorised), Just(Step::FromSpent)];
    (step, 0u8..3, 20u16..2_000, 5u8..60).prop_map(|(step, min_delta, max_exposure, max_held)| Terms {
        step,
        min_delta: amount(min_delta.into()),
        max_exposure: amount(max_exposure.into()),
        max_held: amount(max_held.into()),
        ..Terms::default()
    })
}

/// The ledger's bookkeeping in memory, with a second account of everything to hold the rules to.
struct World {
    channel: Channel,
    epoch: Epoch,
    terms: Terms,
    holds: Vec<Hold>,
    chain: Vec<Event>,
    forks: u64,
    absorbed: Amount,
    sold_vouchers: HashSet<Amount>,
}

impl World {
    fn new(terms: Terms) -> World {
        let mut world = World {
            channel: open_channel(0),
            epoch: Epoch::default(),
            terms,
            holds: Vec::new(),
            chain: Vec::new(),
            forks: 0,
            absorbed: Amount::ZERO,
            sold_vouchers: HashSet::new(),
        };
        world.mine(EventKind::Opened { deposit: amount(100) });
        world
    }

    fn mine(&mut self, kind: EventKind) {
        let number = u64::try_from(self.chain.len()).expect("a short chain");
        let hash = B256::left_padding_from(&[number.to_be_bytes(), self.forks.to_be_bytes()].concat());
        let block = BlockRef { number, hash };
        self.chain.push(Event { channel: channel_id(), block, tx_hash: hash, log_index: 0, kind });
        self.refold();
    }

    fn reorg(&mut self, depth: usize) {
        self.forks += 1;
        self.chain.truncate(self.chain.len().saturating_sub(depth).max(1));
        self.refold();
    }

    fn refold(&mut self) {
        let head = self.chain.last().expect("never empty").block.number;
        self.channel.facts = facts(&self.chain, head.saturating_sub(CONFIRMATIONS));
        let missed = absorb_claims(&self.channel.facts, &mut self.epoch);
        self.absorbed = self.absorbed.saturating_add(missed);
    }

    fn sell(&mut self, off: i8, price: u8, content: u8, named: bool) -> Result<(), TestCaseError> {
        let units = i128::try_from(self.epoch.authorised.units()).expect("small") + i128::from(price) + i128::from(off);
        let voucher = voucher(u128::try_from(units.max(0)).expect("not negative"));
        let request = if named { named_request("id", content) } else { request(content) };
        let prior = self.holds.iter().rev().find(|hold| match named {
            true => hold.request.id == request.id,
            false => hold.request == request && hold.state == HoldState::Released,
        });
        let id = hold_id(u128::try_from(self.holds.len()).expect("few"));
        let price = amount(price.into());
        let sale = Sale {
            id,
            voucher: &voucher,
            price,
            request: &request,
            prior,
            elsewhere: Amount::ZERO,
            in_all: Amount::ZERO,
        };
        let before = self.epoch.clone();
        match hold(&self.channel, &mut self.epoch, &sale, &self.terms) {
            Err(refusal) => {
                prop_assert_eq!(&self.epoch, &before, "a refusal changed something");
                prop_assert!(!matches!(refusal, Refusal::Stale));
            }
            Ok(Sold::Again(hold)) => {
                prop_assert_eq!(&self.epoch, &before, "a repetition was charged");
                prop_assert_eq!(hold.state, HoldState::Captured);
            }
            Ok(Sold::New { hold, retries }) => {
                prop_assert!(self.epoch.authorised <= self.channel.facts.deposit, "sold above the deposit");
                prop_assert!(self.epoch.held <= self.terms.max_held);
                if self.terms.step == Step::FromAuthorised && retries.is_none() && !price.is_zero() {
                    prop_assert!(self.sold_vouchers.insert(voucher.amount), "the same voucher was sold twice");
                }
                if let Some(retried) = self.holds.iter_mut().find(|h| Some(h.id) == retries) {
                    prop_assert_eq!(retried.state, HoldState::Released);
                    retried.state = HoldState::Retried;
                }
                self.holds.push(hold);
            }
        }
        Ok(())
    }

    fn run(&mut self, op: Op) -> Result<(), TestCaseError> {
        let count = self.holds.len();
        match op {
            Op::Sell { off, price, content, named } => self.sell(off, price, content, named)?,
            Op::Capture { nth, actual } if count > 0 => {
                capture(&self.channel, &mut self.epoch, &mut self.holds[nth % count], amount(actual.into()));
            }
            Op::Release { nth } if count > 0 => release(&mut self.epoch, &mut self.holds[nth % count]),
            Op::Capture { .. } | Op::Release { .. } => {}
            Op::Block(kind) => self.mine(kind),
            Op::Reorg { depth } => self.reorg(depth),
            Op::Close { amount: units } => {
                if agree_close(&mut self.channel, &self.epoch, amount(units.into())).is_ok() {
                    let agreed = self.channel.agreed_close.expect("just agreed");
                    prop_assert!(agreed == amount(units.into()));
                }
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let sum = |state: HoldState, of: fn(&Hold) -> Amount| {
            let matching = self.holds.iter().filter(|hold| hold.state == state);
            matching.map(of).fold(Amount::ZERO, |sum, amount| sum.checked_add(amount).expect("small"))
        };
        prop_assert!(self.epoch.is_sound(), "spent + held > authorised: {:?}", self.epoch);
        let captured = sum(HoldState::Captured, |hold| hold.captured);
        prop_assert_eq!(Some(self.epoch.spent), captured.checked_add(self.absorbed), "spent is what was captured");
        prop_assert_eq!(self.epoch.held, sum(HoldState::Held, |hold| hold.amount), "held is what is in flight");
        if let Some(agreed) = self.channel.agreed_close {
            let owed = captured.checked_add(self.epoch.held).expect("small");
            prop_assert!(agreed >= owed, "sold beyond an agreed close");
        }
        let head = self.chain.last().expect("never empty").block.number;
        let fresh = facts(&self.chain, head.saturating_sub(CONFIRMATIONS));
        prop_assert_eq!(self.channel.facts, fresh, "facts differ from a fresh sync");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_sells_twice_or_above_the_deposit_or_loses_credit(
        terms in terms(),
        ops in proptest::collection::vec(op(), 200),
    ) {
        let mut world = World::new(terms);
        for op in ops {
            world.run(op)?;
            world.check()?;
        }
    }
}
