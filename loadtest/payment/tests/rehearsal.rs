//! What a rehearsal sells, what it refuses, and what becomes of the account.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use alloy_primitives::address;
use bytes::Bytes;
use channel::{Amount, Epoch, Facts, Key, Step, Terms};
use contracts::{Deployment, Kind};
use http::{Request, Response, StatusCode};
use payment::{Payer, Rehearsal};

const DEPOSIT: Amount = Amount::new(25);
const GOODS: Bytes = Bytes::from_static(b"what was paid for");
const FAILURES: [&str; 4] =
    ["rdn-nonexisting-channel", "rdn-insufficient-confirmations", "rdn-invalid-balance-proof", "rdn-invalid-amount"];

fn deployment() -> Deployment {
    Deployment {
        name: "main".to_owned(),
        kind: Kind::Raiden,
        chain_id: 1,
        contract: address!("e7f1725e7734ce288f8367e1bb143e90bb3f0512"),
        token: address!("5fbdb2315678afecb367f032d93f642f64180aa3"),
        payee: address!("08c86b491a37c2ffc25072a17c7a97ef2d0357dd"),
        challenge_period: 500,
        from_block: 0,
        confirmations: 1,
    }
}

fn payer(byte: u8) -> Payer {
    Payer::new(Key::from_bytes(&[byte; 32]).unwrap(), deployment(), 37)
}

/// Sells for 10 each to Alice, who deposited 25.
fn rehearsal(step: Step) -> Rehearsal {
    let terms = Terms { step, ..Terms::default() };
    let rehearsal = Rehearsal::new(deployment(), terms, Amount::new(10), GOODS);
    rehearsal.open([alice().channel(DEPOSIT)]);
    rehearsal
}

fn alice() -> Payer {
    payer(0xa0)
}

fn pay(rehearsal: &Rehearsal, payer: &Payer, amount: u128) -> Response<Bytes> {
    rehearsal.answer_bytes(&payer.request(Amount::new(amount)))
}

/// Alice's counters: authorised, spent, held.
fn counters(rehearsal: &Rehearsal) -> (u128, u128, u128) {
    let Epoch { authorised, spent, held, .. } = rehearsal.epoch(alice().channel(DEPOSIT).id).unwrap();
    (authorised.units(), spent.units(), held.units())
}

fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The failures that a 402 names.
fn failures(answer: &Response<Bytes>) -> Vec<&'static str> {
    assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(header(answer, "rdn-price"), Some("10"));
    FAILURES.into_iter().filter(|name| answer.headers().contains_key(*name)).collect()
}

#[test]
fn a_voucher_over_the_price_buys_the_goods_with_a_receipt() {
    let answer = pay(&rehearsal(Step::FromAuthorised), &alice(), 10);
    assert_eq!((answer.status(), answer.body()), (StatusCode::OK, &GOODS));
    assert_eq!(header(&answer, "rdn-sender-balance"), Some("10"));
    assert_eq!(header(&answer, "rdn-sender-address"), Some("0x8Bf640A099fE945DA46F354d3B49c48a125F48B6"));
    assert_eq!(header(&answer, "cache-control"), Some("private, no-cache"));
}

#[test]
fn each_payment_moves_the_account_and_leaves_the_best_voucher() {
    let rehearsal = rehearsal(Step::FromAuthorised);
    for (amount, after) in [(10, (10, 10, 0)), (20, (20, 20, 0))] {
        assert_eq!(pay(&rehearsal, &alice(), amount).status(), StatusCode::OK);
        assert_eq!(counters(&rehearsal), after);
    }
    let epoch = rehearsal.epoch(alice().channel(DEPOSIT).id).unwrap();
    assert_eq!(epoch.voucher.unwrap().0, Amount::new(20));
    assert!(epoch.is_sound());
}

#[test]
fn a_payer_may_sign_ahead_under_terms_of_credit() {
    let rehearsal = rehearsal(Step::Any);
    assert_eq!(pay(&rehearsal, &alice(), 20).status(), StatusCode::OK);
    assert_eq!(pay(&rehearsal, &alice(), 20).status(), StatusCode::OK);
    assert_eq!(counters(&rehearsal), (20, 20, 0));
    assert_eq!(failures(&pay(&rehearsal, &alice(), 20)), [""; 0], "the credit is used up: pay");
}

