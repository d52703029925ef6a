//! What is sold, what is refused, and what a call that fails leaves behind.

mod common;

use channel::{
    Amount, CloseRefusal, Deadline, HoldState, Refusal, Sale, Sold, Status, Step, Terms, agree_close, capture, charge,
    hold, release,
};
use common::*;

const EXACT: Terms = Terms {
    step: Step::FromAuthorised,
    min_delta: Amount::ZERO,
    min_deposit: Amount::ZERO,
    max_exposure: Amount::MAX,
    max_payer_exposure: Amount::MAX,
    max_total_exposure: Amount::MAX,
    max_held: Amount::MAX,
};
const CREDIT: Terms = Terms { step: Step::Any, ..EXACT };
const FROM_SPENT: Terms = Terms { step: Step::FromSpent, ..EXACT };

fn sold(sold: Result<Sold, Refusal>) -> channel::Hold {
    match sold.expect("a sale") {
        Sold::New { hold, .. } => hold,
        Sold::Again(hold) => panic!("sold before: {hold:?}"),
    }
}

#[test]
fn sells_for_a_voucher_of_exactly_the_last_plus_the_price() {
    let (channel, mut epoch, request) = (open_channel(100), epoch(20, 20, 0), request(1));
    let hold = sold(hold(&channel, &mut epoch, &sale(&voucher(30), 10, &request), &EXACT));
    assert_eq!((hold.amount, hold.state), (amount(10), HoldState::Held));
    assert_eq!((epoch.authorised, epoch.spent, epoch.held), (amount(30), amount(20), amount(10)));
    assert_eq!(epoch.voucher, Some((amount(30), voucher(30).signature)));
}

#[test]
fn exact_terms_refuse_every_other_step() {
    let (channel, request) = (open_channel(100), request(1));
    for wrong in [29, 31, 19, 1, 0] {
        let mut epoch = epoch(20, 20, 0);
        let refusal = hold(&channel, &mut epoch, &sale(&voucher(wrong), 10, &request), &EXACT).unwrap_err();
        assert_eq!(refusal, Refusal::Amount { expected: amount(30), got: amount(wrong) });
    }
}

#[test]
fn a_replayed_voucher_buys_nothing_under_exact_terms() {
    let (channel, mut epoch, request) = (open_channel(100), epoch(20, 20, 0), request(1));
    assert_eq!(hold(&channel, &mut epoch, &sale(&voucher(20), 10, &request), &EXACT), Err(Refusal::Replayed));
}

#[test]
fn a_failed_call_is_repeated_from_its_credit_but_another_request_is_not() {
    let (channel, mut epoch, asked, other) = (open_channel(100), epoch(0, 0, 0), request(1), request(2));
    let mut failed = sold(hold(&channel, &mut epoch, &sale(&voucher(10), 10, &asked), &EXACT));
    release(&mut epoch, &mut failed);
    assert_eq!(epoch.credit(), amount(10));
    assert_eq!(hold(&channel, &mut epoch, &sale(&voucher(10), 10, &other), &EXACT), Err(Refusal::Replayed));

    let (id, v) = (hold_id(2), voucher(10));
    let again = Sale { id, prior: Some(&failed), ..sale(&v, 10, &asked) };
    let Ok(Sold::New { hold, retries }) = hold(&channel, &mut epoch, &again, &EXACT) else { panic!("refused") };
    assert_eq!((hold.id, retries), (id, Some(failed.id)));
    assert_eq!((epoch.authorised, epoch.held, epoch.credit()), (amount(10), amount(10), Amount::ZERO));
}

#[test]
fn credit_terms_let_vouchers_run_ahead_and_arrive_out_of_order() {
    let (channel, mut epoch) = (open_channel(100), epoch(0, 0, 0));
    for (units, n) in [(30, 1), (10, 2), (20, 3)] {
        sold(charge(&channel, &mut epoch, &sale(&voucher(units), 10, &request(n)), &CREDIT));
    }
    assert_eq!((epoch.authorised, epoch.spent), (amount(30), amount(30)));
    let refusal = charge(&channel, &mut epoch, &sale(&voucher(30), 10, &request(4)), &CREDIT).unwrap_err();
    assert_eq!(refusal, Refusal::Unpaid { price: amount(10), credit: Amount::ZERO });
}

