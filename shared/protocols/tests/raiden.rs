//! The dialect of µRaiden, one test for each thing that an unmodified client relies on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use alloy_primitives::{U256, address};
use channel::{Amount, Key, Refusal, Signature, View};
use contracts::{Deployment, Kind, raiden};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use protocols::{Answer, Offer, Payment, Protocol, Reason, Refused};

const RDN: protocols::raiden::Raiden = protocols::raiden::Raiden;
const SENDER: &str = "0x8Bf640A099fE945DA46F354d3B49c48a125F48B6";
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

fn head(method: Method, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn signature() -> Signature {
    Key::from_bytes(&[0xa0; 32]).unwrap().sign([1; 32].into())
}

fn signature_hex() -> String {
    alloy_primitives::hex::encode_prefixed(signature().as_bytes())
}

fn payment(headers: &[(&str, &str)]) -> Result<Option<Payment>, String> {
    RDN.payment(&head(Method::GET, "/", headers)).map_err(|malformed| {
        let answer = RDN.malformed(&malformed);
        assert_eq!(answer.status, StatusCode::CONFLICT);
        serde_json::from_slice(&answer.body).unwrap()
    })
}

/// A complete payment with some fields replaced, added, or (empty) taken away.
fn payment_but(changes: &[(&str, &str)]) -> Result<Option<Payment>, String> {
    let signature = signature_hex();
    let mut fields = vec![
        ("RDN-Contract-Address", "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"),
        ("RDN-Receiver-Address", "0x08c86B491A37C2FFC25072a17c7A97EF2D0357dd"),
        ("RDN-Sender-Address", SENDER),
        ("RDN-Open-Block", "37"),
        ("RDN-Balance", "15"),
        ("RDN-Balance-Signature", signature.as_str()),
    ];
    fields.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    fields.extend(changes);
    payment(&fields)
}

fn view() -> View {
    View { authorised: Amount::new(15), signature: Some(signature()), ..View::default() }
}

fn a_payment() -> Payment {
    payment_but(&[]).unwrap().unwrap()
}

/// The 402 to the payment of 15, refused for this reason.
fn challenge(reason: Reason<'_>, view: Option<&View>) -> Answer {
    let (letterhead, payment) = (RDN.letterhead(&deployment()), a_payment());
    let offer = Offer { letterhead: &letterhead, price: Amount::new(10) };
    let answer = RDN.challenge(&offer, Some(&Refused { payment: &payment, reason, view }));
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
    answer
}

fn failures(headers: &HeaderMap) -> Vec<&'static str> {
    FAILURES.into_iter().filter(|name| headers.contains_key(*name)).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn asks_for_payment_with_the_base_headers_and_an_empty_body() {
    let letterhead = RDN.letterhead(&deployment());
    let answer = RDN.challenge(&Offer { letterhead: &letterhead, price: Amount::new(10) }, None);
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED);
    assert!(answer.body.is_empty());
    let expected = [
        ("content-type", "application/json"),
        ("rdn-gateway-path", "/api/1"),
        ("rdn-receiver-address", "0x08c86B491A37C2FFC25072a17c7A97EF2D0357dd"),
        ("rdn-contract-address", "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"),
        ("rdn-token-address", "0x5FbDB2315678afecb367f032d93F642f64180aa3"),
        ("rdn-price", "10"),
    ];
    for (name, value) in expected {
        assert_eq!(text(&answer.headers, name), Some(value), "{name}");
    }
    assert_eq!(answer.headers.len(), expected.len());
}

#[test]
fn a_request_without_a_signature_carries_no_payment() {
    assert_eq!(payment(&[]), Ok(None));
    assert_eq!(payment_but(&[("RDN-Balance-Signature", "")]), Ok(None));
    let first = [("RDN-Contract-Address", "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512")];
    assert_eq!(payment(&first), Ok(None));
}