#[test]
fn who_does_not_pay_is_asked_to() {
    let answer = rehearsal(Step::FromAuthorised).answer_bytes(&Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n"));
    assert_eq!(failures(&answer), [""; 0]);
    assert_eq!(header(&answer, "rdn-sender-balance"), None);
}

#[test]
fn a_signature_of_somebody_else_buys_nothing_and_learns_nothing() {
    let rehearsal = rehearsal(Step::FromAuthorised);
    let theirs = String::from_utf8(payer(0xb1).request(Amount::new(10)).to_vec()).unwrap();
    let bob = payer(0xb1).channel(DEPOSIT).payer.to_string();
    let forged = theirs.replace(&bob, &alice().channel(DEPOSIT).payer.to_string());
    let answer = rehearsal.answer_bytes(&forged.into());
    assert_eq!(failures(&answer), ["rdn-invalid-balance-proof"]);
    assert_eq!(header(&answer, "rdn-sender-balance"), None);
    assert_eq!(counters(&rehearsal), (0, 0, 0));
}

#[test]
fn a_wrong_amount_buys_nothing_and_hears_the_right_one() {
    let rehearsal = rehearsal(Step::FromAuthorised);
    pay(&rehearsal, &alice(), 10);
    for wrong in [11, 19, 21] {
        let answer = pay(&rehearsal, &alice(), wrong);
        assert_eq!(failures(&answer), ["rdn-invalid-amount"], "{wrong}");
        assert_eq!(header(&answer, "rdn-sender-balance"), Some("10"));
    }
    assert_eq!(counters(&rehearsal), (10, 10, 0));
}

#[test]
fn a_voucher_buys_once() {
    let rehearsal = rehearsal(Step::FromAuthorised);
    assert_eq!(pay(&rehearsal, &alice(), 10).status(), StatusCode::OK);
    assert_eq!(failures(&pay(&rehearsal, &alice(), 10)), [""; 0], "the last balance again: pay");
    assert_eq!(counters(&rehearsal), (10, 10, 0));
}

#[test]
fn nothing_is_sold_above_the_deposit() {
    let rehearsal = rehearsal(Step::FromAuthorised);
    pay(&rehearsal, &alice(), 10);
    pay(&rehearsal, &alice(), 20);
    assert_eq!(failures(&pay(&rehearsal, &alice(), 30)), ["rdn-invalid-balance-proof"]);
    assert_eq!(counters(&rehearsal), (20, 20, 0));
}

#[test]
fn a_channel_that_is_unknown_or_unconfirmed_is_named_before_its_signature() {
    let rehearsal = rehearsal(Step::FromAuthorised);
    assert_eq!(failures(&pay(&rehearsal, &payer(0xb1), 10)), ["rdn-nonexisting-channel"]);
    let mut fresh = payer(0xb1).channel(DEPOSIT);
    fresh.facts = Facts { confirmed: false, ..fresh.facts };
    rehearsal.open([fresh]);
    assert_eq!(failures(&pay(&rehearsal, &payer(0xb1), 10)), ["rdn-insufficient-confirmations"]);
    let of_bob = String::from_utf8(payer(0xb1).request(Amount::new(10)).to_vec()).unwrap();
    let damaged = of_bob.replace("rdn-balance: 10", "rdn-balance: 11");
    assert_eq!(failures(&rehearsal.answer_bytes(&damaged.into())), ["rdn-insufficient-confirmations"]);
}

#[test]
fn what_cannot_be_read_is_said_to_be_wrong() {
    let rehearsal = rehearsal(Step::FromAuthorised);
    let good = String::from_utf8(alice().request(Amount::new(10)).to_vec()).unwrap();
    let malformed = good.replace("rdn-open-block: 37", "rdn-open-block: x");
    assert_eq!(rehearsal.answer_bytes(&malformed.into()).status(), StatusCode::CONFLICT);
    for no_head in [&good[..good.len() - 2], "", "GET / HTTP/1.0\r\n\r\n", "what?\r\n\r\n"] {
        let answer = rehearsal.answer_bytes(&no_head.to_owned().into());
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{no_head}");
    }
    assert_eq!(counters(&rehearsal), (0, 0, 0));
}

#[test]
fn a_head_that_was_parsed_elsewhere_is_answered_alike() {
    let rehearsal = rehearsal(Step::FromAuthorised);
    let text = String::from_utf8(alice().request(Amount::new(10)).to_vec()).unwrap();
    let fields = text.lines().skip(1).filter_map(|line| line.split_once(": "));
    let request = fields.fold(Request::get("/goods"), |request, (name, value)| request.header(name, value));
    let answer = rehearsal.answer(&request.body(()).unwrap().into_parts().0);
    assert_eq!((answer.status(), answer.body()), (StatusCode::OK, &GOODS));
}