#[test]
fn credit_terms_refuse_a_voucher_that_adds_less_than_the_minimum() {
    let (channel, mut epoch, request) = (open_channel(100), epoch(20, 0, 0), request(1));
    let terms = Terms { min_delta: amount(5), ..CREDIT };
    let refusal = hold(&channel, &mut epoch, &sale(&voucher(24), 1, &request), &terms).unwrap_err();
    assert_eq!(refusal, Refusal::Amount { expected: amount(25), got: amount(24) });
    sold(hold(&channel, &mut epoch, &sale(&voucher(25), 1, &request), &terms));
}

#[test]
fn terms_from_spent_sell_one_at_a_time() {
    let (channel, mut epoch, request) = (open_channel(100), epoch(0, 0, 0), request(1));
    let mut first = sold(hold(&channel, &mut epoch, &sale(&voucher(10), 10, &request), &FROM_SPENT));
    assert_eq!(hold(&channel, &mut epoch, &sale(&voucher(20), 10, &request), &FROM_SPENT), Err(Refusal::Busy));
    capture(&channel, &mut epoch, &mut first, amount(4));
    let refusal = hold(&channel, &mut epoch, &sale(&voucher(20), 10, &request), &FROM_SPENT).unwrap_err();
    assert_eq!(refusal, Refusal::Amount { expected: amount(14), got: amount(20) });
    sold(hold(&channel, &mut epoch, &sale(&voucher(14), 10, &request), &FROM_SPENT));
}

#[test]
fn refuses_a_voucher_above_the_deposit_and_says_what_is_pending() {
    let (mut channel, mut epoch, request) = (open_channel(25), epoch(20, 20, 0), request(1));
    channel.facts.pending = amount(50);
    let refusal = hold(&channel, &mut epoch, &sale(&voucher(30), 10, &request), &EXACT).unwrap_err();
    assert_eq!(refusal, Refusal::OverDeposit { wanted: amount(30), deposit: amount(25), pending: amount(50) });
}

#[test]
fn sells_nothing_while_a_reorg_leaves_more_authorised_than_deposited() {
    let (channel, mut epoch, request) = (open_channel(15), epoch(20, 5, 0), request(1));
    let refusal = hold(&channel, &mut epoch, &sale(&voucher(20), 1, &request), &CREDIT).unwrap_err();
    assert!(matches!(refusal, Refusal::OverDeposit { .. }), "{refusal}");
}

#[test]
fn a_voucher_that_was_published_on_chain_buys_nothing() {
    let (channel, mut epoch, request) = (open_channel(100), epoch(20, 5, 0), request(1));
    epoch.published = amount(20);
    assert_eq!(hold(&channel, &mut epoch, &sale(&voucher(20), 1, &request), &CREDIT), Err(Refusal::Published));
    sold(hold(&channel, &mut epoch, &sale(&voucher(21), 1, &request), &CREDIT));
}

#[test]
fn a_voucher_over_nothing_buys_nothing_and_tells_its_payer_what_we_hold() {
    let request = request(1);
    for (mut epoch, terms) in [(epoch(0, 0, 0), &EXACT), (epoch(0, 0, 0), &CREDIT), (epoch(20, 5, 0), &CREDIT)] {
        epoch.published = epoch.spent;
        let refused = hold(&open_channel(100), &mut epoch, &sale(&voucher(0), 1, &request), terms);
        assert_eq!(refused, Err(Refusal::Replayed), "nobody can have read it on chain");
    }
}

#[test]
fn refuses_a_voucher_of_another_epoch() {
    let (channel, mut epoch, request) = (open_channel(100), epoch(0, 0, 0), request(1));
    let refusal = hold(&channel, &mut epoch, &sale(&voucher_of(10, 3), 10, &request), &EXACT).unwrap_err();
    assert_eq!(refusal, Refusal::Epoch { current: 0, got: 3 });
}

#[test]
fn sells_only_through_a_channel_that_is_open_and_confirmed() {
    let closing = Status::Closing { requested: Amount::ZERO, deadline: Deadline::Block(9) };
    let cases = [
        (Status::Absent, true, None, Refusal::Unknown),
        (Status::Open, false, None, Refusal::Unconfirmed),
        (closing, true, None, Refusal::NotOpen),
        (Status::Closed, true, None, Refusal::NotOpen),
        (Status::Open, true, Some(amount(0)), Refusal::NotOpen),
    ];
    for (status, confirmed, agreed_close, expected) in cases {
        let (mut channel, mut epoch) = (open_channel(100), epoch(0, 0, 0));
        (channel.facts.status, channel.facts.confirmed, channel.agreed_close) = (status, confirmed, agreed_close);
        assert_eq!(hold(&channel, &mut epoch, &sale(&voucher(10), 10, &request(1)), &EXACT), Err(expected));
    }
}

