//! What a trace says of a request: what the access log says too, in OpenTelemetry's words where it has some. No query,
//! no header, no signature.

use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use runtime::trace::{Kind, Span};

use crate::front::Visit;
use crate::metrics;
use crate::route::Route;

/// What lines of the log say that are written on the way; with the trace, if there is one.
pub(crate) fn of_the_log(visit: &Visit, route: &Arc<Route>, head: &Parts) -> tracing::Span {
    let (route, method, client) = (&*route.name, &head.method, visit.peer.ip);
    match visit.span.trace_id() {
        Some(trace_id) => tracing::info_span!("request", route, %method, %client, trace_id),
        None => tracing::debug_span!("request", route, %method, %client),
    }
}

/// What the ledger is asked to do for a request, with the wait for its commit.
pub(crate) fn commit(of: &Span, what: &'static str) -> Span {
    let span = of.child(Kind::Client, what);
    span.note("db.system.name", "postgresql");
    span.note("db.operation.name", what);
    span
}

/// The request was answered. The call may go on.
pub(crate) fn answered(visit: &Visit, head: &Parts, route: &str, status: StatusCode) {
    let span = &visit.span;
    if !span.is_traced() {
        return;
    }
    let (method, notes) = (metrics::known(&head.method), visit.notes.read());
    span.rename(format!("{method} {route}"));
    span.note("http.request.method", method);
    span.note("http.route", route.to_owned());
    span.note("url.scheme", if visit.peer.is_secure { "https" } else { "http" });
    span.note("http.response.status_code", i64::from(status.as_u16()));
    for (key, value) in [("sluice.decision", notes.decision), ("sluice.reason", notes.reason)] {
        if let Some(value) = value {
            span.note(key, value);
        }
    }
    if let Some(channel) = notes.channel {
        span.note("sluice.channel", channel.to_string());
    }
    if let Some(price) = notes.price {
        span.note("sluice.price", price.to_string());
    }
    if status.is_server_error() {
        span.failed();
    }
    span.end();
}
