//! Another server: a reverse proxy that streams both ways.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use runtime::config::Timeouts;
use tokio::sync::watch;
use tower_http::timeout::TimeoutBody;

use crate::body::{Body, Upload};
use crate::fault::Fault;
use crate::forwarded::Peer;
use crate::{headers, metrics};

/// Connections to upstreams are kept this long for the next call.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// Calls upstreams: one pool of connections for all.
pub(crate) struct Caller {
    client: Client<HttpConnector, Body>,
    /// Without a piece of the request taken or the answer's head given.
    head: Duration,
    /// Between two pieces of the answer.
    idle: Duration,
    /// Headers of payment protocols.
    prefixes: Vec<&'static str>,
}

/// A server whose answers are for sale. Its address comes from the configuration, never from a request.
pub(crate) struct Upstream {
    authority: Authority,
    base: String,
    caller: Arc<Caller>,
}

/// A request to an upstream.
pub(crate) struct Call {
    request: Request<Body>,
    progress: watch::Receiver<()>,
    client_fault: Arc<OnceLock<Fault>>,
    caller: Arc<Caller>,
}

impl Caller {
    pub(crate) fn new(timeouts: &Timeouts) -> Arc<Caller> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(timeouts.connect));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let prefixes = protocols::ALL.iter().map(|protocol| protocol.prefix()).collect();
        Arc::new(Caller { client, head: timeouts.upstream_head, idle: timeouts.upstream_idle, prefixes })
    }

    #[cfg(test)]
    pub(crate) fn for_test() -> Arc<Caller> {
        Caller::new(&Timeouts::default())
    }
}

impl Upstream {
    pub(super) fn new(uri: &Uri, caller: &Arc<Caller>) -> Upstream {
        let authority = uri.authority().expect("the configuration demands a host").clone();
        Upstream { authority, base: uri.path().trim_end_matches('/').to_owned(), caller: caller.clone() }
    }

    pub(super) fn prepare(&self, head: &Parts, upload: Upload, peer: &Peer) -> Result<Call, Fault> {
        let Upload { body, progress, fault: client_fault } = upload;
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = self.uri(&head.uri)?;
        *request.headers_mut() = self.headers(head, peer);
        if request.body().size_hint().exact().is_some() {
            request.headers_mut().remove(CONTENT_LENGTH); // set anew from the body
        }
        Ok(Call { request, progress, client_fault, caller: self.caller.clone() })
    }

    fn uri(&self, asked: &Uri) -> Result<Uri, Fault> {
        let path = asked.path_and_query().map_or("/", PathAndQuery::as_str);
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(format!("{}{path}", self.base).parse().map_err(|_| Fault::BadPath)?);
        Uri::from_parts(parts).map_err(|_| Fault::BadPath)
    }

    fn headers(&self, head: &Parts, peer: &Peer) -> HeaderMap {
        let mut headers = head.headers.clone();
        headers::drop_hop_by_hop(&mut headers);
        headers::drop_reserved(&mut headers, &self.caller.prefixes);
        headers.remove(EXPECT); // answered by us
        let authority = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        let host = headers.remove(HOST).or(authority);
        peer.describe(&mut headers, host);
        headers
    }
}

impl Call {
    pub(super) fn label(&mut self, headers: HeaderMap) {
        self.request.headers_mut().extend(headers);
    }

    pub(super) async fn send(self, route: &str) -> Result<Response<Body>, Fault> {
        let Call { request, progress, client_fault, caller } = self;
        let began = Instant::now();
        let answer = tokio::select! {
            answer = caller.client.request(request) => answer.map_err(|error| {
                tracing::debug!(route, error = &error as &dyn std::error::Error, "an upstream call failed");
                Fault::UpstreamUnreachable
            }),
            () = silence(progress, caller.head) => Err(Fault::UpstreamTimeout),
        };
        // A request that its client broke off says nothing about the upstream.
        let answer = answer.map_err(|fault| client_fault.get().copied().unwrap_or(fault));
        let outcome =
            answer.as_ref().map_or_else(|fault| fault.reason().to_owned(), |a| a.status().as_u16().to_string());
        metrics::called(route, outcome, began.elapsed());
        answer.map(|answer| caller.forward(answer))
    }
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

/// Ends once an upstream has neither taken a piece of the request nor answered for so long.
async fn silence(mut progress: watch::Receiver<()>, patience: Duration) {
    loop {
        match tokio::time::timeout(patience, progress.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return tokio::time::sleep(patience).await, // it has the whole request
            Err(_) => return,
        }
    }
}