#[test]
fn our_own_limits_cap_what_is_owed_and_what_is_in_flight() {
    let (mut channel, mut epoch, request) = (open_channel(100), epoch(20, 20, 0), request(1));
    channel.facts.claimed = amount(15);
    let owed = Terms { max_exposure: amount(14), ..EXACT };
    let refusal = hold(&channel, &mut epoch, &sale(&voucher(30), 10, &request), &owed).unwrap_err();
    assert_eq!(refusal, Refusal::Exposure { wanted: amount(15), limit: amount(14) });
    let in_flight = Terms { max_held: amount(9), ..EXACT };
    let refusal = hold(&channel, &mut epoch, &sale(&voucher(30), 10, &request), &in_flight).unwrap_err();
    assert_eq!(refusal, Refusal::Held { wanted: amount(10), limit: amount(9) });
}

#[test]
fn a_payer_owes_no_more_than_its_limit_over_all_its_channels() {
    let (mut channel, mut epoch, request) = (open_channel(100), epoch(20, 20, 0), request(1));
    channel.facts.claimed = amount(15);
    let (v, terms) = (voucher(30), Terms { max_payer_exposure: amount(40), ..EXACT });
    let asked = |elsewhere| Sale { elsewhere: amount(elsewhere), ..sale(&v, 10, &request) };
    let refusal = hold(&channel, &mut epoch, &asked(26), &terms).unwrap_err();
    assert_eq!(refusal, Refusal::PayerExposure { wanted: amount(41), limit: amount(40) });
    sold(hold(&channel, &mut epoch.clone(), &asked(u128::MAX), &EXACT));
    sold(hold(&channel, &mut epoch, &asked(25), &terms));
    assert_eq!(channel.exposure(&epoch), amount(15));
    channel.facts.status = Status::Closed;
    assert_eq!(channel.exposure(&epoch), amount(0), "there is nothing more to claim");
}

#[test]
fn all_channels_together_owe_no_more_than_the_limit_but_credit_is_spent_all_the_same() {
    let (channel, mut epoch, request) = (open_channel(100), epoch(20, 10, 0), request(1));
    let (more, seen) = (voucher(30), voucher(20));
    let terms = Terms { max_total_exposure: amount(1_000), ..CREDIT };
    let asked = |v, in_all| Sale { in_all: amount(in_all), ..sale(v, 5, &request) };
    let refusal = hold(&channel, &mut epoch, &asked(&more, 991), &terms).unwrap_err();
    assert_eq!(refusal, Refusal::TotalExposure { wanted: amount(1_001), limit: amount(1_000) });
    assert!(
        hold(&channel, &mut epoch.clone(), &asked(&more, u128::MAX), &terms).is_err(),
        "nobody knows how much it is"
    );
    sold(hold(&channel, &mut epoch, &asked(&seen, 2_000), &terms));
    sold(hold(&channel, &mut epoch.clone(), &asked(&more, u128::MAX), &CREDIT));
    sold(hold(&channel, &mut epoch, &asked(&more, 990), &terms));
}

#[test]
fn a_channel_below_the_least_deposit_buys_nothing() {
    let (mut channel, mut epoch, request) = (open_channel(9), epoch(0, 0, 0), request(1));
    channel.facts.pending = amount(5);
    let terms = Terms { min_deposit: amount(10), ..EXACT };
    let refusal = hold(&channel, &mut epoch, &sale(&voucher(1), 1, &request), &terms).unwrap_err();
    assert_eq!(refusal, Refusal::SmallDeposit { deposit: amount(9), pending: amount(5), least: amount(10) });
    channel.facts.deposit = amount(10);
    sold(hold(&channel, &mut epoch, &sale(&voucher(1), 1, &request), &terms));
}