#[test]
fn reads_a_payment_whatever_the_case_of_names_and_addresses() {
    let expected = Payment {
        opening: raiden::opening(SENDER.parse().unwrap(), 37),
        amount: U256::from(15),
        signature: *signature().as_bytes(),
    };
    assert_eq!(payment_but(&[]), Ok(Some(expected.clone())));
    let lower = SENDER.to_lowercase();
    assert_eq!(payment_but(&[("RDN-Sender-Address", &lower)]), Ok(Some(expected.clone())));
    let bare = signature_hex()[2..].to_uppercase();
    assert_eq!(payment_but(&[("RDN-Balance-Signature", &bare)]), Ok(Some(expected)));
}

#[test]
fn a_balance_of_zero_is_a_balance() {
    assert_eq!(payment_but(&[("RDN-Balance", "0")]).unwrap().unwrap().amount, U256::ZERO);
}

#[test]
fn a_wrong_contract_or_receiver_is_ignored_because_the_signature_binds_them() {
    assert_eq!(payment_but(&[("RDN-Contract-Address", SENDER), ("RDN-Receiver-Address", SENDER)]), payment_but(&[]));
}

#[test]
fn answers_409_with_the_original_s_reason_to_what_cannot_be_read() {
    for (name, value, reason) in [
        ("RDN-Contract-Address", "0x12", "Invalid contract address"),
        ("RDN-Receiver-Address", "nobody", "Invalid receiver address"),
        ("RDN-Sender-Address", "0xzz", "Invalid sender address"),
        ("RDN-Payment", "10", "Payment must be an integer"),
        ("RDN-Open-Block", "-1", "Open block must be >= 0"),
        ("RDN-Open-Block", "1e3", "Open block must be an integer"),
        ("RDN-Open-Block", "4294967296", "Open block must be < 2^32"),
        ("RDN-Balance", "-1", "Balance must be >= 0"),
        ("RDN-Balance", "1.5", "Balance must be an integer"),
        ("RDN-Balance", "0x10", "Balance must be an integer"),
        ("RDN-Balance", "٣", "RDN-Balance is no text"),
        ("RDN-Price", "-10", "Price must be >= 0"),
        ("RDN-Price", "ten", "Price must be an integer"),
    ] {
        let refused = payment_but(&[(name, value)]).unwrap_err();
        assert_eq!(refused.to_lowercase(), reason.to_lowercase(), "{name}: {value}");
    }
}

#[test]
fn a_header_that_cannot_be_read_is_409_even_without_a_signature() {
    assert_eq!(payment(&[("RDN-Balance", "-1")]), Err("Balance must be >= 0".to_owned()));
}

#[test]
fn a_header_given_twice_is_409() {
    assert!(payment(&[("RDN-Balance", "1"), ("RDN-Balance", "2")]).is_err());
}

#[test]
fn an_incomplete_or_shapeless_signature_is_409_and_never_500() {
    for (name, reason) in [
        ("RDN-Sender-Address", "Missing sender address"),
        ("RDN-Open-Block", "Missing open block"),
        ("RDN-Balance", "Missing balance"),
    ] {
        assert_eq!(payment_but(&[(name, "")]), Err(reason.to_owned()));
    }
    for signature in ["0x", "0x1234", "zz", &"00".repeat(64), &"00".repeat(66)] {
        let refused = payment_but(&[("RDN-Balance-Signature", signature)]);
        assert_eq!(refused, Err("Invalid balance signature".to_owned()), "{signature}");
    }
}

#[test]
fn a_balance_wider_than_the_contract_s_is_409_and_one_wider_than_ours_is_read() {
    let two_to_the_192 = "6277101735386680763835789423207666416102355444464034512896";
    assert_eq!(payment_but(&[("RDN-Balance", two_to_the_192)]), Err("Balance must be < 2^192".to_owned()));
    let digits = "9".repeat(100);
    assert_eq!(payment_but(&[("RDN-Balance", &digits)]), Err("Balance must be an integer".to_owned()));
    let most = "6277101735386680763835789423207666416102355444464034512895";
    assert_eq!(payment_but(&[("RDN-Balance", most)]).unwrap().unwrap().amount.to_string(), most);
}

