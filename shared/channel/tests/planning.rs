//! When money is taken on chain, and when it is left there.

mod common;

use std::time::Duration;

use alloy_primitives::U256;
use channel::{
    Action, Amount, Channel, Closure, Coin, Deadline, Epoch, Moment, Policy, Reason, Status, challenge, closure, plan,
};
use common::*;
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// What 100 000 gas at a gwei costs, in wei.
const CLAIM: u128 = 100_000_000_000_000;

fn policy() -> Policy {
    Policy {
        min_amount: amount(50),
        max_age: DAY,
        // A claim costs one unit.
        coin: Some(Coin { wei: CLAIM, units: amount(1) }),
        gas: 100_000,
        max_gas_percent: 10,
        unused_after: HOUR,
        unsettled_after: HOUR,
        before_deadline: Duration::ZERO,
        block: Duration::from_secs(5),
    }
}

fn moment(unclaimed_for: Duration) -> Moment {
    Moment { head: 1_000, time: 9_000, gas_price: 1_000_000_000, unclaimed_for, agreed_for: Duration::ZERO }
}

/// A channel over 1 000 with a voucher for this much, all of it spent.
fn sold(units: u128) -> (Channel, Epoch) {
    let mut epoch = epoch(units, units, 0);
    epoch.voucher = Some((amount(units), voucher(units).signature));
    (open_channel(1_000), epoch)
}

