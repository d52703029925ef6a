//! Clients that take their time, or go.

use std::time::Duration;

use super::Hears::{self, *};
use super::conversation::{Bench, lines};

/// Pieces, each said 400 ms after the last; a front waits 300 ms for a head and 150 ms for the next piece of a body.
const SLOW: &[(&str, &[&str], Hears)] = &[
    ("who says nothing", &[""], Hangup),
    ("half a request line", &["GET /pa"], Hangup),
    ("half of HTTP/2's preface", &["PRI * HTTP/2.0\n\nSM"], Hangup),
    ("a head that dribbles", &["GET /page HTTP/1.1\n", "host: x\n", "x-y: z\n", "\n"], Hangup),
    ("a head that stops in a value", &["GET /page HTTP/1.1\nhost: x\nx-y: "], Hangup),
    ("an unpaid body that dribbles", &["POST /page HTTP/1.1\nhost: x\ncontent-length: 5\n\nhe", "llo"], Refused("")),
    (
        "an unpaid chunk that never comes",
        &["POST /page HTTP/1.1\nhost: x\ntransfer-encoding: chunked\n\n5\n"],
        Refused(""),
    ),
];

#[tokio::test]
async fn clients_that_take_their_time() {
    let change = |config: &mut runtime::Config| {
        config.front.timeouts.header = Duration::from_millis(300);
        config.front.timeouts.body_idle = Duration::from_millis(150);
    };
    let mut bench = Bench::new(change).await;
    for (what, pieces, hears) in SLOW {
        let pieces: Vec<_> = pieces.iter().map(|piece| lines(piece)).collect();
        bench.expects(what, &pieces, Duration::from_millis(400), *hears).await;
    }
    bench.done().await;
}
