//! How long a connection may take over what: saying its first words, finishing a head, thinking of another request.
//!
//! ```text
//! accepted ─► head ─► requests in progress (bounded by themselves) ─► idle ─► head ─► …
//!          header_ms                                        keep_alive_ms   header_ms, from its first byte
//! ```
//! A head begun late is hung up on. An idle connection is told to end; what it had begun to ask at that moment is answered.
//! On HTTP/2 heads are not told from pings: there a connection is idle, and that is bounded.
//!
//! When the front closes, idle connections are told to end. One that is answering on HTTP/1.1 may have begun to before it could say that
//! this is the last answer, and its client may send the next request with the answer's last byte: that one is waited for, briefly,
//! and says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Version;
use runtime::config::Timeouts;
use tokio::time::Instant;

/// How long the next request is waited for when the front closes.
const LINGER: Duration = Duration::from_secs(1);

/// What one connection is waited for.
pub(crate) struct Patience {
    head: Duration,
    keep_alive: Duration,
    state: Mutex<State>,
}

struct State {
    /// Being answered.
    requests: usize,
    waits_for: Wait,
    since: Instant,
    is_multiplexed: bool,
    /// For one more request, though the front closes.
    lingers: bool,
}

/// What a connection without a request in progress is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The first request, the rest of a head, or the end of a connection that was told to end.
    Rest,
    /// The next request.
    Next,
}

/// A request that is being answered; over when it is dropped.
pub(crate) struct InProgress(Arc<Patience>);

impl Patience {
    pub(crate) fn new(timeouts: &Timeouts) -> Arc<Patience> {
        let (requests, waits_for, since) = (0, Wait::Rest, Instant::now());
        let state = State { requests, waits_for, since, is_multiplexed: false, lingers: false };
        Arc::new(Patience { head: timeouts.header, keep_alive: timeouts.keep_alive, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes arrived.
    pub(crate) fn heard(&self) {
        let mut state = self.state();
        if state.requests == 0 && state.waits_for == Wait::Next && !state.is_multiplexed {
            (state.waits_for, state.since) = (Wait::Rest, Instant::now());
        }
    }

    /// A whole head arrived.
    pub(crate) fn begin(self: &Arc<Patience>, version: Version) -> InProgress {
        let mut state = self.state();
        state.requests += 1;
        state.is_multiplexed = version == Version::HTTP_2;
        drop(state);
        InProgress(self.clone())
    }

    /// From now on the rest of something is waited for: the first request, the end of a connection that was told to end.
    pub(crate) fn wait_for_the_rest(&self) {
        let mut state = self.state();
        (state.waits_for, state.since) = (Wait::Rest, Instant::now());
    }

    /// The front closes; says whether the connection is to end at once.
    pub(crate) fn is_over(&self) -> bool {
        let mut state = self.state();
        state.lingers |= state.requests > 0 && !state.is_multiplexed;
        !state.lingers
    }

    /// What is waited for now, and until when; `None` while requests are answered.
    pub(crate) fn deadline(&self) -> Option<(Instant, Wait)> {
        let state = self.state();
        let patience = match state.waits_for {
            Wait::Rest => self.head,
            Wait::Next if state.lingers => LINGER,
            Wait::Next => self.keep_alive,
        };
        (state.requests == 0).then(|| (state.since + patience, state.waits_for))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        (state.waits_for, state.since) = (Wait::Next, Instant::now());
    }
}
