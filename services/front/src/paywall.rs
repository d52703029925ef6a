//! A paid request.
//!
//! ```text
//! head ─► route (price) ─► free? ─────────────────────────────────────────────────────► goods
//!            │ priced
//!            ▼
//!         protocol reads ─► no payment ─► 402, from memory
//!            │ payment
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

use crate::body::{self, Body, Upload};
use crate::fault::Fault;
use crate::front::{Front, Visit};
use crate::route::Route;
use crate::shop::Shop;
use crate::till::Offer;
use crate::{close, metrics, purchase, router, sale};

/// What a request is answered with, whatever it is.
pub(crate) async fn answer(front: &Arc<Front>, visit: &Visit, request: Request<Body>) -> Response<Body> {
    let began = Instant::now();
    let shop = front.shop.load_full();
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    let (name, answer) = match place(front, &shop, &head) {
        Ok(Place::Route(route)) => {
            let span =
                tracing::debug_span!("request", route = route.name, method = %head.method, client = %visit.peer.ip);
            let answer = at_route(front, visit, &route, &head, &mut body).instrument(span).await;
            (route.name.clone(), answer)
        }
        Ok(Place::Desk(protocol)) => {
            (protocol.name().to_owned(), close::answer(front, &shop, protocol, &head, &mut body).await)
        }
        Err(fault) => ("none".to_owned(), Err(fault)),
    };
    let answer = answer.unwrap_or_else(Fault::answer);
    metrics::answered(&name, &head.method, answer.status(), began.elapsed());
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
    Route(Arc<Route>),
    /// A protocol's own paths.
    Desk(&'static dyn Protocol),
}

fn place(front: &Front, shop: &Shop, head: &Parts) -> Result<Place, Fault> {
    if head.uri.path_and_query().is_some_and(|path| path.as_str().len() > front.limits.uri_bytes) {
        return Err(Fault::UriTooLong);
    }
    if head.method == Method::CONNECT || head.headers.contains_key(http::header::UPGRADE) {
        return Err(Fault::Upgrade);
    }
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > front.limits.body_bytes) {
        return Err(Fault::BodyTooLarge);
    }
    let path = router::plain(head.uri.path())?;
    if let Some(till) = shop.tills.iter().find(|till| till.protocol.owns(&path)) {
        return Ok(Place::Desk(till.protocol));
    }
    shop.router.find(&path).cloned().map(Place::Route).ok_or(Fault::NotFound)
}

async fn at_route(
    front: &Arc<Front>,
    visit: &Visit,
    route: &Arc<Route>,
    head: &Parts,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Fault> {
    if !route.is_free() && head.method == Method::OPTIONS {
        return Ok(allowing(route, Response::new(body::empty())));
    }
    if !route.allows(&head.method) {
        return Ok(allowing(route, Fault::MethodNotAllowed.answer()));
    }
    let Some(offer) = route.offer(head).await? else {
        let upload = body.take().map_or_else(Upload::nothing, |body| front.bounds().forward(body));
        return route.goods.prepare(head, upload, &visit.peer).await?.call(&route.name).await;
    };
    let answer = for_payment(front, visit, route, &offer, head, body).await;
    answer.inspect_err(|fault| metrics::decided(&route.name, "fault", fault.reason()))
}

fn allowing(route: &Route, mut answer: Response<Body>) -> Response<Body> {
    if let Ok(methods) = HeaderValue::try_from(route.allow()) {
        answer.headers_mut().insert(ALLOW, methods);
    }
    answer
}

async fn for_payment(
    front: &Arc<Front>,
    visit: &Visit,
    route: &Arc<Route>,
    offer: &Offer,
    head: &Parts,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Fault> {
    let payment = match offer.till.protocol.payment(head) {
        Ok(Some(payment)) => payment,
        Ok(None) => {
            metrics::decided(&route.name, "unpaid", "no_payment");
            return Ok(whole(offer.till.protocol.challenge(&offer.quote(), None)));
        }
        Err(malformed) => {
            metrics::decided(&route.name, "refused", "malformed");
            return Ok(whole(offer.till.protocol.malformed(&malformed)));
        }
    };
    let channel = offer.till.channel(&payment.opening);
    let Some(voucher) = offer.till.verify(channel, &payment) else {
        let why = front.why_not(channel).await?;
        return refuse(route, offer, &payment, why.as_ref(), None);
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
    let ready = route.goods.prepare(head, upload, &visit.peer).await?;
    let order = Order {
        deployment: offer.till.name.clone(),
        voucher,
        price: offer.price,
        terms: offer.till.terms,
        request,
        settle: route.charge,
    };
    match front.newcomers.sell(&front.ledger, order).await? {
        Ok(receipt) => sale::deliver(front, visit, route, offer, &payment, ready, receipt).await,
        Err(Refused { refusal, view }) => refuse(route, offer, &payment, Some(&refusal), view.as_ref()),
    }
}

/// The answer to a payment that bought nothing. Without a refusal by the rules, it was the signature.
fn refuse(
    route: &Route,
    offer: &Offer,
    payment: &Payment,
    refusal: Option<&Refusal>,
    view: Option<&View>,
) -> Result<Response<Body>, Fault> {
    if let Some(fault) = refusal.and_then(Fault::of_refusal) {
        return Err(fault);
    }
    metrics::decided(&route.name, "refused", refusal.map_or("signature", metrics::reason));
    let reason = refusal.map_or(Reason::Signature, Reason::Rules);
    let refused = protocols::Refused { payment, reason, view };
    Ok(whole(offer.till.protocol.challenge(&offer.quote(), Some(&refused))))
}

/// An answer that a protocol worded.
pub(crate) fn whole(answer: protocols::Answer) -> Response<Body> {
    let mut response = Response::new(body::full(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}
