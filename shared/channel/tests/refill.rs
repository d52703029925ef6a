//! Any interleaving of spending, refills that arrive late or never, reports that come late, and new days.

mod common;

use std::time::Duration;

use channel::{Amount, Balance, Portion, Refill, RefillPolicy, Today, refill};
use common::amount;
use proptest::prelude::*;

const POLICY: RefillPolicy =
    RefillPolicy { threshold: amount_of(20), portion: Portion::By(amount_of(50)), cap_per_day: amount_of(120) };

const fn amount_of(units: u128) -> Amount {
    Amount::new(units)
}

fn balance(deposit: u128, pending_deposit: u128, pending_top_ups: u128, spent: u128) -> Balance {
    Balance {
        deposit: amount(deposit),
        pending_deposit: amount(pending_deposit),
        pending_top_ups: amount(pending_top_ups),
        spent: amount(spent),
    }
}

fn of(balance: Balance) -> Refill {
    refill(&balance, &POLICY, &Today::default())
}

#[test]
fn below_the_threshold_it_is_refilled_by_the_portion() {
    assert_eq!(of(balance(100, 0, 0, 80)), Refill::Enough);
    assert_eq!(of(balance(100, 0, 0, 81)), Refill::By(amount(50)));
    assert_eq!(of(balance(0, 0, 0, 0)), Refill::By(amount(50)));
}

#[test]
fn what_is_on_its_way_counts_first() {
    assert_eq!(of(balance(100, 1, 0, 81)), Refill::Enough, "on chain, and not deep enough");
    assert_eq!(of(balance(100, 0, 50, 81)), Refill::Enough, "decided on");
    assert_eq!(of(balance(100, 0, 50, 140)), Refill::UnderWay, "one at a time, even if it will not do");
}

#[test]
fn up_to_a_mark_is_what_is_missing_there() {
    let policy = RefillPolicy { portion: Portion::UpTo(amount(100)), ..POLICY };
    assert_eq!(refill(&balance(19, 0, 0, 0), &policy, &Today::default()), Refill::By(amount(81)));
    assert_eq!(refill(&balance(20, 0, 0, 0), &policy, &Today::default()), Refill::Enough);
    let upside_down = RefillPolicy { portion: Portion::UpTo(amount(10)), ..POLICY };
    assert_eq!(refill(&balance(15, 0, 0, 0), &upside_down, &Today::default()), Refill::Enough);
}

#[test]
fn the_day_has_a_cap_that_takes_less_for_the_last_refill() {
    let after = |refilled| Today { refilled: amount(refilled), ..Today::default() };
    assert_eq!(refill(&Balance::default(), &POLICY, &after(100)), Refill::By(amount(20)));
    assert_eq!(refill(&Balance::default(), &POLICY, &after(120)), Refill::Capped);
    assert_eq!(refill(&Balance::default(), &POLICY, &after(500)), Refill::Capped);
}

#[test]
fn after_failures_it_waits_twice_as_long_each_time_but_no_longer_than_an_hour() {
    let after = |failures, seconds| Today { failures, since_failure: Duration::from_secs(seconds), ..Today::default() };
    for (failures, pause) in [(1, 30), (2, 60), (3, 120), (7, 1_920), (8, 3_600), (40, 3_600), (u32::MAX, 3_600)] {
        let left = refill(&Balance::default(), &POLICY, &after(failures, pause - 1));
        assert_eq!(left, Refill::Pause(Duration::from_secs(1)), "{failures}");
        assert_eq!(refill(&Balance::default(), &POLICY, &after(failures, pause)), Refill::By(amount(50)), "{failures}");
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// The rule is asked, twice in a row, as two processes would.
    Plan,
    /// So much is spent, if it is there.
    Spend(u8),
    /// What was decided on is mined.
    Mine,
    /// What was mined is deep enough.
    Confirm,
    /// What was decided on comes to nothing.
    Fail,
    /// So many seconds pass.
    Pass(u16),
    /// Another day begins.
    NewDay,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Plan),
        6 => (1u8..40).prop_map(Op::Spend),
        3 => Just(Op::Mine),
        3 => Just(Op::Confirm),
        1 => Just(Op::Fail),
        2 => (1u16..2_000).prop_map(Op::Pass),
        1 => Just(Op::NewDay),
    ]
}

