//! What is measured: the set, as a list.

use std::time::Duration;

use ledger::When;

use crate::load::{Pace, Wire};
use crate::stage::{CREDIT_PATH, PROXIED_PATH, STATIC_PATH, STREAMED_PATH, Setting};

/// Who is asked for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    /// Each request is paid by the next voucher of one of many channels.
    Exact,
    /// All requests are paid on one channel, whose vouchers may overtake each other.
    Credit,
    /// Nobody pays: every answer is a 402.
    Unpaid,
    /// Signed by somebody else, on channels that exist: every answer is a 402.
    Forged,
}

/// Whom requests go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The fronts of a stage.
    Fronts(Setting),
    /// A front whose ledger writes nothing down.
    NoCommit(Setting),
    /// Our HTTP stack, which says hello.
    Hello,
    /// PostgreSQL, asked by this program without HTTP.
    Ledger(Setting, When),
    /// The original's proxy.
    Microraiden,
    /// The official x402 server for Express.
    X402,
}

/// One measurement.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name in tables and on the command line.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// Who answers.
    pub server: Server,
    /// What is asked for.
    pub path: &'static str,
    /// Who pays.
    pub payment: Payment,
    /// Connections that are kept alive, or so many streams: one request at a time on each.
    pub connections: usize,
    /// What they are.
    pub wire: Wire,
    /// When requests are sent.
    pub pace: Pace,
    /// Requests a second that nobody expects it to exceed: so many are signed ahead.
    pub at_most: f64,
    /// Who else wants something meanwhile.
    pub flood: Option<Flood>,
}

/// A client that buys nothing.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// What it sends.
    pub payment: Payment,
    /// Requests a second.
    pub per_second: f64,
}

impl Scenario {
    /// The stage that it is measured on, if any.
    pub fn setting(&self) -> Option<Setting> {
        match self.server {
            Server::Fronts(setting) | Server::Ledger(setting, _) | Server::NoCommit(setting) => Some(setting),
            Server::Hello | Server::Microraiden | Server::X402 => None,
        }
    }
}

/// Where most of it is measured.
pub const USUAL: Setting = Setting { fronts: 1, channels: 4_096, idle_channels: 0, slow_disk: None };

const fn slow(millis: u64) -> Setting {
    Setting { slow_disk: Some(Duration::from_millis(millis)), ..USUAL }
}

/// The rates of the plot of latency against load.
pub const RATES: [(&str, f64); 8] = [
    ("open 1 000/s", 1_000.0),
    ("open 2 500/s", 2_500.0),
    ("open 5 000/s", 5_000.0),
    ("open 7 500/s", 7_500.0),
    ("open 10 000/s", 10_000.0),
    ("open 12 500/s", 12_500.0),
    ("open 15 000/s", 15_000.0),
    ("open 20 000/s", 20_000.0),
];

/// What can be asked for.
pub fn names() -> String {
    all().iter().map(|scenario| format!("`{}`", scenario.name)).collect::<Vec<_>>().join(", ")
}