#[test]
fn cookies_override_headers_field_by_field() {
    let other = payment_but(&[("Cookie", "a=b; RDN-Sender-Balance=25; RDN-Open-Block=38")]).unwrap().unwrap();
    assert_eq!(other.amount, U256::from(25));
    assert_eq!(other.opening, raiden::opening(SENDER.parse().unwrap(), 38));
    assert_eq!(other.signature, *signature().as_bytes());
}

#[test]
fn cookies_alone_pay() {
    let cookies = format!(
        "RDN-Sender-Address={SENDER}; RDN-Open-Block=37; RDN-Sender-Balance=15; RDN-Balance-Signature=\"{}\"",
        signature_hex()
    );
    assert_eq!(payment(&[("Cookie", &cookies)]), payment_but(&[]));
}

#[test]
fn names_of_cookies_are_case_sensitive_and_the_balance_has_another_name_there() {
    let unchanged = payment_but(&[]);
    assert_eq!(payment_but(&[("Cookie", "rdn-sender-balance=25")]), unchanged);
    assert_eq!(payment_but(&[("Cookie", "RDN-Balance=25")]), unchanged);
}

#[test]
fn a_cookie_that_is_no_integer_is_409() {
    let refused = payment_but(&[("Cookie", "RDN-Sender-Balance=many")]);
    assert_eq!(refused, Err("Balance must be an integer".to_owned()));
    assert_eq!(payment_but(&[("Cookie", "RDN-Open-Block=")]), Err("Open block must be an integer".to_owned()));
}

#[test]
fn unknown_closing_and_unconfirmed_channels_show_nothing_but_that() {
    for (refusal, failure) in [
        (Refusal::Unknown, "rdn-nonexisting-channel"),
        (Refusal::NotOpen, "rdn-nonexisting-channel"),
        (Refusal::Unconfirmed, "rdn-insufficient-confirmations"),
    ] {
        let answer = challenge(Reason::Rules(&refusal), Some(&view()));
        assert_eq!(failures(&answer.headers), [failure]);
        assert_eq!(text(&answer.headers, failure), Some("1"));
        assert!(!answer.headers.contains_key("rdn-sender-balance"));
        assert!(!answer.headers.contains_key("rdn-balance-signature"));
    }
}

#[test]
fn somebody_else_s_signature_is_an_invalid_proof_and_learns_nothing() {
    let answer = challenge(Reason::Signature, Some(&view()));
    assert_eq!(failures(&answer.headers), ["rdn-invalid-balance-proof"]);
    assert!(!answer.headers.contains_key("rdn-sender-balance"));
}

#[test]
fn a_wrong_amount_comes_with_the_balance_and_signature_to_adopt() {
    let refusal = Refusal::Amount { expected: Amount::new(25), got: Amount::new(24) };
    let answer = challenge(Reason::Rules(&refusal), Some(&view()));
    assert_eq!(failures(&answer.headers), ["rdn-invalid-amount"]);
    assert_eq!(text(&answer.headers, "rdn-sender-address"), Some(SENDER));
    assert_eq!(text(&answer.headers, "rdn-sender-balance"), Some("15"));
    assert_eq!(text(&answer.headers, "rdn-balance-signature"), Some(signature_hex().as_str()));
}

#[test]
fn a_channel_that_never_paid_has_a_balance_and_no_signature() {
    let refusal = Refusal::Amount { expected: Amount::new(10), got: Amount::new(15) };
    let answer = challenge(Reason::Rules(&refusal), Some(&View::default()));
    assert_eq!(text(&answer.headers, "rdn-sender-balance"), Some("0"));
    assert!(!answer.headers.contains_key("rdn-balance-signature"));
}

#[test]
fn a_wrong_amount_without_a_balance_to_adopt_would_crash_the_client() {
    let refusal = Refusal::Amount { expected: Amount::new(10), got: Amount::new(15) };
    assert!(failures(&challenge(Reason::Rules(&refusal), None).headers).is_empty());
}

