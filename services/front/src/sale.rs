//! What was sold is handed over: the call runs in a task of its own and settles its hold, whatever the client does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use channel::{Hold, Sold};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use ledger::{Receipt, Settlement};
use protocols::Payment;
use tokio::sync::oneshot;

use crate::body::Body;
use crate::fault::Fault;
use crate::front::{Front, Visit};
use crate::goods::Ready;
use crate::holds::Live;
use crate::metrics;
use crate::route::Route;
use crate::till::Offer;

/// How long the answer to a failed call waits for its credit to be there again, so that it can be repeated at once.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// Hands over what was sold, with its receipt.
pub(crate) async fn deliver(
    front: &Arc<Front>,
    visit: &Visit,
    route: &Arc<Route>,
    offer: &Offer,
    payment: &Payment,
    mut ready: Ready,
    receipt: Receipt,
) -> Result<Response<Body>, Fault> {
    let answer = match receipt.sold {
        Sold::New { hold, .. } => {
            metrics::decided(&route.name, "sold", "paid");
            ready.label(label(payment, &hold));
            let live = (route.charge == ledger::When::Later).then(|| front.holds.keep(hold));
            in_its_own_task(front, visit, route, ready, live).await
        }
        Sold::Again(_) if route.goods.can_be_served_again() => {
            metrics::decided(&route.name, "again", "request_id");
            ready.call(&route.name).await
        }
        Sold::Again(_) => Err(Fault::AlreadyPaid),
    };
    let mut answer = answer.unwrap_or_else(Fault::answer);
    answer.headers_mut().extend(offer.till.protocol.receipt(&offer.quote(), &payment.opening, &receipt.view));
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
    let (admitted, route) = (visit.admitted.clone(), route.clone());
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
            return live.settle(Settlement::Capture(price)).await;
        }
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
fn unless_it_asks_for_payment(answer: Response<Body>) -> Result<Response<Body>, Fault> {
    if answer.status() == StatusCode::PAYMENT_REQUIRED { Err(Fault::UpstreamUnpaid) } else { Ok(answer) }
}
