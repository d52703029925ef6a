//! A request at a route: what it costs, whether it is paid, and what it gets.
//!
//! The checks stand in the order of what they cost us: what a client can have us do for nothing comes first.

use std::sync::Arc;

use channel::{Refusal, VerifiedVoucher, View};
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use ledger::{Order, Refused};
use protocols::{Payment, Reason};
use runtime::trace::Kind;

use crate::body::{self, Body, Upload};
use crate::fault::Fault;
use crate::front::{Front, Visit};
use crate::goods::Ready;
use crate::paywall::whole;
use crate::route::Route;
use crate::shop::Shop;
use crate::till::Offer;
use crate::{metrics, purchase, quota, refusal, sale, spans};

/// Where a request stands.
pub(crate) struct Counter<'a> {
    pub(crate) front: &'a Arc<Front>,
    pub(crate) visit: &'a Visit,
    /// As it was when the request came in.
    pub(crate) shop: &'a Shop,
    pub(crate) route: &'a Arc<Route>,
    pub(crate) head: &'a Parts,
    /// Its path, decoded.
    pub(crate) path: &'a str,
}

impl Counter<'_> {
    /// The answer, whatever it is. What is left of `body` afterwards nobody wanted.
    pub(crate) async fn serve(&self, body: &mut Option<Body>) -> Result<Response<Body>, Fault> {
        if let Some(notice) = &self.route.maintenance {
            return Ok(Fault::Maintenance.answer_saying(notice));
        }
        if !self.route.is_free() && self.head.method == Method::OPTIONS {
            return Ok(self.allowing(Response::new(body::empty())));
        }
        if !self.route.allows(&self.head.method) {
            return Ok(self.allowing(Fault::MethodNotAllowed.answer()));
        }
        let Some(offer) = self.route.offer(self.head, self.path).await? else {
            return self.for_nothing(body).await;
        };
        let answer = self.for_payment(&offer, body).await;
        Ok(answer.unwrap_or_else(|fault| {
            self.visit.decided(&self.route.name, "fault", fault.reason());
            refusal::marked(fault.answer(), fault.reason())
        }))
    }

    fn allowing(&self, mut answer: Response<Body>) -> Response<Body> {
        if let Ok(methods) = HeaderValue::try_from(self.route.allow()) {
            answer.headers_mut().insert(ALLOW, methods);
        }
        answer
    }

    async fn for_nothing(&self, body: &mut Option<Body>) -> Result<Response<Body>, Fault> {
        let upload = body.take().map_or_else(Upload::nothing, |body| self.front.bounds().forward(body));
        let ready = self.route.goods.prepare(self.head, self.path, upload, self.visit).await?;
        ready.call_for_nothing(self.head, &self.route.name).await
    }

    /// One of the calls that a client has for nothing, if it has one left.
    async fn out_of_quota(&self, body: &mut Option<Body>) -> Option<Result<Response<Body>, Fault>> {
        let left = self.front.quotas.take(&self.route.name, self.route.free?, self.visit.client).await?;
        self.visit.decided(&self.route.name, "free", "quota");
        let answer = self.for_nothing(body).await.and_then(sale::unless_it_asks_for_payment);
        Some(answer.map(|mut answer| {
            answer.headers_mut().insert(quota::REMAINING, left.into());
            answer
        }))
    }

    async fn for_payment(&self, offer: &Offer, body: &mut Option<Body>) -> Result<Response<Body>, Fault> {
        let payment = match offer.till.protocol.payment(self.head) {
            Ok(Some(payment)) => payment,
            Ok(None) => {
                if let Some(answer) = self.out_of_quota(body).await {
                    return answer;
                }
                self.visit.decided(&self.route.name, "unpaid", "no_payment");
                return Ok(self.ask(offer, None));
            }
            Err(malformed) => {
                self.visit.decided(&self.route.name, "refused", "malformed");
                return Ok(refusal::marked(whole(offer.till.protocol.malformed(&malformed)), "malformed"));
            }
        };
        let channel = offer.till.channel(&payment.opening);
        let payer = payment.opening.payer;
        self.visit.notes.payment(payer, channel);
        self.shop.access.admit_payer(payer)?;
        self.front.budget.check(self.visit.client, payer).map_err(Fault::TooManyChecks)?;
        let checking = self.visit.span.child(Kind::Internal, "check signature");
        let checked = self.front.checkers.verify(&offer.till, channel, &payment).await;
        drop(checking);
        let Some(voucher) = checked? else {
            self.front.budget.failed(self.visit.client, payer);
            let why = self.front.why_not(channel).await?;
            return Ok(self.refuse(offer, &payment, why.as_ref(), None));
        };
        self.sell(offer, &payment, voucher, body).await
    }

    /// Sells for a voucher that the channel's payer signed, and hands over.
    async fn sell(
        &self,
        offer: &Offer,
        payment: &Payment,
        voucher: VerifiedVoucher,
        body: &mut Option<Body>,
    ) -> Result<Response<Body>, Fault> {
        let id = purchase::request_id(self.head)?;
        let (request, upload) = match body.take() {
            Some(body) if self.route.stream_requests => {
                (purchase::streamed(self.head, id), self.front.bounds().forward(body))
            }
            Some(body) => {
                let bytes = self.front.bounds().read(body).await?;
                (purchase::whole(self.head, id, &bytes), Upload::whole(bytes))
            }
            None => (purchase::whole(self.head, id, &[]), Upload::nothing()),
        };
        let ready = self.route.goods.prepare(self.head, self.path, upload, self.visit).await?;
        if let Ready::Aside(answer) = ready {
            return Ok(answer);
        }
        let order = Order {
            deployment: offer.till.name.clone(),
            route: self.route.name.clone(),
            voucher,
            price: offer.price,
            terms: offer.till.terms,
            request,
            settle: self.route.charge,
        };
        let selling = spans::commit(&self.visit.span, "sell");
        let sold = sale::sell(self.front, offer, order).await;
        drop(selling);
        match sold? {
            Ok(receipt) => {
                self.front.budget.paid(self.visit.client, payment.opening.payer);
                sale::deliver(self.front, self.visit, self.route, offer, payment, ready, receipt).await
            }
            Err(Refused { refusal, view }) => {
                if refusal == Refusal::Unknown {
                    self.front.budget.failed(self.visit.client, payment.opening.payer);
                }
                Ok(self.refuse(offer, payment, Some(&refusal), view.as_ref()))
            }
        }
    }

    /// The answer to a payment that bought nothing. Without a refusal by the rules, it was the signature.
    fn refuse(
        &self,
        offer: &Offer,
        payment: &Payment,
        refusal: Option<&Refusal>,
        view: Option<&View>,
    ) -> Response<Body> {
        let (reason, answer) = match refusal.and_then(Fault::of_refusal) {
            Some(fault) => {
                self.visit.decided(&self.route.name, "fault", fault.reason());
                (fault.reason(), fault.answer())
            }
            None => {
                let name = refusal.map_or("signature", metrics::reason);
                self.visit.decided(&self.route.name, "refused", name);
                let reason = refusal.map_or(Reason::Signature, Reason::Rules);
                (name, self.ask(offer, Some(&protocols::Refused { payment, reason, view })))
            }
        };
        match refusal {
            Some(refusal) => refusal::explained(answer, reason, refusal),
            None => refusal::marked(answer, reason),
        }
    }

    /// The 402: for a person, with a page to pay on.
    fn ask(&self, offer: &Offer, refused: Option<&protocols::Refused<'_>>) -> Response<Body> {
        let protocol = offer.till.protocol;
        let answer = protocol.challenge(&offer.quote(), refused);
        if protocol.wants_page(self.head) { offer.till.pages.paywall(&answer) } else { whole(answer) }
    }
}