fn claims(channel: &Channel, epoch: &Epoch, policy: &Policy, moment: &Moment) -> Option<(Reason, bool)> {
    match plan(channel, epoch, policy, moment)? {
        Action::Claim { amount, signature, reason, if_quiet } => {
            assert_eq!(Some((amount, signature)), epoch.voucher, "always the best voucher");
            Some((reason, if_quiet))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_claims_what_is_worth_it_and_what_has_been_owed_for_long() {
    let (channel, epoch) = sold(50);
    assert_eq!(claims(&channel, &epoch, &policy(), &moment(Duration::ZERO)), Some((Reason::Amount, true)));
    let (channel, epoch) = sold(49);
    assert_eq!(claims(&channel, &epoch, &policy(), &moment(Duration::ZERO)), None);
    assert_eq!(claims(&channel, &epoch, &policy(), &moment(DAY - HOUR)), None);
    assert_eq!(claims(&channel, &epoch, &policy(), &moment(DAY)), Some((Reason::Age, false)));
}

#[test]
fn what_was_claimed_counts_no_more() {
    let (mut channel, epoch) = sold(200);
    channel.facts.claimed = amount(151);
    assert_eq!(claims(&channel, &epoch, &policy(), &moment(Duration::ZERO)), None);
    channel.facts.claimed = amount(150);
    assert_eq!(claims(&channel, &epoch, &policy(), &moment(Duration::ZERO)), Some((Reason::Amount, true)));
    channel.facts.claimed = amount(200);
    assert_eq!(plan(&channel, &epoch, &policy().on_request(), &moment(DAY)), None, "there is nothing");
}

#[test]
fn a_claim_never_costs_more_than_its_share() {
    let (channel, epoch) = sold(100);
    let at = |gas_price| plan(&channel, &epoch, &policy(), &Moment { gas_price, ..moment(DAY) }).is_some();
    assert!(at(10_000_000_000), "ten units of a hundred");
    assert!(!at(10_000_000_001), "and a bit");
    let policy = Policy { coin: None, ..policy() };
    assert_eq!(plan(&channel, &epoch, &policy, &moment(DAY)), None, "nobody said what gas is worth");
    let dearest = Coin { wei: 1, units: Amount::MAX };
    let policy = Policy { coin: Some(dearest), gas: u64::MAX, ..policy };
    assert!(!policy.is_worth_its_gas(Amount::MAX, u128::MAX), "nothing overflows");
}

#[test]
fn an_operator_gets_whatever_there_is_and_whatever_it_costs_only_when_told_so() {
    let (channel, mut epoch) = sold(5);
    (epoch.spent, epoch.held) = (amount(3), amount(1));
    let dear = Moment { gas_price: 10_000_000_000, ..moment(Duration::ZERO) };
    assert_eq!(claims(&channel, &epoch, &policy(), &moment(Duration::ZERO)), None);
    let cheap = Moment { gas_price: 500_000_000, ..moment(Duration::ZERO) };
    assert_eq!(claims(&channel, &epoch, &policy().on_request(), &cheap), Some((Reason::Amount, false)));
    assert_eq!(claims(&channel, &epoch, &policy().on_request(), &dear), None);
    assert_eq!(claims(&channel, &epoch, &policy().at_any_cost(), &dear), Some((Reason::Amount, false)));
    let silent = Policy { coin: None, ..policy() };
    assert_eq!(claims(&channel, &epoch, &silent.on_request(), &dear), Some((Reason::Amount, false)));
}

#[test]
fn a_call_in_flight_and_a_failed_one_are_waited_for_in_the_first_half_of_the_time() {
    for (spent, held) in [(60, 40), (60, 0)] {
        let (channel, mut epoch) = sold(100);
        (epoch.spent, epoch.held) = (amount(spent), amount(held));
        assert_eq!(claims(&channel, &epoch, &policy(), &moment(DAY / 2 - HOUR)), None);
        assert_eq!(claims(&channel, &epoch, &policy(), &moment(DAY / 2)), Some((Reason::Amount, false)));
    }
}

#[test]
fn nothing_is_claimed_that_the_contract_would_refuse() {
    let (mut channel, epoch) = sold(100);
    (channel.facts.deposit, channel.facts.pending) = (amount(99), amount(1));
    assert_eq!(claims(&channel, &epoch, &policy(), &moment(DAY)), None, "the deposit is not deep enough");
    let (mut channel, epoch) = sold(100);
    channel.facts.status = Status::Closing { requested: amount(100), deadline: Deadline::Block(1_001) };
    assert_eq!(plan(&channel, &epoch, &policy(), &moment(DAY)), None, "a close was asked for");
    for status in [Status::Absent, Status::Closed] {
        channel.facts.status = status;
        assert_eq!(plan(&channel, &epoch, &policy().at_any_cost(), &moment(DAY)), None);
    }
}

#[test]
fn a_closing_signature_that_is_not_used_is_used_by_us_after_a_while() {
    let (mut channel, epoch) = sold(30);
    channel.agreed_close = Some(amount(30));
    let after = |agreed_for| Moment { agreed_for, ..moment(DAY) };
    assert_eq!(plan(&channel, &epoch, &policy(), &after(HOUR / 2)), None, "not even claimed");
    let signature = voucher(30).signature;
    let expected = Some(Action::Close { amount: amount(30), signature });
    assert_eq!(plan(&channel, &epoch, &policy(), &after(HOUR)), expected);
    channel.agreed_close = Some(amount(20));
    assert_eq!(plan(&channel, &epoch, &policy(), &after(HOUR)), None, "for that we have no voucher");
    (channel.agreed_close, channel.facts.claimed) = (Some(amount(30)), amount(30));
    assert_eq!(plan(&channel, &epoch, &policy(), &after(HOUR)), None, "only the payer has something to gain");
}

#[test]
fn an_accepted_close_that_nobody_settles_is_ended_by_us_after_a_while() {
    let (mut channel, epoch) = sold(30);
    let mut at = |deadline, requested, policy: Policy| {
        channel.facts.status = Status::Closing { requested: amount(requested), deadline };
        match plan(&channel, &epoch, &policy, &moment(Duration::ZERO)) {
            Some(Action::Settle { amount, reason, .. }) => {
                assert_eq!(amount.units(), 30);
                Some(reason)
            }
            other => {
                assert_eq!(other, None);
                None
            }
        }
    };
    // 720 blocks of 5 seconds are an hour; the head is 1 000.
    assert_eq!(at(Deadline::Block(281), 30, policy()), None);
    assert_eq!(at(Deadline::Block(280), 30, policy()), Some(Reason::Unsettled));
    assert_eq!(at(Deadline::Block(280), 40, policy()), Some(Reason::Unsettled));
    assert_eq!(at(Deadline::Time(5_401), 30, policy()), None);
    assert_eq!(at(Deadline::Time(5_400), 30, policy()), Some(Reason::Unsettled));
    let early = Policy { before_deadline: HOUR, ..policy() };
    assert_eq!(at(Deadline::Block(1_720), 30, early), None);
    assert_eq!(at(Deadline::Block(1_719), 30, early), Some(Reason::Deadline));
    assert_eq!(at(Deadline::Block(1_719), 31, early), None, "it would pay more than we can ask for");
    assert_eq!(at(Deadline::Block(1_000), 30, policy()), None, "the payer has all of its time");
}

/// Small numbers, so that all borders are met.
fn small() -> impl Strategy<Value = Amount> {
    (0u128..12).prop_map(amount)
}

fn ages() -> impl Strategy<Value = Duration> {
    (0u64..12).prop_map(Duration::from_secs)
}

prop_compose! {
    fn policies()(min_amount in small(), max_age in ages(), price in prop::option::of((1u128..5, small())),
                  gas in 1u64..4, max_gas_percent in 1u8..=100, unused_after in ages(), unsettled_after in ages(),
                  before_deadline in ages()) -> Policy {
        let coin = price.map(|(wei, units)| Coin { wei, units });
        let block = Duration::from_secs(1);
        Policy { min_amount, max_age, coin, gas, max_gas_percent, unused_after, unsettled_after, before_deadline, block }
    }
}

prop_compose! {
    fn moments()(head in 0u64..20, time in 0u64..20, gas_price in 0u128..4, unclaimed_for in ages(), agreed_for in ages())
        -> Moment {
        Moment { head, time, gas_price, unclaimed_for, agreed_for }
    }
}

fn statuses() -> impl Strategy<Value = Status> {
    let deadline = prop_oneof![(0u64..20).prop_map(Deadline::Block), (0u64..20).prop_map(Deadline::Time)];
    prop_oneof![
        1 => Just(Status::Absent),
        1 => Just(Status::Closed),
        6 => Just(Status::Open),
        3 => (small(), deadline).prop_map(|(requested, deadline)| Status::Closing { requested, deadline }),
    ]
}

prop_compose! {
    fn accounts()(status in statuses(), deposit in small(), pending in small(), claimed in small(),
                  agreed_close in prop::option::weighted(0.3, small()), best in prop::option::weighted(0.9, 0u128..12),
                  used in (0u128..12, 0u128..4)) -> (Channel, Epoch) {
        let mut channel = open_channel(0);
        channel.facts.status = status;
        (channel.facts.deposit, channel.facts.pending, channel.facts.claimed) = (deposit, pending, claimed);
        channel.agreed_close = agreed_close;
        let authorised = best.unwrap_or_default();
        let spent = used.0.min(authorised);
        let mut epoch = epoch(authorised, spent, used.1.min(authorised - spent));
        epoch.voucher = best.map(|units| (amount(units), voucher(units).signature));
        (channel, epoch)
    }
}

/// The cost of a claim in hundredths of a unit of the token, and what it brings, both times the wei of the ratio.
fn cost_and_share(policy: &Policy, coin: Coin, owed: Amount, moment: &Moment) -> (U256, U256) {
    let cost = U256::from(moment.gas_price) * U256::from(policy.gas) * U256::from(coin.units.units());
    (cost * U256::from(100), U256::from(owed.units()) * U256::from(coin.wei) * U256::from(policy.max_gas_percent))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn plans_keep_to_the_policy_and_to_what_the_contract_takes(
        (channel, epoch) in accounts(), policy in policies(), moment in moments(),
    ) {
        let planned = plan(&channel, &epoch, &policy, &moment);
        prop_assert_eq!(planned, plan(&channel, &epoch, &policy, &moment), "the same twice");
        let answer = challenge(&channel, &epoch);
        let Some(action) = planned else {
            prop_assert_eq!(answer, None, "an answer never waits");
            return Ok(());
        };
        let facts = &channel.facts;
        prop_assert_eq!(Some(action.amount()), epoch.voucher.map(|(amount, _)| amount), "the best voucher");
        if answer.is_some() {
            prop_assert_eq!(planned, answer, "an answer comes first");
            return Ok(());
        }
        let owed = action.amount().checked_sub(facts.claimed).filter(|owed| !owed.is_zero());
        let owed = owed.expect("nothing is sent for nothing");
        let coin = policy.coin.expect("somebody said what gas is worth");
        let (cost, share) = cost_and_share(&policy, coin, owed, &moment);
        prop_assert!(cost <= share, "{} of {}", cost, share);
        match action {
            Action::Challenge { .. } => prop_assert!(false, "nobody closes too low"),
            Action::Claim { if_quiet, .. } => {
                prop_assert_eq!((facts.status, channel.agreed_close), (Status::Open, None));
                prop_assert!(action.amount() <= facts.deposit);
                prop_assert!(owed >= policy.min_amount || moment.unclaimed_for >= policy.max_age);
                prop_assert!(!if_quiet || (epoch.held.is_zero() && epoch.spent == epoch.authorised));
                prop_assert_eq!(if_quiet, moment.unclaimed_for < policy.max_age / 2);
            }
            Action::Close { .. } => {
                prop_assert_eq!((facts.status, channel.agreed_close), (Status::Open, Some(action.amount())));
                prop_assert!(moment.agreed_for >= policy.unused_after);
            }
            Action::Settle { .. } => {
                let is_best = matches!(closure(&channel, &epoch), Closure::Best { .. });
                let is_asked_for = matches!(facts.status, Status::Closing { .. });
                prop_assert!(is_best && is_asked_for);
            }
        }
    }

    #[test]
    fn what_is_due_stays_due_when_time_goes_by_or_gas_gets_cheaper(
        (channel, epoch) in accounts(), policy in policies(), moment in moments(), later in ages(), cheaper in 0u128..4,
    ) {
        let Some(planned) = plan(&channel, &epoch, &policy, &moment) else { return Ok(()) };
        let (unclaimed_for, agreed_for) = (moment.unclaimed_for + later, moment.agreed_for + later);
        let gas_price = moment.gas_price.saturating_sub(cheaper);
        let again = plan(&channel, &epoch, &policy, &Moment { gas_price, unclaimed_for, agreed_for, ..moment });
        prop_assert_eq!(again.map(|action| action.amount()), Some(planned.amount()));
    }

    #[test]
    fn a_claim_that_is_asked_for_takes_whatever_the_contract_pays(
        (channel, epoch) in accounts(), policy in policies(), moment in moments(),
    ) {
        let best = epoch.voucher.map_or(Amount::ZERO, |(amount, _)| amount);
        let can = channel.facts.status == Status::Open && channel.agreed_close.is_none()
            && best > channel.facts.claimed && best <= channel.facts.deposit;
        let planned = plan(&channel, &epoch, &policy.at_any_cost(), &moment);
        prop_assert_eq!(can, matches!(planned, Some(Action::Claim { .. })));
    }

    /// Sales, claims that are mined late, and reorganisations that take them back.
    #[test]
    fn claims_only_ever_grow_and_end_with_the_newest_voucher(
        steps in proptest::collection::vec((0u8..4, 1u128..9), 1..60), policy in policies(),
    ) {
        let (mut channel, mut epoch) = sold(0);
        let mut sent: Vec<Amount> = Vec::new();
        for (kind, units) in steps {
            let best = epoch.authorised.units();
            match kind {
                0 if best + units <= 1_000 => (_, epoch) = sold(best + units),
                1 => match plan(&channel, &epoch, &policy.at_any_cost(), &moment(DAY)) {
                    Some(Action::Claim { amount, .. }) => {
                        prop_assert_eq!(amount.units(), best, "the newest voucher");
                        prop_assert!(sent.last().is_none_or(|last| amount >= *last), "never an older one");
                        sent.push(amount);
                    }
                    other => prop_assert!(other.is_none() && channel.facts.claimed.units() == best),
                },
                2 => channel.facts.claimed = sent.last().copied().unwrap_or_default(),
                _ => channel.facts.claimed = amount(channel.facts.claimed.units().saturating_sub(units)),
            }
        }
    }
}
