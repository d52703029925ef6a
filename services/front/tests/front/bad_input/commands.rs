//! What the REST paths are sent.

use std::time::Duration;

use super::Hears::{self, *};
use super::conversation::{Bench, lines};

const BAD: Hears = Says(400, "Bad balance format");
const NO_INTEGER: Hears = Body(400, r#"{"message":{"balance":"last balance proof balance"}}"#);
const NOT_FOUND: Hears = Body(404, r#"{"message":"Not found"}"#);
const NO_CHANNEL: Hears = Says(400, "Channel does not exist or has been closed");
const WRONG: Hears = Says(400, "Requested closing balance does not match latest one.");
const NO_METHOD: Hears = Body(405, r#"{"message":"The method is not allowed for the requested URL."}"#);

/// After `/api/1`: `PAYER/1` is a channel, `HUGE` has 78 digits. With this body.
const COMMANDS: &[(&str, &str, &str, &str, Hears)] = &[
    // closes
    ("no balance", "DELETE", "/channels/PAYER/BLOCK", "", BAD),
    ("another field", "DELETE", "/channels/PAYER/BLOCK", "amount=5", BAD),
    ("a body that is no text", "DELETE", "/channels/PAYER/BLOCK", "balance=\u{ff}", BAD),
    ("half a JSON object", "DELETE", "/channels/PAYER/BLOCK", r#"{"balance": 5"#, BAD),
    ("an array", "DELETE", "/channels/PAYER/BLOCK", "[5]", BAD),
    ("an empty balance", "DELETE", "/channels/PAYER/BLOCK", "balance=", NO_INTEGER),
    ("a balance below zero", "DELETE", "/channels/PAYER/BLOCK", "balance=-1", NO_INTEGER),
    ("a balance with a point", "DELETE", "/channels/PAYER/BLOCK", r#"{"balance": 1.5}"#, NO_INTEGER),
    ("a balance with an exponent", "DELETE", "/channels/PAYER/BLOCK", r#"{"balance": 1e3}"#, NO_INTEGER),
    ("no balance in JSON", "DELETE", "/channels/PAYER/BLOCK", r#"{"balance": null}"#, BAD),
    ("a balance that is an object", "DELETE", "/channels/PAYER/BLOCK", r#"{"balance": {"a": 1}}"#, NO_INTEGER),
    ("two balances in JSON", "DELETE", "/channels/PAYER/BLOCK", r#"{"balance": 5, "balance": 6}"#, BAD),
    ("a balance above 256 bits", "DELETE", "/channels/PAYER/BLOCK", "balance=9HUGE", NO_INTEGER),
    ("a balance above 128 bits", "DELETE", "/channels/PAYER/BLOCK", "balance=1HUGE", WRONG),
    ("more than was ever authorised", "DELETE", "/channels/PAYER/BLOCK", "balance=5", WRONG),
    ("a sender that is no address", "DELETE", "/channels/me/BLOCK?balance=5", "", Says(400, "Invalid sender address")),
    ("a block that is no number", "DELETE", "/channels/PAYER/first?balance=5", "", NOT_FOUND),
    (
        "a block above 32 bits",
        "DELETE",
        "/channels/PAYER/4294967296?balance=5",
        "",
        Says(400, "Open block must be < 2^32"),
    ),
    ("a block above 256 bits", "DELETE", "/channels/PAYER/9HUGE?balance=5", "", NOT_FOUND),
    ("a channel that is not there", "DELETE", "/channels/PAYER/4294967295?balance=5", "", NO_CHANNEL),
    ("a body above the limit", "DELETE", "/channels/PAYER/BLOCK", "balance=LARGE", Fault(413, "body_too_large")),
    // other questions
    ("a method that is not there", "POST", "/channels/PAYER/BLOCK", "balance=5", NO_METHOD),
    ("all of a payer's channels", "DELETE", "/channels/PAYER", "", NO_METHOD),
    ("a path that is not there", "GET", "/chanels/", "", NOT_FOUND),
    ("the root", "GET", "", "", NOT_FOUND),
    ("a segment too many", "GET", "/channels/PAYER/BLOCK/x", "", NOT_FOUND),
    ("dot segments", "GET", "/channels/../stats", "", Fault(400, "bad_path")),
    ("a channel of nobody", "GET", "/channels/me/BLOCK", "", Says(404, "Sender address not found")),
    ("operating without a password", "DELETE", "/admin/channels/PAYER/BLOCK", "", NOT_FOUND),
];

#[tokio::test]
async fn questions_that_make_no_sense() {
    let mut bench = Bench::new(|config| config.front.limits.body_bytes = 1000).await;
    for (what, method, path, body, hears) in COMMANDS {
        let fill = |text: &str| {
            text.replace("PAYER", &bench.payer.address())
                .replace("BLOCK", &bench.payer.open_block.to_string())
                .replace("HUGE", &"0".repeat(77))
                .replace("LARGE", &"0".repeat(1001))
        };
        let (path, body) = (fill(path), fill(body));
        let length = body.chars().count();
        let request = format!("{method} /api/1{path} HTTP/1.1\nhost: x\ncontent-length: {length}\n\n{body}");
        bench.expects(what, &[lines(&request)], Duration::ZERO, *hears).await;
    }
    bench.done().await;
}
