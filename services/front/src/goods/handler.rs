//! A handler of the program that embeds us: called as an upstream is, but in this process.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::Request;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, Response, Uri};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_http::timeout::TimeoutBody;

use crate::body::{Body, Upload};
use crate::fault::Fault;
use crate::headers;

use super::Caller;
use super::wait::OnItsWay;

/// A handler, whatever it is made of.
pub(crate) type Service = BoxCloneSyncService<Request, axum::response::Response, Infallible>;

/// The URI as the handler is to see it, where a nested router cut it short.
#[derive(Clone)]
pub(crate) struct InnerUri(pub(crate) Uri);

/// A handler whose answers are for sale.
pub(crate) struct Handler {
    service: Service,
    caller: Arc<Caller>,
}

/// A request to a handler.
pub(crate) struct Call {
    request: Request,
    on_its_way: OnItsWay,
    service: Service,
    caller: Arc<Caller>,
}

impl Handler {
    pub(super) fn new(service: Service, caller: &Arc<Caller>) -> Handler {
        Handler { service, caller: caller.clone() }
    }

    pub(super) fn prepare(&self, head: &Parts, upload: Upload) -> Call {
        let mut request = Request::new(axum::body::Body::new(upload.body));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.extensions.get::<InnerUri>().map_or(&head.uri, |InnerUri(uri)| uri).clone();
        *request.version_mut() = head.version;
        *request.headers_mut() = head.headers.clone();
        headers::drop_reserved(request.headers_mut(), &self.caller.prefixes);
        *request.extensions_mut() = head.extensions.clone();
        let on_its_way = OnItsWay { progress: upload.progress, client_fault: upload.fault };
        Call { request, on_its_way, service: self.service.clone(), caller: self.caller.clone() }
    }
}

impl Call {
    pub(super) fn label(&mut self, headers: HeaderMap) {
        self.request.headers_mut().extend(headers);
    }

    pub(super) async fn send(self, route: &str) -> Result<Response<Body>, Fault> {
        let Call { request, on_its_way, service, caller } = self;
        let answer = async {
            // What a handler leaves behind when it panics is its own; nothing of ours crosses into it but the request.
            let called = AssertUnwindSafe(service.oneshot(request)).catch_unwind().await;
            called.map(|answered| answered.unwrap_or_else(|never| match never {})).map_err(|_| {
                tracing::error!(route, "a handler panicked");
                Fault::Internal
            })
        };
        let (mut head, body) = on_its_way.answer(route, caller.head, answer).await?.into_parts();
        headers::drop_reserved(&mut head.headers, &caller.prefixes);
        Ok(Response::from_parts(head, TimeoutBody::new(caller.idle, body).boxed_unsync()))
    }
}
