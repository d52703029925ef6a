//! A batch is its entries, one after the other: whatever is asked at once gets the answers that the pure rules give.

mod common;

use std::collections::HashMap;

use alloy_primitives::B128;
use channel::{
    Capture, Channel, CloseRefusal, Epoch, Hold, HoldId, HoldState, Refusal, Sale, Sold, Step, VerifiedVoucher,
    agree_close, capture, charge, hold, release,
};
use common::*;
use futures::future::join_all;
use ledger::{Ledger, LedgerError, Order, Receipt, Refused, Settings, Settlement, When};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const CHANNELS: u64 = 3;

#[derive(Clone, Debug)]
enum Op {
    Sell { channel: u64, units: u128, price: u128, content: u64, name: Option<u8>, settle: When, step: Step },
    Settle { hold: usize, capture: Option<u128> },
    Agree { channel: u64, units: u128 },
    Publish { channel: u64, units: u128 },
}

/// What an operation led to, without the names of holds: ledger and model name them differently.
#[derive(Debug, PartialEq)]
enum Outcome {
    New { amount: u128, state: HoldState, retries: Option<usize> },
    Again(usize),
    Refused(Refusal),
    Settled(Capture),
    Agreed(Result<(), CloseRefusal>),
    Published,
}

fn op() -> impl Strategy<Value = Op> {
    let settle = prop_oneof![1 => Just(When::Now), 3 => Just(When::Later)];
    let step = prop_oneof![1 => Just(Step::Any), 4 => Just(Step::FromAuthorised), 1 => Just(Step::FromSpent)];
    let sell = (0..CHANNELS, 1..9_u128, 0..4_u128, 0..2_u64, prop::option::weighted(0.3, 0..2_u8), settle, step);
    prop_oneof![
        10 => sell.prop_map(|(channel, units, price, content, name, settle, step)| Op::Sell {
            channel, units, price, content, name, settle, step
        }),
        6 => (0..64_usize, prop::option::of(0..4_u128)).prop_map(|(hold, capture)| Op::Settle { hold, capture }),
        1 => (0..CHANNELS, 0..9_u128).prop_map(|(channel, units)| Op::Agree { channel, units }),
        1 => (0..CHANNELS, 0..4_u128).prop_map(|(channel, units)| Op::Publish { channel, units }),
    ]
}

/// The rules on plain values, and every hold that was ever stored, oldest first.
struct Model {
    accounts: Vec<(Channel, Epoch)>,
    holds: Vec<Hold>,
}

