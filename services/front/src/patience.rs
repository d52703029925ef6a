//! How long a connection may take over what: saying its first words, finishing a head, thinking of another request.
//!
//! ```text
//! accepted ─► head ─► requests in progress (bounded by themselves) ─► idle ─► head ─► …
//!          header_ms                                        keep_alive_ms   header_ms, from its first byte
//! ```
//! A head begun late is hung up on. An idle connection is told to end; what it had begun to ask at that moment is answered.
//! On HTTP/2 heads are not told from pings: there a connection is idle, and that is bounded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Version;
use runtime::config::Timeouts;
use tokio::time::Instant;

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
        let state = State { requests: 0, waits_for: Wait::Rest, since: Instant::now(), is_multiplexed: false };
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

    /// What is waited for now, and until when; `None` while requests are answered.
    pub(crate) fn deadline(&self) -> Option<(Instant, Wait)> {
        let state = self.state();
        let patience = match state.waits_for {
            Wait::Rest => self.head,
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
