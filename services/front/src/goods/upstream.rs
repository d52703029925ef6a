//! Another server: a reverse proxy that streams both ways.

use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use runtime::trace::{Kind, Span};
use tower_http::timeout::TimeoutBody;

use crate::body::{Body, Upload};
use crate::fault::Fault;
use crate::front::Visit;
use crate::{headers, metrics};

use super::wait::OnItsWay;
use super::{Caller, beyond};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A server whose answers are for sale. Its address comes from the configuration, never from a request.
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    base: String,
    /// So many segments of a request's path are left out.
    strip: usize,
    caller: Arc<Caller>,
}

/// A request to an upstream.
pub(crate) struct Call {
    request: Request<Body>,
    on_its_way: OnItsWay,
    caller: Arc<Caller>,
    /// Whose trace it is a part of.
    cause: Span,
}

impl Upstream {
    pub(super) fn new(url: &Uri, strip: usize, caller: &Arc<Caller>) -> Upstream {
        Upstream {
            scheme: url.scheme().expect("the configuration demands a scheme").clone(),
            authority: url.authority().expect("the configuration demands a host").clone(),
            base: url.path().trim_end_matches('/').to_owned(),
            strip,
            caller: caller.clone(),
        }
    }

    pub(super) fn prepare(&self, head: &Parts, upload: Upload, visit: &Visit) -> Result<Call, Fault> {
        let Upload { body, progress, fault: client_fault } = upload;
        let on_its_way = OnItsWay { progress, client_fault };
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = self.uri(&head.uri)?;
        *request.headers_mut() = headers::for_upstream(head, &visit.peer, &self.caller.prefixes);
        if request.body().size_hint().exact().is_some() {
            request.headers_mut().remove(CONTENT_LENGTH); // set anew from the body
        }
        Ok(Call { request, on_its_way, caller: self.caller.clone(), cause: visit.span.clone() })
    }

    fn uri(&self, asked: &Uri) -> Result<Uri, Fault> {
        let path = beyond(asked.path(), self.strip);
        let path = if path.is_empty() && self.base.is_empty() { "/" } else { path };
        let query = asked.query().map_or_else(String::new, |query| format!("?{query}"));
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(format!("{}{path}{query}", self.base).parse().map_err(|_| Fault::BadPath)?);
        Uri::from_parts(parts).map_err(|_| Fault::BadPath)
    }
}

impl Call {
    pub(super) fn label(&mut self, headers: HeaderMap) {
        self.request.headers_mut().extend(headers);
    }

    pub(super) async fn send(self, route: &str) -> Result<Response<Body>, Fault> {
        let Call { mut request, on_its_way, caller, cause } = self;
        let span = traced(&cause, &mut request);
        let answer = async {
            caller.call(request).await.map_err(|error| {
                tracing::debug!(route, error = &error as &dyn std::error::Error, "an upstream call failed");
                Fault::UpstreamUnreachable
            })
        };
        let answer = on_its_way.answer(route, caller.head, answer).await;
        match &answer {
            Ok(answer) => span.note("http.response.status_code", i64::from(answer.status().as_u16())),
            Err(fault) => {
                span.note("error.type", fault.reason());
                span.failed();
            }
        }
        answer.map(|answer| caller.forward(answer))
    }
}

/// The call as a part of a trace, which the upstream hears of. Otherwise it hears what the client said.
fn traced(cause: &Span, request: &mut Request<Body>) -> Span {
    let method = metrics::known(request.method());
    let span = cause.child(Kind::Client, method);
    if let Some(traceparent) = span.traceparent().and_then(|text| HeaderValue::try_from(text).ok()) {
        request.headers_mut().insert(TRACEPARENT, traceparent);
        span.note("http.request.method", method);
        span.note("server.address", request.uri().host().unwrap_or_default().to_owned());
    }
    span
}

impl Caller {
    fn forward(&self, answer: Response<Incoming>) -> Response<Body> {
        let (mut head, body) = answer.into_parts();
        headers::drop_hop_by_hop(&mut head.headers);
        headers::drop_reserved(&mut head.headers, &self.prefixes);
        head.version = Version::default(); // the client's connection has a version of its own
        Response::from_parts(head, TimeoutBody::new(self.idle, body).boxed_unsync())
    }
}