impl Model {
    fn sell(&mut self, order: &Order) -> Outcome {
        let request = &order.request;
        let index = |id: HoldId| usize::try_from(u128::from(id.0)).expect("a small number");
        let channel = order.voucher.channel;
        let (_, epoch) = self.accounts.iter().find(|(c, _)| c.id == channel).expect("it is open");
        let mut alike = self.holds.iter().rev().filter(|hold| hold.channel == channel);
        let prior = match &request.id {
            Some(_) => alike.find(|hold| hold.request.id == request.id),
            None if order.terms.step == Step::Any || order.voucher.amount > epoch.authorised => None,
            None => alike.find(|hold| hold.request.hash == request.hash && hold.state == HoldState::Released),
        }
        .cloned();
        let id = HoldId(B128::from(self.holds.len() as u128));
        let sale = Sale {
            id,
            voucher: &order.voucher,
            price: order.price,
            request,
            prior: prior.as_ref(),
            elsewhere: amount(0),
            in_all: amount(0),
        };
        let (channel, epoch) = self.accounts.iter_mut().find(|(c, _)| c.id == channel).expect("it is open");
        let sold = match order.settle {
            When::Now => charge(channel, epoch, &sale, &order.terms),
            When::Later => hold(channel, epoch, &sale, &order.terms),
        };
        match sold {
            Ok(Sold::New { hold, retries }) => {
                let retries = retries.map(index);
                if let Some(before) = retries {
                    self.holds[before].state = HoldState::Retried;
                }
                let outcome = Outcome::New { amount: hold.amount.units(), state: hold.state, retries };
                if hold.state == HoldState::Held || hold.request.id.is_some() {
                    self.holds.push(hold);
                }
                outcome
            }
            Ok(Sold::Again(hold)) => Outcome::Again(index(hold.id)),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn settle(&mut self, index: usize, captured: Option<u128>) -> Outcome {
        let hold = &mut self.holds[index];
        let (channel, epoch) = self.accounts.iter_mut().find(|(c, _)| c.id == hold.channel).expect("it is open");
        Outcome::Settled(match captured {
            Some(units) => capture(channel, epoch, hold, amount(units)),
            None => {
                release(epoch, hold);
                Capture { taken: amount(0), lost: amount(0) }
            }
        })
    }

    fn agree(&mut self, id: channel::ChannelId, units: u128) -> Outcome {
        let (channel, epoch) = self.accounts.iter_mut().find(|(c, _)| c.id == id).expect("it is open");
        Outcome::Agreed(agree_close(channel, epoch, amount(units)))
    }

    fn publish(&mut self, id: channel::ChannelId, units: u128) -> Outcome {
        let (_, epoch) = self.accounts.iter_mut().find(|(c, _)| c.id == id).expect("it is open");
        epoch.published = epoch.published.max(amount(units));
        Outcome::Published
    }
}

/// One case: a ledger and a model that are asked the same.
struct Case<'a> {
    ledger: &'a Ledger,
    first: u64,
    model: Model,
    /// The ledger's holds, in the order of the model's.
    holds: Vec<Hold>,
    vouchers: &'a mut HashMap<(u64, u128), VerifiedVoucher>,
}

/// An operation as it is put to the ledger.
enum Asked {
    Sale(Box<Order>),
    Settle(usize, Option<u128>),
    Agree(channel::ChannelId, u128),
    Publish(channel::ChannelId, u128),
}

enum Answer {
    Sale(Box<Result<Receipt, Refused>>),
    Other(Outcome),
}

impl Case<'_> {
    /// Puts operations to the ledger all at once, and to the model one after the other.
    async fn round(&mut self, ops: &[Op]) -> Result<(), TestCaseError> {
        let asked: Vec<Asked> = ops.iter().filter_map(|op| self.ask(op)).collect();
        let answers = join_all(asked.iter().map(|asked| answer(self.ledger, &self.holds, asked))).await;
        for (asked, answer) in asked.iter().zip(answers) {
            let answer = answer.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            let expected = match asked {
                Asked::Sale(order) => self.model.sell(order),
                Asked::Settle(hold, captured) => self.model.settle(*hold, *captured),
                Asked::Agree(id, units) => self.model.agree(*id, *units),
                Asked::Publish(id, units) => self.model.publish(*id, *units),
            };
            let got = match answer {
                Answer::Other(outcome) => outcome,
                Answer::Sale(sale) => self.seen(*sale),
            };
            prop_assert_eq!(got, expected);
        }
        Ok(())
    }

    fn ask(&mut self, op: &Op) -> Option<Asked> {
        Some(match *op {
            Op::Sell { channel, units, price, content, name, settle, step } => {
                let channel = self.first + channel;
                let voucher = *self.vouchers.entry((channel, units)).or_insert_with(|| voucher(channel, units));
                let request = match name {
                    Some(name) => named_request(&name.to_string(), content),
                    None => request(content),
                };
                let order = order(voucher);
                Asked::Sale(Box::new(Order { price: amount(price), terms: terms(step), request, settle, ..order }))
            }
            Op::Settle { .. } if self.holds.is_empty() => return None,
            Op::Settle { hold, capture } => Asked::Settle(hold % self.holds.len(), capture),
            Op::Agree { channel, units } => Asked::Agree(channel_id(self.first + channel), units),
            Op::Publish { channel, units } => Asked::Publish(channel_id(self.first + channel), units),
        })
    }

