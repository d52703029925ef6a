//! Where a request ends: framings that can be read in two ways, bodies that break off, and what the REST paths are sent.

use std::time::Duration;

use super::Hears::{self, *};
use super::conversation::{Bench, lines};

/// A request that is there only for who reads the one before it in another way.
const HIDDEN: &str = "GET /free.txt HTTP/1.1\nhost: x\n\n";

/// Unpaid, after `POST /page HTTP/1.1` and `host: x`. `HIDDEN` is one more request; it is never answered.
const FRAMINGS: &[(&str, &str, Hears)] = &[
    ("a length and chunks", "content-length: 5\ntransfer-encoding: chunked\n\n0\n\nHIDDEN", Refused("")),
    ("chunks and a length", "transfer-encoding: chunked\ncontent-length: 42\n\n0\n\nHIDDEN", Refused("")),
    ("two lengths", "content-length: 0\ncontent-length: 5\n\nHIDDEN", Bare(400)),
    ("two lengths in one", "content-length: 0, 5\n\nHIDDEN", Bare(400)),
    ("the same length twice", "content-length: 5\ncontent-length: 5\n\nhello", Refused("")),
    ("a length with a sign", "content-length: +0\n\nHIDDEN", Bare(400)),
    ("a length below zero", "content-length: -5\n\nHIDDEN", Bare(400)),
    ("a length in hex", "content-length: 0x5\n\nHIDDEN", Bare(400)),
    ("a length with a point", "content-length: 5.0\n\nHIDDEN", Bare(400)),
    ("an empty length", "content-length:\n\nHIDDEN", Bare(400)),
    ("a length above 64 bits", "content-length: 18446744073709551616\n\nHIDDEN", Bare(400)),
    ("a length above the limit", "content-length: 1048577\n\nHIDDEN", Fault(413, "body_too_large")),
    ("the longest length there is", "content-length: 18446744073709551615\n\nHIDDEN", Bare(431)),
    ("an encoding that we do not know", "transfer-encoding: xchunked\n\n0\n\nHIDDEN", Bare(400)),
    ("chunks that are not last", "transfer-encoding: chunked, identity\n\n0\n\nHIDDEN", Bare(400)),
    ("chunks in chunks", "transfer-encoding: chunked, chunked\n\n0\n\n", Fault(501, "encoding_unsupported")),
    (
        "chunks twice",
        "transfer-encoding: chunked\ntransfer-encoding: chunked\n\n0\n\n",
        Fault(501, "encoding_unsupported"),
    ),
    ("compressed chunks", "transfer-encoding: gzip, chunked\n\n0\n\n", Fault(501, "encoding_unsupported")),
    ("the identity", "transfer-encoding: identity\n\nHIDDEN", Bare(400)),
    ("an encoding behind a tab", "transfer-encoding:\x0bchunked\n\n0\n\nHIDDEN", Bare(400)),
    ("an encoding before a space", "transfer-encoding : chunked\n\n0\n\nHIDDEN", Bare(400)),
    ("a folded encoding", "x: y\n transfer-encoding: chunked\n\n0\n\nHIDDEN", Bare(400)),
    ("an unpaid body that is broken", "transfer-encoding: chunked\n\nzz\nhello\n0\n\nHIDDEN", Refused("")),
    ("an expectation that is none", "expect: miracles\ncontent-length: 0\n\n", Refused("")),
];

/// With a payment, after `POST /page HTTP/1.1` and `host: x`: the body is read before anything is charged. `EOF` hangs up.
const PAID: &[(&str, &str, Hears)] = &[
    ("a chunk's size that is none", "transfer-encoding: chunked\n\nzz\nhello\n0\n\nHIDDEN", BROKEN),
    ("no size of a chunk", "transfer-encoding: chunked\n\n\nhello\n0\n\nHIDDEN", BROKEN),
    ("a chunk's size below zero", "transfer-encoding: chunked\n\n-5\nhello\n0\n\nHIDDEN", BROKEN),
    ("a chunk's size above 64 bits", "transfer-encoding: chunked\n\n10000000000000000\nhello\n0\n\nHIDDEN", BROKEN),
    ("a chunk that is longer than it says", "transfer-encoding: chunked\n\n2\nhello\n0\n\nHIDDEN", BROKEN),
    ("a chunk that is shorter than it says", "transfer-encoding: chunked\n\n6\nhello\n0\n\nHIDDEN", BROKEN),
    ("a chunk above the limit", "transfer-encoding: chunked\n\n200000\nMANY", Fault(413, "body_too_large")),
    ("chunks without an end", "transfer-encoding: chunked\n\n5\nhello\nEOF", BROKEN),
    ("less than the length", "content-length: 9\n\nhelloEOF", BROKEN),
    ("a body that stops", "content-length: 9\n\nhello", Fault(408, "body_timeout")),
];

const BROKEN: Hears = Fault(400, "body_broken");

#[tokio::test]
async fn bodies_that_make_no_sense() {
    let mut bench = Bench::new(|config| config.front.timeouts.body_idle = Duration::from_millis(300)).await;
    for (what, rest, hears) in FRAMINGS {
        let request = format!("POST /page HTTP/1.1\nhost: x\n{rest}").replace("HIDDEN", HIDDEN);
        bench.expects(what, &[lines(&request)], Duration::ZERO, *hears).await;
    }
    let payment: String =
        (bench.payer.voucher(1).iter()).map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
    for (what, rest, hears) in PAID {
        let rest = rest.replace("HIDDEN", HIDDEN).replace("MANY", &"x".repeat(2 << 20));
        let request = format!("POST /page HTTP/1.1\nhost: x\n{payment}{rest}");
        bench.expects(what, &[lines(&request)], Duration::ZERO, *hears).await;
    }
    bench.done().await;
}