#[test]
fn the_last_proof_again_is_the_plain_402_that_makes_the_client_pay() {
    let unpaid = Refusal::Unpaid { price: Amount::new(10), credit: Amount::ZERO };
    for refusal in [Refusal::Replayed, unpaid] {
        let answer = challenge(Reason::Rules(&refusal), Some(&view()));
        assert!(failures(&answer.headers).is_empty(), "{refusal}");
        assert_eq!(text(&answer.headers, "rdn-sender-balance"), Some("15"));
        assert_eq!(text(&answer.headers, "rdn-sender-address"), Some(SENDER));
        assert_eq!(text(&answer.headers, "rdn-balance-signature"), Some(signature_hex().as_str()));
    }
}

#[test]
fn too_little_credit_with_another_amount_is_a_wrong_amount() {
    let unpaid = Refusal::Unpaid { price: Amount::new(10), credit: Amount::new(5) };
    let other = View { authorised: Amount::new(10), ..view() };
    assert_eq!(failures(&challenge(Reason::Rules(&unpaid), Some(&other)).headers), ["rdn-invalid-amount"]);
}

#[test]
fn more_than_the_deposit_makes_the_client_wait_for_its_top_up() {
    let refusal = Refusal::OverDeposit { wanted: Amount::new(25), deposit: Amount::new(20), pending: Amount::new(9) };
    let answer = challenge(Reason::Rules(&refusal), Some(&view()));
    assert_eq!(failures(&answer.headers), ["rdn-invalid-balance-proof"]);
    assert_eq!(text(&answer.headers, "rdn-sender-balance"), Some("15"));
}

#[test]
fn a_published_voucher_proves_nothing_about_who_sends_it() {
    let answer = challenge(Reason::Rules(&Refusal::Published), Some(&view()));
    assert!(failures(&answer.headers).is_empty());
    assert!(!answer.headers.contains_key("rdn-sender-balance"));
}

#[test]
fn there_is_never_more_than_one_failure_and_always_the_base() {
    let amount = Amount::new(1);
    for refusal in [
        Refusal::Unknown,
        Refusal::Unconfirmed,
        Refusal::NotOpen,
        Refusal::Epoch { current: 1, got: 0 },
        Refusal::Amount { expected: amount, got: amount },
        Refusal::Replayed,
        Refusal::Published,
        Refusal::Unpaid { price: amount, credit: amount },
        Refusal::OverDeposit { wanted: amount, deposit: amount, pending: amount },
        Refusal::SmallDeposit { deposit: amount, pending: amount, least: amount },
        Refusal::Exposure { wanted: amount, limit: amount },
        Refusal::PayerExposure { wanted: amount, limit: amount },
        Refusal::TotalExposure { wanted: amount, limit: amount },
        Refusal::Held { wanted: amount, limit: amount },
        Refusal::Busy,
        Refusal::RequestReused,
        Refusal::Stale,
    ] {
        let answer = challenge(Reason::Rules(&refusal), Some(&view()));
        assert!(failures(&answer.headers).len() <= 1, "{refusal}");
        assert!(answer.headers.contains_key("rdn-contract-address"), "{refusal}");
        assert!(answer.headers.contains_key("rdn-price"), "{refusal}");
    }
}

#[test]
fn a_receipt_is_the_base_and_the_balance_after_the_payment() {
    let letterhead = RDN.letterhead(&deployment());
    let offer = Offer { letterhead: &letterhead, price: Amount::new(10) };
    let receipt = RDN.receipt(&offer, &a_payment().opening, &view());
    assert_eq!(text(&receipt, "rdn-price"), Some("10"));
    assert_eq!(text(&receipt, "rdn-sender-balance"), Some("15"));
    assert_eq!(text(&receipt, "rdn-sender-address"), Some(SENDER));
    assert!(receipt.keys().all(|name| name.as_str().starts_with(RDN.prefix())));
}