    fn seen(&mut self, sale: Result<Receipt, Refused>) -> Outcome {
        let index = |holds: &[Hold], id| holds.iter().position(|hold| hold.id == id).expect("a hold of this case");
        match sale.map(|receipt| receipt.sold) {
            Ok(Sold::New { hold, retries }) => {
                let retries = retries.map(|id| index(&self.holds, id));
                let outcome = Outcome::New { amount: hold.amount.units(), state: hold.state, retries };
                if hold.state == HoldState::Held || hold.request.id.is_some() {
                    self.holds.push(hold);
                }
                outcome
            }
            Ok(Sold::Again(hold)) => Outcome::Again(index(&self.holds, hold.id)),
            Err(refused) => Outcome::Refused(refused.refusal),
        }
    }
}

async fn answer(ledger: &Ledger, holds: &[Hold], asked: &Asked) -> Result<Answer, LedgerError> {
    Ok(Answer::Other(match asked {
        Asked::Sale(order) => return ledger.sell((**order).clone()).await.map(|sale| Answer::Sale(Box::new(sale))),
        Asked::Settle(hold, captured) => {
            let settlement = captured.map_or(Settlement::Release, |units| Settlement::Capture(amount(units)));
            Outcome::Settled(ledger.settle(&holds[*hold], settlement).await?)
        }
        Asked::Agree(id, units) => Outcome::Agreed(ledger.agree_close(*id, amount(*units)).await?.map(drop)),
        Asked::Publish(id, units) => {
            ledger.publish(*id, amount(*units)).await?;
            Outcome::Published
        }
    }))
}

#[test]
fn a_batch_gives_the_answers_of_its_entries_one_by_one() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (ledgers, url) = runtime.block_on(async {
        let (large, url) = ledger_with(0, 0).await;
        let small = Ledger::connect(&Settings { batch_max: 2, ..settings(&url) }).await.expect("it connects");
        ([large, small], url)
    });
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let case = std::cell::RefCell::new((0, HashMap::new()));
    let rounds = vec(vec(op(), 1..24), 1..4);
    let outcome = runner.run(&(rounds, 0..2_usize), |(rounds, which)| {
        let (count, vouchers) = &mut *case.borrow_mut();
        *count += 1;
        runtime.block_on(run(&ledgers[which], *count, vouchers, &rounds))
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(runtime.block_on(async { violations(&sql(&url).await).await }), 0);
}

async fn run(
    ledger: &Ledger,
    count: u64,
    vouchers: &mut HashMap<(u64, u128), VerifiedVoucher>,
    rounds: &[Vec<Op>],
) -> Result<(), TestCaseError> {
    let first = count * CHANNELS;
    let at = ledger.cursor(DEPLOYMENT).await.expect("it answers").expect("it was advanced").block;
    let here = block(at.number + 1, 0);
    let opened = channel::EventKind::Opened { deposit: amount(7) };
    let events = (first..first + CHANNELS).map(|n| event(n, here, n, opened)).collect();
    ledger.advance(&advance(Some(at), here, here.number, events)).await.expect("it is the only watcher");

    let mut accounts = Vec::new();
    for n in first..first + CHANNELS {
        accounts.push(ledger.view(channel_id(n)).await.expect("it answers").expect("it is open"));
    }
    let model = Model { accounts, holds: Vec::new() };
    let mut case = Case { ledger, first, model, holds: Vec::new(), vouchers };
    for ops in rounds {
        case.round(ops).await?;
    }
    for (channel, epoch) in &case.model.accounts {
        let (stored, counters) = ledger.view(channel.id).await.expect("it answers").expect("it is open");
        prop_assert_eq!(&stored, channel);
        prop_assert_eq!(&counters, epoch);
    }
    Ok(())
}