fn policy() -> impl Strategy<Value = RefillPolicy> {
    let portion = prop_oneof![
        (1u128..100).prop_map(|n| Portion::By(amount(n))),
        (40u128..200).prop_map(|n| Portion::UpTo(amount(n)))
    ];
    (1u128..60, portion, 0u128..300).prop_map(|(threshold, portion, cap)| RefillPolicy {
        threshold: amount(threshold),
        portion,
        cap_per_day: amount(cap),
    })
}

/// What a shell remembers of decisions: each of a day, under way or over.
#[derive(Default)]
struct Shell {
    balance: Balance,
    today: Today,
    /// What the decision under way was counted under: false once its day is over.
    decided_today: bool,
    /// Decided on or spent since the last decision.
    spent_since: u128,
    left_after: u128,
}

impl Shell {
    fn plan(&mut self, policy: &RefillPolicy) -> Result<(), TestCaseError> {
        let before = self.balance.left();
        let Refill::By(added) = refill(&self.balance, policy, &self.today) else { return Ok(()) };
        prop_assert!(before < policy.threshold, "there is enough");
        prop_assert!(self.balance.pending_top_ups.is_zero(), "one is under way");
        prop_assert!(!added.is_zero());
        match policy.portion {
            Portion::By(most) => prop_assert!(added <= most),
            Portion::UpTo(high) => prop_assert!(before.saturating_add(added) <= high),
        }
        // A shortage that was met before is met again only because more was spent, or because it was not met at all.
        prop_assert!(self.left_after < policy.threshold.units() || self.spent_since > 0, "twice for one shortage");
        self.balance.pending_top_ups = added;
        self.today.refilled = self.today.refilled.saturating_add(added);
        self.decided_today = true;
        prop_assert!(self.today.refilled <= policy.cap_per_day, "above the cap");
        (self.spent_since, self.left_after) = (0, self.balance.left().units());
        prop_assert!(!matches!(refill(&self.balance, policy, &self.today), Refill::By(_)), "asked again at once");
        Ok(())
    }

    fn happen(&mut self, op: &Op) {
        let Balance { deposit, pending_deposit, pending_top_ups, spent } = self.balance;
        match *op {
            Op::Plan => {}
            Op::Spend(units) => {
                let more = spent.saturating_add(amount(units.into())).min(deposit.max(spent));
                self.spent_since += more.saturating_sub(spent).units();
                self.balance.spent = more;
            }
            Op::Mine => {
                if !pending_top_ups.is_zero() {
                    self.today.failures = 0;
                }
                self.balance.pending_deposit = pending_deposit.saturating_add(pending_top_ups);
                self.balance.pending_top_ups = Amount::ZERO;
            }
            Op::Confirm => {
                self.balance.deposit = deposit.saturating_add(pending_deposit);
                self.balance.pending_deposit = Amount::ZERO;
            }
            Op::Fail if !pending_top_ups.is_zero() => {
                self.balance.pending_top_ups = Amount::ZERO;
                if self.decided_today {
                    self.today.refilled = self.today.refilled.saturating_sub(pending_top_ups);
                }
                self.today.failures += 1;
                self.today.since_failure = Duration::ZERO;
                self.left_after = 0;
            }
            Op::Fail => {}
            Op::Pass(seconds) => self.today.since_failure += Duration::from_secs(seconds.into()),
            Op::NewDay => {
                self.today.refilled = Amount::ZERO;
                self.decided_today = false;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn never_above_the_cap_of_a_day_and_never_twice_for_one_shortage(
        policy in policy(),
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let mut shell = Shell::default();
        for op in &ops {
            shell.happen(op);
            if matches!(op, Op::Plan) {
                shell.plan(&policy)?;
            }
        }
    }

    #[test]
    fn whatever_the_numbers_it_answers(numbers in prop::array::uniform7(any::<u128>()), failures: u32, since: u64) {
        let [deposit, pending, top_ups, spent, threshold, portion, cap] = numbers;
        for portion in [Portion::By(amount(portion)), Portion::UpTo(amount(portion))] {
            let policy = RefillPolicy { threshold: amount(threshold), portion, cap_per_day: amount(cap) };
            let today = Today { failures, since_failure: Duration::from_secs(since), ..Today::default() };
            if let Refill::By(added) = refill(&balance(deposit, pending, top_ups, spent), &policy, &today) {
                prop_assert!(added <= amount(cap) && !added.is_zero());
            }
        }
    }
}