/// Everything that is measured in one run, in order: those of one stage together, and beside each other what is compared.
pub fn all() -> Vec<Scenario> {
    let static_paid = Scenario {
        name: "static",
        about: "paid GET of a static answer, charged at once, 256 connections, 4 096 channels",
        server: Server::Fronts(USUAL),
        path: STATIC_PATH,
        payment: Payment::Exact,
        connections: 256,
        wire: Wire::Http1,
        pace: Pace::Closed,
        at_most: 50_000.0,
        flood: None,
    };
    let on = |setting| Server::Fronts(setting);
    let mut all = vec![
        Scenario {
            name: "1 024 channels",
            about: "static, with 1 024 channels in the ledger",
            server: on(Setting { channels: 1_024, ..USUAL }),
            ..static_paid.clone()
        },
        Scenario {
            name: "1 000 000 channels",
            about: "static, with 1 000 000 channels in the ledger, of which 4 096 pay",
            server: on(Setting { idle_channels: 1_000_000, ..USUAL }),
            ..static_paid.clone()
        },
        Scenario {
            name: "two fronts",
            about: "static, two fronts behind HAProxy",
            server: on(Setting { fronts: 2, ..USUAL }),
            ..static_paid.clone()
        },
        Scenario {
            name: "no commit",
            about: "static, at a front whose ledger applies all rules in memory and writes nothing down",
            server: Server::NoCommit(USUAL),
            at_most: 50_000.0,
            ..static_paid.clone()
        },
        static_paid.clone(),
        Scenario {
            name: "proxied",
            about: "hold, call of an upstream, capture",
            path: PROXIED_PATH,
            at_most: 30_000.0,
            ..static_paid.clone()
        },
        Scenario {
            name: "HTTP/2",
            about: "static, over 16 connections of HTTP/2 with 16 streams each",
            wire: Wire::Http2 { streams: 16 },
            ..static_paid.clone()
        },
        Scenario {
            name: "ledger",
            about: "group commit without HTTP and signatures, 256 callers",
            server: Server::Ledger(USUAL, When::Now),
            ..static_paid.clone()
        },
        Scenario {
            name: "ledger, held",
            about: "the same, held and captured in two commits",
            server: Server::Ledger(USUAL, When::Later),
            ..static_paid.clone()
        },
        Scenario {
            name: "unpaid",
            about: "402 to a GET without a payment",
            payment: Payment::Unpaid,
            ..static_paid.clone()
        },
        Scenario {
            name: "streamed",
            about: "200/s of what the upstream says in two halves, 50 ms apart",
            path: STREAMED_PATH,
            pace: Pace::Open { per_second: 200.0 },
            ..static_paid.clone()
        },
        Scenario {
            name: "hot channel",
            about: "one channel, 64 connections, `credit` terms",
            path: CREDIT_PATH,
            payment: Payment::Credit,
            connections: 64,
            ..static_paid.clone()
        },
    ];
    all.extend(RATES.map(|(name, per_second)| Scenario {
        name,
        about: "paid GET of a static answer at a given rate",
        pace: Pace::Open { per_second },
        at_most: per_second * 1.1,
        ..static_paid.clone()
    }));
    all.extend([
        Scenario {
            name: "overload",
            about: "4 096 connections that all ask at once and again at once: more than may wait for their turn",
            connections: 4_096,
            ..static_paid.clone()
        },
        Scenario {
            name: "unpaid flood",
            about: "2 000/s paid, while 30 000/s ask for the same and pay nothing",
            pace: Pace::Open { per_second: 2_000.0 },
            flood: Some(Flood { payment: Payment::Unpaid, per_second: 30_000.0 }),
            ..static_paid.clone()
        },
        Scenario {
            name: "forged flood",
            about: "2 000/s paid, while 30 000/s are paid with a bad signature",
            pace: Pace::Open { per_second: 2_000.0 },
            flood: Some(Flood { payment: Payment::Forged, per_second: 30_000.0 }),
            ..static_paid.clone()
        },
        Scenario { name: "1 024 connections", about: "static, 1 024 connections", connections: 1_024, ..static_paid.clone() },
        Scenario {
            name: "disk + 1 ms",
            about: "static, 1 024 connections, each flush of the disk 1 ms longer",
            server: on(slow(1)),
            connections: 1_024,
            ..static_paid.clone()
        },
        Scenario {
            name: "disk + 4 ms",
            about: "static, 1 024 connections, each flush of the disk 4 ms longer",
            server: on(slow(4)),
            connections: 1_024,
            ..static_paid.clone()
        },
        Scenario {
            name: "hello",
            about: "a GET that costs nothing, on the same HTTP stack",
            server: Server::Hello,
            payment: Payment::Unpaid,
            ..static_paid.clone()
        },
        Scenario {
            name: "µRaiden",
            about: "the original's own proxy, as it comes from PyPI",
            server: Server::Microraiden,
            connections: 14,
            at_most: 400.0,
            ..static_paid.clone()
        },
        Scenario {
            name: "x402",
            about: "the official `@x402/express` server, batch settlement, its store in memory, 64 channels and connections",
            server: Server::X402,
            connections: 64,
            at_most: 1_500.0,
            ..static_paid
        },
    ]);
    all
}
