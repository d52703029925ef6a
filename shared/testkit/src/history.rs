//! What clients did and were told while things went wrong, as one log; and whether the books agree with it.
//!
//! ```text
//! client:   asks ─► served │ refused │ failed │ credited │ unknown      (nothing heard: unknown)
//! nemesis:  "PostgreSQL is killed", "front-1 is killed", …              in the same log
//! afterwards: check(log, books)      books = what the ledger holds, and whom the upstream was called for
//! ```
//! Each request has a name of its own (its Idempotency-Key), under which the ledger and the upstream know it too. A request
//! that is repeated keeps its name. [`check()`] is a pure function: tests of its own show that it finds what it is there for.

mod books;
mod check;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use channel::{Amount, ChannelId};

pub use self::books::{Account, Books, Call, Sale, State};
pub use self::check::{Verdict, check};

/// A paid request as its client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its name.
    pub request: String,
    /// Who pays.
    pub channel: ChannelId,
    /// What the voucher says, cumulative.
    pub voucher: Amount,
    /// What it costs.
    pub price: Amount,
}

/// What the client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It got what it paid for.
    Served,
    /// It got nothing, and the reason is its payment.
    Refused,
    /// It got nothing, the reason is ours, and nothing was recorded.
    Failed,
    /// The upstream failed it: what it paid is credit.
    Credited,
    /// It heard nothing, or that nobody knows.
    Unknown,
}

/// One line of the log.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client asks.
    Asks {
        /// Counts all that was asked.
        number: usize,
        /// What.
        ask: Ask,
    },
    /// It is told something.
    Hears {
        /// On what.
        number: usize,
        /// What.
        told: Told,
    },
    /// Something is done to the cluster.
    Nemesis(String),
}

/// The log of one run.
#[derive(Debug)]
pub struct History {
    began: Instant,
    lines: Mutex<Vec<(Duration, Event)>>,
}

impl Default for History {
    fn default() -> Self {
        History { began: Instant::now(), lines: Mutex::default() }
    }
}

impl History {
    /// A client asks; what it hears is to be told under this number.
    pub fn asks(&self, ask: Ask) -> usize {
        let (at, mut lines) = (self.began.elapsed(), self.lock());
        let number = lines.len();
        lines.push((at, Event::Asks { number, ask }));
        number
    }

    /// It is told something.
    pub fn hears(&self, number: usize, told: Told) {
        let (at, mut lines) = (self.began.elapsed(), self.lock());
        lines.push((at, Event::Hears { number, told }));
    }

    /// Something is done to the cluster. Printed too; says when that was.
    pub fn nemesis(&self, what: &str) -> Duration {
        let at = self.began.elapsed();
        println!("{:>7.2} s  {what}", at.as_secs_f64());
        self.lock().push((at, Event::Nemesis(what.to_owned())));
        at
    }

    /// The time in the log.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// All lines.
    pub fn lines(&self) -> Vec<(Duration, Event)> {
        self.lock().clone()
    }

    /// When requests that were sent at `since` or later, or under way, were first served.
    pub fn first_served_after(&self, since: Duration) -> Option<Duration> {
        let lines = self.lock();
        let served =
            |(at, event): &&(Duration, Event)| *at >= since && matches!(event, Event::Hears { told: Told::Served, .. });
        lines.iter().find(served).map(|(at, _)| *at)
    }

    /// How often this was told.
    pub fn count(&self, told: Told) -> usize {
        self.lock()
            .iter()
            .filter(|(_, event)| matches!(event, Event::Hears { told: heard, .. } if *heard == told))
            .count()
    }

    /// How long requests took that were told so and sent in this span of time, sorted.
    pub fn took(&self, told: Told, from: Duration, to: Duration) -> Vec<Duration> {
        let lines = self.lock();
        let asked = |number: usize| lines.get(number).map_or(Duration::ZERO, |(at, _)| *at);
        let mut took: Vec<Duration> = lines
            .iter()
            .filter_map(|(at, event)| match event {
                Event::Hears { number, told: heard } if *heard == told => Some((asked(*number), *at)),
                _ => None,
            })
            .filter(|(asked, _)| (from..to).contains(asked))
            .map(|(asked, heard)| heard - asked)
            .collect();
        took.sort_unstable();
        took
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Duration, Event)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What so many percent of these sorted times do not exceed.
pub fn percentile(took: &[Duration], percent: usize) -> Duration {
    let rank = (took.len() * percent).div_ceil(100);
    took.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
