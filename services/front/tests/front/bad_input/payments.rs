//! What a payment can be made of.

use std::time::Duration;

use alloy_primitives::hex;

use self::Change::*;
use super::Hears::{self, *};
use super::conversation::{Bench, lines};
use crate::world::Payer;

/// What is different from a good payment of the price.
#[derive(Clone, Copy)]
enum Change {
    /// Without this header.
    No(&'static str),
    /// With another value. `PAYER` stands for the payer's address, `R`, `S` and `V` for the parts of its signature.
    Set(&'static str, &'static str),
    /// With one more header.
    Also(&'static str, &'static str),
}

const SENDER: &str = "rdn-sender-address";
const BLOCK: &str = "rdn-open-block";
const BALANCE: &str = "rdn-balance";
const SIGNATURE: &str = "rdn-balance-signature";
const CONTRACT: &str = "rdn-contract-address";
const RECEIVER: &str = "rdn-receiver-address";
const KEY: &str = "idempotency-key";

const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const BAD_PROOF: Hears = Refused("rdn-invalid-balance-proof");
const BAD_AMOUNT: Hears = Refused("rdn-invalid-amount");
const NO_CHANNEL: Hears = Refused("rdn-nonexisting-channel");

/// The original answers 500 to several of these.
const PAYMENTS: &[(&str, &[Change], Hears)] = &[
    // who pays
    ("no sender", &[No(SENDER)], Says(409, "Missing sender address")),
    ("an empty sender", &[Set(SENDER, "")], Says(409, "Missing sender address")),
    ("a sender that is no address", &[Set(SENDER, "0x1234")], Says(409, "Invalid sender address")),
    ("a sender of 21 bytes", &[Set(SENDER, "PAYER00")], Says(409, "Invalid sender address")),
    (
        "a sender that is no hex",
        &[Set(SENDER, "0xgggggggggggggggggggggggggggggggggggggggg")],
        Says(409, "Invalid sender address"),
    ),
    ("a sender that is no text", &[Set(SENDER, "\u{ff}")], Says(409, "rdn-sender-address is no text")),
    ("two senders", &[Also(SENDER, "PAYER")], Says(409, "rdn-sender-address is given twice")),
    ("somebody else", &[Set(SENDER, "0x8Bf640A099fE945DA46F354d3B49c48a125F48B6")], NO_CHANNEL),
    // which channel
    ("no block", &[No(BLOCK)], Says(409, "Missing open block")),
    ("a block below zero", &[Set(BLOCK, "-1")], Says(409, "Open block must be >= 0")),
    ("a block above 32 bits", &[Set(BLOCK, "4294967296")], Says(409, "Open block must be < 2^32")),
    ("a block above 256 bits", &[Set(BLOCK, "1ORDER_OF_MAGNITUDE")], Says(409, "Open block must be an integer")),
    ("a block that is no number", &[Set(BLOCK, "latest")], Says(409, "Open block must be an integer")),
    ("a block with a point", &[Set(BLOCK, "1.0")], Says(409, "Open block must be an integer")),
    ("a block in hex", &[Set(BLOCK, "0x1")], Says(409, "Open block must be an integer")),
    ("two blocks", &[Also(BLOCK, "1")], Says(409, "rdn-open-block is given twice")),
    ("another block", &[Set(BLOCK, "4294967295")], NO_CHANNEL),
    ("a contract that is no address", &[Set(CONTRACT, "here")], Says(409, "Invalid contract address")),
    (
        "two contracts",
        &[Also(CONTRACT, "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512")],
        Says(409, "rdn-contract-address is given twice"),
    ),
    ("a receiver that is no address", &[Also(RECEIVER, "you")], Says(409, "Invalid receiver address")),
    // how much
    ("no balance", &[No(BALANCE)], Says(409, "Missing balance")),
    ("an empty balance", &[Set(BALANCE, "")], Says(409, "Missing balance")),
    ("a balance below zero", &[Set(BALANCE, "-1")], Says(409, "Balance must be >= 0")),
    ("a balance with a sign", &[Set(BALANCE, "+1")], Says(409, "Balance must be an integer")),
    ("a balance with a point", &[Set(BALANCE, "1.5")], Says(409, "Balance must be an integer")),
    ("a balance with an exponent", &[Set(BALANCE, "1e3")], Says(409, "Balance must be an integer")),
    ("a balance in hex", &[Set(BALANCE, "0x01")], Says(409, "Balance must be an integer")),
    ("a balance with separators", &[Set(BALANCE, "1_000")], Says(409, "Balance must be an integer")),
    ("no number at all", &[Set(BALANCE, "NaN")], Says(409, "Balance must be an integer")),
    (
        "a balance above 256 bits",
        &[Set(BALANCE, "115792089237316195423570985008687907853269984665640564039457584007913129639936")],
        Says(409, "Balance must be an integer"),
    ),
    (
        "a balance of 192 bits and one",
        &[Set(BALANCE, "6277101735386680763835789423207666416102355444464034512896")],
        Says(409, "Balance must be < 2^192"),
    ),
    (
        "the widest balance of the contract",
        &[Set(BALANCE, "6277101735386680763835789423207666416102355444464034512895")],
        BAD_PROOF,
    ),
    ("a balance above our 128 bits", &[Set(BALANCE, "340282366920938463463374607431768211456")], BAD_PROOF),
    ("two balances", &[Also(BALANCE, "1")], Says(409, "rdn-balance is given twice")),
    ("a balance that was not signed", &[Set(BALANCE, "2")], BAD_PROOF),
    ("a price below zero", &[Also("rdn-price", "-1")], Says(409, "Price must be >= 0")),
    ("a price that is no number", &[Also("rdn-price", "free")], Says(409, "Price must be an integer")),
    ("a payment header of old", &[Also("rdn-payment", "1")], Says(409, "Payment must be an integer")),
    // signed by whom
    ("a signature that is no hex", &[Set(SIGNATURE, "signed, me")], Says(409, "Invalid balance signature")),
    ("a signature of 64 bytes", &[Set(SIGNATURE, "0xRS")], Says(409, "Invalid balance signature")),
    ("a signature of 66 bytes", &[Set(SIGNATURE, "0xRSV00")], Says(409, "Invalid balance signature")),
    ("a signature with half a byte", &[Set(SIGNATURE, "0xRSV0")], Says(409, "Invalid balance signature")),
    ("two signatures", &[Also(SIGNATURE, "0xRSV")], Says(409, "rdn-balance-signature is given twice")),
    ("no signature", &[No(SIGNATURE)], Refused("")),
    ("a signature of zeros", &[Set(SIGNATURE, "0xZEROZERO00")], BAD_PROOF),
    ("r is zero", &[Set(SIGNATURE, "0xZEROSV")], BAD_PROOF),
    ("s is zero", &[Set(SIGNATURE, "0xRZEROV")], BAD_PROOF),
    ("r is the group's order", &[Set(SIGNATURE, "0xORDERSV")], BAD_PROOF),
    ("s is the group's order", &[Set(SIGNATURE, "0xRORDERV")], BAD_PROOF),
    ("r and s exchanged", &[Set(SIGNATURE, "0xSRV")], BAD_PROOF),
    ("v is 2", &[Set(SIGNATURE, "0xRS02")], BAD_PROOF),
    ("v as by EIP-155", &[Set(SIGNATURE, "0xRS25")], BAD_PROOF),
    ("v is 255", &[Set(SIGNATURE, "0xRSff")], BAD_PROOF),
    // cookies count more than headers
    (
        "a cookie's block that is no number",
        &[Also("cookie", "RDN-Open-Block=x")],
        Says(409, "Open block must be an integer"),
    ),
    ("a cookie's balance below zero", &[Also("cookie", "RDN-Sender-Balance=-5")], Says(409, "Balance must be >= 0")),
    ("a cookie's empty balance", &[Also("cookie", "RDN-Sender-Balance=")], Says(409, "Balance must be an integer")),
    (
        "a cookie's balance above 256 bits",
        &[Also("cookie", "RDN-Sender-Balance=1ORDER_OF_MAGNITUDE")],
        Says(409, "Balance must be an integer"),
    ),
    ("a cookie's sender that is none", &[Also("cookie", "RDN-Sender-Address=me")], Says(409, "Invalid sender address")),
    (
        "a cookie's signature that is none",
        &[Also("cookie", "RDN-Balance-Signature=\"\"\"x")],
        Says(409, "Invalid balance signature"),
    ),
    ("a cookie that takes the signature away", &[Also("cookie", "RDN-Balance-Signature=")], Refused("")),
    (
        "the first of two cookies",
        &[Also("cookie", "RDN-Open-Block=x; RDN-Open-Block=1")],
        Says(409, "Open block must be an integer"),
    ),
    // beside the payment
    ("an empty request id", &[Also(KEY, "")], Fault(400, "bad_request_id")),
    ("two request ids", &[Also(KEY, "a"), Also(KEY, "b")], Fault(400, "bad_request_id")),
    ("a request id above 255 letters", &[Also(KEY, "LONG")], Fault(400, "bad_request_id")),
    ("a request id that is no text", &[Also(KEY, "\u{e9}")], Fault(400, "bad_request_id")),
    ("an amount that is signed and wrong", &[Set(BALANCE, "7"), Set(SIGNATURE, "FOR_7")], BAD_AMOUNT),
    ("an amount above the deposit", &[Set(BALANCE, "10000"), Set(SIGNATURE, "FOR_10000")], BAD_AMOUNT),
];

/// A GET with a payment, which is good but for the changes.
fn request(payer: &Payer, changes: &[Change]) -> String {
    let signature = |amount| {
        let voucher = payer.voucher(amount);
        hex::encode(hex::decode(voucher[SIGNATURE].to_str().unwrap()).unwrap())
    };
    let good = signature(1);
    let mut headers: Vec<(String, String)> = payer
        .voucher(1)
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
        .collect();
    let filled = |value: &str| match value {
        "FOR_7" => signature(7),
        "FOR_10000" => signature(10_000),
        "LONG" => "x".repeat(256),
        _ => value
            .replace("ORDER_OF_MAGNITUDE", &"0".repeat(100))
            .replace("PAYER", &payer.address())
            .replace("ZERO", ZERO)
            .replace("ORDER", ORDER)
            .replace('R', &good[..64])
            .replace('S', &good[64..128])
            .replace('V', &good[128..]),
    };
    for change in changes {
        match *change {
            No(name) => headers.retain(|(key, _)| key != name),
            Set(name, value) => headers.iter_mut().filter(|(key, _)| key == name).for_each(|(_, v)| *v = filled(value)),
            Also("cookie", value) => {
                headers.push(("cookie".to_owned(), value.replace("ORDER_OF_MAGNITUDE", &"0".repeat(100))))
            }
            Also(name, value) => headers.push((name.to_owned(), filled(value))),
        }
    }
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("GET /page HTTP/1.1\nhost: x\n{headers}\n")
}

#[tokio::test]
async fn payments_that_make_no_sense() {
    let mut bench = Bench::new(|config| config.front.timeouts.sync = Duration::from_millis(50)).await;
    for (what, changes, hears) in PAYMENTS {
        let request = lines(&request(&bench.payer, changes));
        bench.expects(what, &[request], Duration::ZERO, *hears).await;
    }
    bench.done().await;
}