#[test]
fn a_request_id_is_charged_once_and_names_one_request() {
    let (channel, mut epoch, request) = (open_channel(100), epoch(0, 0, 0), named_request("a", 1));
    let (first, second) = (voucher(10), voucher(20));
    let mut held = sold(hold(&channel, &mut epoch, &sale(&first, 10, &request), &EXACT));
    let again = Sale { id: hold_id(2), ..sale(&second, 10, &request) };
    let in_flight = Sale { prior: Some(&held), ..again.clone() };
    assert_eq!(hold(&channel, &mut epoch, &in_flight, &EXACT), Err(Refusal::Busy));
    capture(&channel, &mut epoch, &mut held, amount(10));
    let captured = Sale { prior: Some(&held), ..again };
    assert_eq!(hold(&channel, &mut epoch, &captured, &EXACT), Ok(Sold::Again(held.clone())));
    assert_eq!((epoch.authorised, epoch.spent), (amount(10), amount(10)));
    let other = named_request("a", 2);
    let reused = Sale { prior: Some(&held), ..sale(&second, 10, &other) };
    assert_eq!(hold(&channel, &mut epoch, &reused, &EXACT), Err(Refusal::RequestReused));
}

#[test]
fn capturing_and_releasing_again_change_nothing() {
    let (channel, mut epoch, request) = (open_channel(100), epoch(0, 0, 0), request(1));
    let mut hold = sold(hold(&channel, &mut epoch, &sale(&voucher(10), 10, &request), &EXACT));
    assert_eq!(capture(&channel, &mut epoch, &mut hold, amount(7)).taken, amount(7));
    let settled = epoch.clone();
    assert_eq!(capture(&channel, &mut epoch, &mut hold, amount(10)).taken, Amount::ZERO);
    release(&mut epoch, &mut hold);
    assert_eq!(epoch, settled);
    assert_eq!((epoch.spent, epoch.credit()), (amount(7), amount(3)));
}

#[test]
fn a_capture_that_comes_too_late_takes_what_credit_is_left() {
    let (channel, mut epoch) = (open_channel(100), epoch(0, 0, 0));
    let mut late = sold(hold(&channel, &mut epoch, &sale(&voucher(10), 10, &request(1)), &CREDIT));
    release(&mut epoch, &mut late);
    sold(charge(&channel, &mut epoch, &sale(&voucher(10), 6, &request(2)), &CREDIT));
    let taken = capture(&channel, &mut epoch, &mut late, amount(10));
    assert_eq!((taken.taken, taken.lost), (amount(4), amount(6)));
    assert_eq!((epoch.spent, epoch.credit()), (amount(10), Amount::ZERO));
}

#[test]
fn a_late_capture_takes_nothing_beyond_an_agreed_close() {
    let (mut channel, mut epoch) = (open_channel(100), epoch(0, 0, 0));
    let mut late = sold(hold(&channel, &mut epoch, &sale(&voucher(10), 10, &request(1)), &EXACT));
    release(&mut epoch, &mut late);
    agree_close(&mut channel, &epoch, amount(3)).expect("nothing was sold");
    let taken = capture(&channel, &mut epoch, &mut late, amount(10));
    assert_eq!((taken.taken, taken.lost), (amount(3), amount(7)));
}

#[test]
fn a_close_is_agreed_between_what_was_sold_and_what_was_authorised() {
    let (channel, epoch) = (open_channel(100), epoch(30, 10, 5));
    for outside in [14, 31] {
        let refusal = agree_close(&mut channel.clone(), &epoch, amount(outside)).unwrap_err();
        assert_eq!(refusal, CloseRefusal::Amount { least: amount(15), most: amount(30) });
    }
    for inside in [15, 22, 30] {
        let mut channel = channel.clone();
        assert_eq!(agree_close(&mut channel, &epoch, amount(inside)), Ok(()));
        assert_eq!(channel.agreed_close, Some(amount(inside)));
    }
}

#[test]
fn an_agreed_close_is_agreed_again_for_ever_and_to_nothing_else() {
    let (mut channel, epoch) = (open_channel(100), epoch(30, 10, 0));
    agree_close(&mut channel, &epoch, amount(30)).expect("agreed");
    assert_eq!(agree_close(&mut channel, &epoch, amount(30)), Ok(()));
    let refusal = agree_close(&mut channel, &epoch, amount(20)).unwrap_err();
    assert_eq!(refusal, CloseRefusal::AgreedOtherwise { agreed: amount(30) });
    channel.facts.status = Status::Closed;
    assert_eq!(agree_close(&mut channel, &epoch, amount(30)), Err(CloseRefusal::NotOpen));
}
