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

use channel::{Refusal, View};
use http::header::{ALLOW, CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use ledger::{Order, Refused};
use protocols::{Payment, Protocol, Reason};
use tracing::Instrument;

use crate::access_log::Unanswered;
use crate::body::{self, Body, Upload};
use crate::fault::Fault;
use crate::front::{Front, Visit};
use crate::goods::Ready;
use crate::route::Route;
use crate::shop::Shop;
use crate::till::Offer;
use crate::{clear, desk, metrics, purchase, quota, refusal, router, sale};

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
    let (name, answer) = match place {
        Ok(Place::Route(route, path)) => {
            let span =
                tracing::debug_span!("request", route = &*route.name, method = %head.method, client = %visit.peer.ip);
            let answer = at_route(front, visit, &route, &head, &path, &mut body).instrument(span).await;
            (route.name.to_string(), answer)
        }
        Ok(Place::Desk(protocol)) => {
            (protocol.name().to_owned(), desk::answer(front, visit, &shop, protocol, &head, &mut body).await)
        }
        Ok(Place::Preflight) => ("preflight".to_owned(), Ok(nothing_to_say())),
        Err(fault) => ("none".to_owned(), Err(fault)),
    };
    let mut answer = answer.unwrap_or_else(Fault::answer);
    front.cors.mark(&head, answer.headers_mut());
    metrics::answered(&name, &head.method, answer.status(), began.elapsed());
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

async fn at_route(
    front: &Arc<Front>,
    visit: &Visit,
    route: &Arc<Route>,
    head: &Parts,
    path: &str,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Fault> {
    if let Some(notice) = &route.maintenance {
        return Ok(Fault::Maintenance.answer_saying(notice));
    }
    if !route.is_free() && head.method == Method::OPTIONS {
        return Ok(allowing(route, Response::new(body::empty())));
    }
    if !route.allows(&head.method) {
        return Ok(allowing(route, Fault::MethodNotAllowed.answer()));
    }
    let Some(offer) = route.offer(head, path).await? else {
        return for_nothing(front, visit, route, head, path, body).await;
    };
    let answer = for_payment(front, visit, route, &offer, head, path, body).await;
    Ok(answer.unwrap_or_else(|fault| {
        visit.decided(&route.name, "fault", fault.reason());
        refusal::marked(fault.answer(), fault.reason())
    }))
}

fn allowing(route: &Route, mut answer: Response<Body>) -> Response<Body> {
    if let Ok(methods) = HeaderValue::try_from(route.allow()) {
        answer.headers_mut().insert(ALLOW, methods);
    }
    answer
}

async fn for_nothing(
    front: &Arc<Front>,
    visit: &Visit,
    route: &Route,
    head: &Parts,
    path: &str,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Fault> {
    let upload = body.take().map_or_else(Upload::nothing, |body| front.bounds().forward(body));
    let ready = route.goods.prepare(head, path, upload, &visit.peer).await?;
    ready.call_for_nothing(head, &route.name).await
}

/// One of the calls that a client has for nothing, if it has one left.
async fn from_quota(
    front: &Arc<Front>,
    visit: &Visit,
    route: &Route,
    head: &Parts,
    path: &str,
    body: &mut Option<Body>,
) -> Option<Result<Response<Body>, Fault>> {
    let left = front.quotas.take(&route.name, route.free?, visit.client).await?;
    visit.decided(&route.name, "free", "quota");
    let answer = for_nothing(front, visit, route, head, path, body).await.and_then(sale::unless_it_asks_for_payment);
    Some(answer.map(|mut answer| {
        answer.headers_mut().insert(quota::REMAINING, left.into());
        answer
    }))
}

async fn for_payment(
    front: &Arc<Front>,
    visit: &Visit,
    route: &Arc<Route>,
    offer: &Offer,
    head: &Parts,
    path: &str,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Fault> {
    let payment = match offer.till.protocol.payment(head) {
        Ok(Some(payment)) => payment,
        Ok(None) => {
            if let Some(answer) = from_quota(front, visit, route, head, path, body).await {
                return answer;
            }
            visit.decided(&route.name, "unpaid", "no_payment");
            return Ok(ask(offer, head, None));
        }
        Err(malformed) => {
            visit.decided(&route.name, "refused", "malformed");
            return Ok(refusal::marked(whole(offer.till.protocol.malformed(&malformed)), "malformed"));
        }
    };
    let channel = offer.till.channel(&payment.opening);
    let payer = payment.opening.payer;
    visit.notes.payment(payer, channel);
    front.shop.load().access.admit_payer(payer)?;
    front.budget.check(visit.client, payer).map_err(Fault::TooManyChecks)?;
    let Some(voucher) = offer.till.verify(channel, &payment) else {
        front.budget.failed(visit.client, payer);
        let why = front.why_not(channel).await?;
        return Ok(refuse(visit, route, offer, head, &payment, why.as_ref(), None));
    };

    let id = purchase::request_id(head)?;
    let (request, upload) = match body.take() {
        Some(body) if route.stream_requests => (purchase::streamed(head, id), front.bounds().forward(body)),
        Some(body) => {
            let bytes = front.bounds().read(body).await?;
            (purchase::whole(head, id, &bytes), Upload::whole(bytes))
        }
        None => (purchase::whole(head, id, &[]), Upload::nothing()),
    };
    let ready = route.goods.prepare(head, path, upload, &visit.peer).await?;
    if let Ready::Aside(answer) = ready {
        return Ok(answer);
    }
    let order = Order {
        deployment: offer.till.name.clone(),
        route: route.name.clone(),
        voucher,
        price: offer.price,
        terms: offer.till.terms,
        request,
        settle: route.charge,
    };
    match sale::sell(front, offer, order).await? {
        Ok(receipt) => {
            front.budget.paid(visit.client, payer);
            sale::deliver(front, visit, route, offer, &payment, ready, receipt).await
        }
        Err(Refused { refusal, view }) => {
            if refusal == Refusal::Unknown {
                front.budget.failed(visit.client, payer);
            }
            Ok(refuse(visit, route, offer, head, &payment, Some(&refusal), view.as_ref()))
        }
    }
}

/// The answer to a payment that bought nothing. Without a refusal by the rules, it was the signature.
fn refuse(
    visit: &Visit,
    route: &Route,
    offer: &Offer,
    head: &Parts,
    payment: &Payment,
    refusal: Option<&Refusal>,
    view: Option<&View>,
) -> Response<Body> {
    let (reason, answer) = match refusal.and_then(Fault::of_refusal) {
        Some(fault) => {
            visit.decided(&route.name, "fault", fault.reason());
            (fault.reason(), fault.answer())
        }
        None => {
            let name = refusal.map_or("signature", metrics::reason);
            visit.decided(&route.name, "refused", name);
            let reason = refusal.map_or(Reason::Signature, Reason::Rules);
            (name, ask(offer, head, Some(&protocols::Refused { payment, reason, view })))
        }
    };
    match refusal {
        Some(refusal) => refusal::explained(answer, reason, refusal),
        None => refusal::marked(answer, reason),
    }
}

/// The 402: for a person, with a page to pay on.
fn ask(offer: &Offer, head: &Parts, refused: Option<&protocols::Refused<'_>>) -> Response<Body> {
    let protocol = offer.till.protocol;
    let answer = protocol.challenge(&offer.quote(), refused);
    if protocol.wants_page(head) { offer.till.pages.paywall(&answer) } else { whole(answer) }
}

/// An answer that a protocol worded.
pub(crate) fn whole(answer: protocols::Answer) -> Response<Body> {
    let mut response = Response::new(body::full(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}
