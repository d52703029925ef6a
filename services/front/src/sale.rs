//! What was sold is handed over: the call runs in a task of its own and settles its hold, whatever the client does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use channel::{Hold, Refusal, Sold, Step};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use ledger::{LedgerError, Order, Receipt, Refused, Settlement, When};
use protocols::Payment;
use tokio::sync::oneshot;

use crate::body::Body;
use crate::fault::Fault;
use crate::front::{Front, Visit};
use crate::goods::Ready;
use crate::holds::Live;
use crate::route::Route;
use crate::spans;
use crate::till::Offer;

/// How long the answer to a failed call waits for its credit to be there again, so that it can be repeated at once.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// Sells at the price that is asked, or at the one before its last change, if that is what the payer was quoted: the one
/// that its voucher fits where vouchers step exactly, the lower one where they need not.
pub(crate) async fn sell(
    front: &Front,
    offer: &Offer,
    mut order: Order,
) -> Result<Result<Receipt, Refused>, LedgerError> {
    let Some(former) = offer.former else { return front.newcomers.sell(&front.ledger, order).await };
    if order.terms.step == Step::Any {
        order.price = order.price.min(former);
        return front.newcomers.sell(&front.ledger, order).await;
    }
    let as_quoted = Order { price: former, ..order.clone() };
    let first = front.newcomers.sell(&front.ledger, order).await?;
    match &first {
        Err(Refused { refusal: Refusal::Amount { .. } | Refusal::Unpaid { .. }, .. }) => {
            // Refused again, it is the price of now that the payer hears of.
            Ok(front.ledger.sell(as_quoted).await?.map_or(first, Ok))
        }
        _ => Ok(first),
    }
}

/// Hands over what was sold, with its receipt.
pub(crate) async fn deliver(
    front: &Arc<Front>,
    visit: &Visit,
    route: &Arc<Route>,
    offer: &Offer,
    payment: &Payment,
    ready: Ready,
    receipt: Receipt,
) -> Result<Response<Body>, Fault> {
    let (Sold::New { hold, .. } | Sold::Again(hold)) = &receipt.sold;
    let charged = hold.amount;
    let answer = match receipt.sold {
        Sold::New { hold, .. } => {
            visit.decided(&route.name, "sold", "paid");
            let answer = match (route.charge, ready) {
                // Nothing can fail any more, and nothing is left to settle.
                (When::Now, Ready::File(file)) => Ok(file.answer()),
                (charge, mut ready) => {
                    ready.label(label(payment, &hold));
                    let live = (charge == When::Later).then(|| front.holds.keep(hold));
                    in_its_own_task(front, visit, route, ready, live).await
                }
            };
            let is_worth_it = answer.as_ref().is_ok_and(|answer| route.charges(answer.status()));
            if is_worth_it || route.charge == When::Now {
                visit.notes.charged(charged);
            }
            answer
        }
        Sold::Again(_) if route.goods.can_be_served_again() => {
            visit.decided(&route.name, "again", "request_id");
            ready.call(&route.name).await
        }
        Sold::Again(_) => Err(Fault::AlreadyPaid),
    };
    let mut answer = answer.unwrap_or_else(Fault::answer);
    // It is for who paid, each time: no cache may hand it to others, and a browser asks us before it shows it again.
    answer.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    answer.headers_mut().extend(offer.till.protocol.receipt(&offer.quote_at(charged), &payment.opening, &receipt.view));
    Ok(answer)
}

/// What an upstream is told about who paid.
fn label(payment: &Payment, hold: &Hold) -> HeaderMap {
    let labels = [
        ("sluice-payer", payment.opening.payer.to_checksum(None)),
        ("sluice-channel", hold.channel.to_string()),
        ("sluice-price", hold.amount.to_string()),
        ("sluice-request-id", hold.id.to_string()),
    ];
    let header = |(name, value): (_, String)| Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?));
    labels.into_iter().filter_map(header).collect()
}

/// Calls, and settles the hold if there is one (what was charged before stays charged). The client may go; this stays.
async fn in_its_own_task(
    front: &Front,
    visit: &Visit,
    route: &Arc<Route>,
    ready: Ready,
    live: Option<Live>,
) -> Result<Response<Body>, Fault> {
    let (reply, answer) = oneshot::channel();
    let (admitted, route, span) = (visit.admitted.clone(), route.clone(), visit.span.clone());
    front.calls.spawn(async move {
        let outcome = ready.call(&route.name).await.and_then(unless_it_asks_for_payment);
        let is_worth_it = outcome.as_ref().is_ok_and(|answer| route.charges(answer.status()));
        // Nobody listens any more when the client went away.
        let reply = |outcome| drop(reply.send(outcome));
        let Some(live) = live else { return reply(outcome) };
        if is_worth_it {
            reply(outcome);
            drop(admitted);
            let price = live.hold().amount;
            let _span = spans::commit(&span, "capture");
            return live.settle(Settlement::Capture(price)).await;
        }
        let _span = spans::commit(&span, "release");
        let mut settling = pin!(live.settle(Settlement::Release));
        let settled = tokio::time::timeout(RELEASE_PATIENCE, &mut settling).await;
        reply(outcome);
        drop(admitted);
        if settled.is_err() {
            settling.await;
        }
    });
    answer.await.unwrap_or(Err(Fault::Internal))
}

/// An upstream's own 402, with our headers on it, would make the client pay again and again.
pub(crate) fn unless_it_asks_for_payment(answer: Response<Body>) -> Result<Response<Body>, Fault> {
    if answer.status() == StatusCode::PAYMENT_REQUIRED { Err(Fault::UpstreamUnpaid) } else { Ok(answer) }
}
