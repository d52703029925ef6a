//! A request comes in if there is a place for it, and keeps the place until its answer is taken.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use runtime::trace::Span;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::access_log::Notes;
use crate::body::{Body, BoxError};
use crate::fault::Fault;
use crate::forwarded::Peer;
use crate::front::{Front, Visit};
use crate::metrics::{self, Present};
use crate::patience::InProgress;
use crate::paywall;
use crate::route::Route;

/// Answers a request, from the whole shop or this route alone, or says that there are too many. `in_progress` is over
/// when the answer is sent, dropped or given up.
pub(crate) async fn admit(
    front: &Arc<Front>,
    peer: Peer,
    only: Option<Arc<Route>>,
    request: Request<Body>,
    in_progress: Option<InProgress>,
) -> Response<Admitted> {
    let version = request.version();
    let (answer, in_flight) = match front.in_flight.clone().try_acquire_owned() {
        Ok(place) => {
            let present = Present::new("front_http_requests_in_flight");
            let client = front.trust.client(&peer, request.headers());
            let asked = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
            let span = Span::asked(asked);
            let cause = span.cause(asked);
            let visit = Visit { peer, client, admitted: Arc::new(place), notes: Notes::default(), span };
            let answer = ledger::traced(cause.as_deref(), paywall::answer(front, &visit, only, request)).await;
            (answer, Some((visit.admitted, present)))
        }
        Err(_) => {
            metrics::shed();
            (Fault::Overloaded.answer(), None)
        }
    };
    answer.map(|body| {
        let can_stall = version == Version::HTTP_2 && !body.is_end_stream();
        let guarded = Guarded { body, _in_flight: in_flight, _in_progress: in_progress };
        if can_stall { Admitted::watched(guarded, front.timeouts.body_idle) } else { Admitted::Plain(guarded) }
    })
}

/// A body whose request is in flight until it is sent, dropped or given up.
pub(crate) enum Admitted {
    /// Whose connection bounds how long it may wait.
    Plain(Guarded),
    /// On HTTP/2 a client can take nothing of one answer while its connection lives, and nothing asks the body for more
    /// then. Such a body is given up, and with it the request's place: the stream fails if its client wants more after all.
    Watched {
        /// What is sent.
        contents: Arc<Mutex<Contents>>,
        /// Gives it up.
        _watch: AbortOnDropHandle<()>,
    },
}

/// A body and what is kept until it is over.
pub(crate) struct Guarded {
    body: Body,
    _in_flight: Option<(Arc<OwnedSemaphorePermit>, Present)>,
    _in_progress: Option<InProgress>,
}

/// A body that may be given up.
pub(crate) struct Contents {
    guarded: Option<Guarded>,
    /// When the last piece was handed over, unless the next was asked for since.
    handed_over: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
#[error("the client did not take its answer in time")]
struct NotTaken;

impl Admitted {
    fn watched(guarded: Guarded, patience: Duration) -> Admitted {
        let contents = Arc::new(Mutex::new(Contents { guarded: Some(guarded), handed_over: None }));
        let watch = AbortOnDropHandle::new(tokio::spawn(give_up(contents.clone(), patience)));
        Admitted::Watched { contents, _watch: watch }
    }
}

/// Gives up a body when nobody asks for its next piece for so long.
async fn give_up(contents: Arc<Mutex<Contents>>, patience: Duration) {
    let mut wait = patience;
    while !wait.is_zero() {
        tokio::time::sleep(wait).await;
        let handed_over = lock(&contents).handed_over;
        wait = handed_over.map_or(patience, |at| patience.saturating_sub(at.elapsed()));
    }
    lock(&contents).guarded = None;
}

fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

impl http_body::Body for Admitted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Admitted::Plain(guarded) => Pin::new(&mut guarded.body).poll_frame(cx),
            Admitted::Watched { contents, .. } => lock(contents).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Admitted::Plain(guarded) => guarded.body.is_end_stream(),
            Admitted::Watched { contents, .. } => lock(contents).body().is_some_and(|body| body.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Admitted::Plain(guarded) => guarded.body.size_hint(),
            Admitted::Watched { contents, .. } => {
                lock(contents).body().map_or_else(SizeHint::default, |body| body.size_hint())
            }
        }
    }
}

impl Contents {
    fn body(&self) -> Option<&Body> {
        self.guarded.as_ref().map(|guarded| &guarded.body)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(guarded) = &mut self.guarded else { return Poll::Ready(Some(Err(NotTaken.into()))) };
        let frame = Pin::new(&mut guarded.body).poll_frame(cx);
        self.handed_over = frame.is_ready().then(Instant::now);
        frame
    }
}
