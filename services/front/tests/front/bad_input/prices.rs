//! Numbers in paths, which are prices.

use std::time::Duration;

use super::Hears::{self, *};
use super::conversation::{Bench, lines};

/// Costs n, and n × 2^64 + 1.
const ROUTES: &str = r#"
    [[front.routes]]
    regex = '/reserve_tokens/(?P<n>.+)'
    upstream = "UPSTREAM"
    price = { capture = "n" }
    [[front.routes]]
    regex = '/dear/(?P<n>[0-9]+)'
    upstream = "UPSTREAM"
    price = { capture = "n", times = "18446744073709551616", plus = 1 }
"#;

const BAD: Hears = Fault(400, "bad_number");

const NUMBERS: &[(&str, &str, Hears)] = &[
    ("the most there is", "/reserve_tokens/340282366920938463463374607431768211455", Refused("")),
    ("one more than that", "/reserve_tokens/340282366920938463463374607431768211456", BAD),
    ("a hundred digits", "/reserve_tokens/9HUNDRED", BAD),
    ("a hundred zeros and one", "/reserve_tokens/HUNDRED1", Refused("")),
    ("a sign", "/reserve_tokens/-1", BAD),
    ("a sign that changes nothing", "/reserve_tokens/+1", BAD),
    ("an encoded sign", "/reserve_tokens/%2B1", BAD),
    ("a point", "/reserve_tokens/1.5", BAD),
    ("an exponent", "/reserve_tokens/1e3", BAD),
    ("hex", "/reserve_tokens/0x10", BAD),
    ("a space", "/reserve_tokens/%201", BAD),
    ("digits of another script", "/reserve_tokens/%D9%A1", BAD),
    ("no UTF-8", "/reserve_tokens/1%ff", BAD),
    ("two numbers", "/reserve_tokens/1/2", BAD),
    ("a product that is too much", "/dear/18446744073709551616", BAD),
    ("a product that is just enough", "/dear/18446744073709551615", Refused("")),
];

#[tokio::test]
async fn numbers_that_make_no_price() {
    let mut bench = Bench::selling(ROUTES).await;
    for (what, path, hears) in NUMBERS {
        let path = path.replace("HUNDRED", &"0".repeat(100));
        let request = lines(&format!("GET {path} HTTP/1.1\nhost: x\n\n"));
        bench.expects(what, &[request], Duration::ZERO, *hears).await;
    }
    bench.done().await;
}
