//! A paid request.
//!
//! ```text
//! head ─► route (price) ─► free? ─────────────────────────────────────────────────────► goods
//!            │ priced                          ┌── yes ─────────────────────────────────────┘
//!            ▼                                 │
//!         protocol reads ─► no payment ─► free call left? ── no ─► 402, from memory
//!            │ payment
//!            ▼
//!         payer blocked? ─► 403
//!            │ no
//!            ▼
//!         signature ─► bad ─► 402, worded by a look at the channel
//!            │ good
//!            ▼
//!         body, file opened ─► ledger.sell ─► refused ─► 402 (or a fault of ours: 503, 409)
//!                                │ committed: from here it is recorded
//!                                ▼
//!         a task of its own:  call ─► worth its price ─► answer, receipt │ capture
//!                               └───► failed ─► release ─► answer
//! ```
//! *Invariant:* nothing is served that is not recorded, and the call settles the hold: a client that hangs up changes
//! nothing.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use protocols::Protocol;
use tracing::Instrument;

use crate::access_log::Unanswered;
use crate::body::{self, Body};
use crate::counter::Counter;
use crate::fault::Fault;
use crate::front::{Front, Visit};
use crate::metrics::{self, SharedString};
use crate::route::Route;
use crate::shop::Shop;
use crate::{clear, desk, router, spans};

/// What a request is answered with, whatever it is: from the whole shop, or from this route alone.
pub(crate) async fn answer(
    front: &Arc<Front>,
    visit: &Visit,
    only: Option<Arc<Route>>,
    request: Request<Body>,
) -> Response<Body> {
    let began = Instant::now();
    let shop = front.shop.load_full();
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    let unanswered = front.access_log.as_ref().map(|log| Unanswered::new(log, visit, &head, began));
    let place = shop.access.admit_client(visit.client).and_then(|()| place(front, &shop, only, &head));
    let (name, answer): (SharedString, _) = match place {
        Ok(Place::Route(route, path)) => {
            let span = spans::of_the_log(visit, &route, &head);
            let counter = Counter { front, visit, shop: &shop, route: &route, head: &head, path: &path };
            let answer = counter.serve(&mut body).instrument(span).await;
            (route.name.clone().into(), answer)
        }
        Ok(Place::Desk(protocol)) => {
            (protocol.name().into(), desk::answer(front, visit, &shop, protocol, &head, &mut body).await)
        }
        Ok(Place::Preflight) => ("preflight".into(), Ok(nothing_to_say())),
        Err(fault) => ("none".into(), Err(fault)),
    };
    let mut answer = answer.unwrap_or_else(Fault::answer);
    front.cors.mark(&head, answer.headers_mut());
    metrics::answered(&name, &head.method, answer.status(), began.elapsed());
    spans::answered(visit, &head, &name, answer.status());
    if let Some(unanswered) = unanswered {
        unanswered.answered(&name, &answer);
    }
    // Who expects `100 Continue` sends nothing before it, and a body that is too large is not read to its end.
    if let Some(body) = body
        && !head.headers.contains_key(EXPECT)
        && answer.status() != StatusCode::PAYLOAD_TOO_LARGE
    {
        front.bounds().discard(body).await;
    }
    answer
}

/// Who answers.
enum Place {
    /// With the request's path, decoded.
    Route(Arc<Route>, String),
    /// A protocol's own paths.
    Desk(&'static dyn Protocol),
    /// A browser asks whether a page may ask.
    Preflight,
}

fn place(front: &Front, shop: &Shop, only: Option<Arc<Route>>, head: &Parts) -> Result<Place, Fault> {
    if head.uri.path_and_query().is_some_and(|path| path.as_str().len() > front.limits.uri_bytes) {
        return Err(Fault::UriTooLong);
    }
    clear::check(head)?;
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > front.limits.body_bytes) {
        return Err(Fault::BodyTooLarge);
    }
    let path = router::plain(head.uri.path())?;
    if front.cors.is_preflight(head) {
        return Ok(Place::Preflight);
    }
    if let Some(route) = only {
        return Ok(Place::Route(route, path));
    }
    if let Some(till) = shop.tills.iter().find(|till| till.protocol.owns(&path)) {
        return Ok(Place::Desk(till.protocol));
    }
    let route = shop.router.find(&path).cloned().ok_or(Fault::NotFound)?;
    Ok(Place::Route(route, path))
}

fn nothing_to_say() -> Response<Body> {
    let mut answer = Response::new(body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// An answer that a protocol worded.
pub(crate) fn whole(answer: protocols::Answer) -> Response<Body> {
    let mut response = Response::new(body::full(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}
