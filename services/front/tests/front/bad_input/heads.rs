//! Request lines, hosts, paths, methods and headers.

use std::time::Duration;

use super::Hears::{self, *};
use super::conversation::{Bench, exactly, lines};

/// `LARGE` stands for 20 000 letters, `LONG` for 9 000. The end of each head is added.
const HEADS: &[(&str, &str, Hears)] = &[
    // the request line
    ("nothing but lines' ends", "\n\n", Hangup),
    ("no version", "GET /page\nhost: x", Bare(400)),
    ("HTTP/0.9", "GET /page HTTP/0.9\nhost: x", Bare(400)),
    ("HTTP/1.2", "GET /page HTTP/1.2\nhost: x", Bare(400)),
    ("HTTP/3.0", "GET /page HTTP/3.0\nhost: x", Bare(400)),
    ("two spaces before the path", "GET  /page HTTP/1.1\nhost: x", Bare(400)),
    ("a tab for a space", "GET\t/page HTTP/1.1\nhost: x", Bare(400)),
    ("a space in the path", "GET /a page HTTP/1.1\nhost: x", Bare(400)),
    ("no method", " /page HTTP/1.1\nhost: x", Bare(400)),
    ("a method with a bracket", "G(T /page HTTP/1.1\nhost: x", Bare(400)),
    ("a TLS greeting", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03", Bare(400)),
    ("a zero byte in the path", "GET /pa\x00ge HTTP/1.1\nhost: x", Bare(400)),
    ("a byte above ASCII in the method", "G\u{c9}T /page HTTP/1.1\nhost: x", Bare(400)),
    // targets
    ("the asterisk", "GET * HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("no slash", "GET page HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("a tunnel", "CONNECT shop.example:80 HTTP/1.1\nhost: x", Fault(501, "upgrade_unsupported")),
    ("another scheme's URL", "GET ftp://x/../page HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("dot segments", "GET /free.txt/../page HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("encoded dot segments", "GET /%2e%2E/page HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("an encoded slash", "GET /free%2fpage HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("an encoded backslash", "GET /free%5cpage HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("a backslash", "GET /free\\page HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("a semicolon", "GET /free.txt;/page HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("dot segments behind a semicolon", "GET /free/..;/page HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("two slashes", "GET //page HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("an encoded zero byte", "GET /pa%00ge HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("an encoded line's end", "GET /page%0d%0ax:y HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("half an encoding", "GET /page%2 HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("an encoding that is none", "GET /pa%zzge HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    ("a fragment", "GET /page#top HTTP/1.1\nhost: x", Refused("")),
    ("a path that is no UTF-8", "GET /pa\u{ff}ge HTTP/1.1\nhost: x", Bare(400)),
    ("an encoded byte that is no UTF-8", "GET /pa%ffge HTTP/1.1\nhost: x", Refused("")),
    ("a query above the limit", "GET /page?LONG HTTP/1.1\nhost: x", Fault(414, "uri_too_long")),
    ("a path above the limit", "GET /LONG HTTP/1.1\nhost: x", Fault(414, "uri_too_long")),
    ("a path above a head's limit", "GET /LARGE HTTP/1.1\nhost: x", Bare(431)),
    // hosts
    ("no host", "GET /page HTTP/1.1", Fault(400, "bad_host")),
    ("two hosts", "GET /page HTTP/1.1\nhost: x\nhost: y", Fault(400, "bad_host")),
    ("the same host twice", "GET /page HTTP/1.1\nhost: x\nhost: x", Fault(400, "bad_host")),
    ("two hosts in one", "GET /page HTTP/1.1\nhost: x, y", Fault(400, "bad_host")),
    ("a host with a path", "GET /page HTTP/1.1\nhost: x/y", Fault(400, "bad_host")),
    ("a host with a user", "GET /page HTTP/1.1\nhost: me@x", Fault(400, "bad_host")),
    ("a host with a port that is none", "GET /page HTTP/1.1\nhost: x:http", Fault(400, "bad_host")),
    ("a host that is no text", "GET /page HTTP/1.1\nhost: \u{ff}", Fault(400, "bad_host")),
    ("a host that is not ours", "GET /page HTTP/1.1\nhost: other.example", Refused("")),
    ("no host in HTTP/1.0", "GET /page HTTP/1.0", Refused("")),
    // methods
    ("a method that is not for sale", "DELETE /file.txt HTTP/1.1\nhost: x", Fault(405, "method_not_allowed")),
    ("a method in small letters", "get /file.txt HTTP/1.1\nhost: x", Fault(405, "method_not_allowed")),
    ("the preface of HTTP/2 as a request", "PRI * HTTP/1.1\nhost: x", Fault(400, "bad_path")),
    (
        "an upgrade",
        "GET /page HTTP/1.1\nhost: x\nconnection: upgrade\nupgrade: websocket",
        Fault(501, "upgrade_unsupported"),
    ),
    ("an offer of HTTP/2", "GET /page HTTP/1.1\nhost: x\nupgrade: h2c", Refused("")),
    // headers
    ("a space before the colon", "GET /page HTTP/1.1\nhost: x\nx-y : z", Bare(400)),
    ("no colon", "GET /page HTTP/1.1\nhost: x\nnonsense", Bare(400)),
    ("no name", "GET /page HTTP/1.1\nhost: x\n: z", Bare(400)),
    ("a name that is no text", "GET /page HTTP/1.1\nhost: x\nx\u{e9}: z", Bare(400)),
    ("a folded line", "GET /page HTTP/1.1\nhost: x\nx-y: z\n folded", Bare(400)),
    ("a folded first line", "GET /page HTTP/1.1\n host: x", Bare(400)),
    ("a zero byte in a value", "GET /page HTTP/1.1\nhost: x\nx-y: \x00", Bare(400)),
    ("a bell in a value", "GET /page HTTP/1.1\nhost: x\nx-y: \x07", Bare(400)),
    ("headers above the limit", "GET /page HTTP/1.1\nhost: x\nx-y: LARGE", Bare(431)),
    ("a name above the limit", "GET /page HTTP/1.1\nhost: x\nLARGE: z", Bare(431)),
    ("101 headers", "GET /page HTTP/1.1\nhost: x\n100 MORE", Bare(431)),
];

/// Byte for byte: these lines end as they like.
const BYTES: &[(&str, &str, Hears)] = &[
    ("bare line feeds", "GET /page HTTP/1.1\nhost: x\n\n", Refused("")),
    ("a bare carriage return in a value", "GET /page HTTP/1.1\r\nhost: x\r\nx-y: a\rb\r\n\r\n", Bare(400)),
    ("bare carriage returns for ends", "GET /page HTTP/1.1\rhost: x\r\r", Bare(400)),
    ("a carriage return before the end", "GET /page HTTP/1.1\r\nhost: x\r\r\n\r\n", Bare(400)),
];

#[tokio::test]
async fn heads_that_make_no_sense() {
    let mut bench = Bench::new(|config| config.front.timeouts.header = Duration::from_millis(300)).await;
    for (what, head, hears) in HEADS {
        let more: String = (0..100).map(|n| format!("x-{n}: y\n")).collect();
        let head = head.replace("LARGE", &"x".repeat(20_000)).replace("LONG", &"x".repeat(9_000));
        let head = head.replace("100 MORE", more.trim_end());
        bench.expects(what, &[lines(&format!("{head}\n\n"))], Duration::ZERO, *hears).await;
    }
    for (what, head, hears) in BYTES {
        bench.expects(what, &[exactly(head)], Duration::ZERO, *hears).await;
    }
    bench.done().await;
}
