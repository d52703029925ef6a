//! A collector of traces: OTLP over HTTP, in protobuf. It keeps what it takes; it may refuse, or never answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_primitives::hex;
use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Status;
use opentelemetry_proto::tonic::trace::v1::{Span as Sent, span::SpanKind};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Takes it.
    Takes,
    /// Answers with this status.
    Refuses(u16),
    /// Never answers.
    Hangs,
}

/// A span that it took.
#[derive(Clone, Debug)]
pub struct Span {
    /// Of the process.
    pub service: String,
    /// What was done.
    pub name: String,
    /// `Server`, `Client`, …
    pub kind: SpanKind,
    /// The trace, in hex,
    pub trace: String,
    /// its own id in it,
    pub id: String,
    /// and its parent's; empty for none.
    pub parent: String,
    /// What is said about it, as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether it says that it failed.
    pub failed: bool,
}

/// A running collector. Dropped, it is gone, and nobody listens there any more.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    state: Arc<Mutex<Taken>>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Taken {
    mood: Mood,
    asked: usize,
    authorization: Option<String>,
    bodies: Vec<Bytes>,
    spans: Vec<Span>,
}

impl Collector {
    /// On a free port; it takes what it gets.
    pub async fn start() -> Result<Collector> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let address = listener.local_addr()?;
        let taken = Taken { mood: Mood::Takes, asked: 0, authorization: None, bodies: Vec::new(), spans: Vec::new() };
        let state = Arc::new(Mutex::new(taken));
        let router = Router::new().route("/v1/traces", post(take)).with_state(state.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await; // never ends by itself
        });
        Ok(Collector { address, state, server })
    }

    /// The endpoint for a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub fn is_in(&self, mood: Mood) {
        lock(&self.state).mood = mood;
    }

    /// How often it was sent something, whatever came of it.
    pub fn asked(&self) -> usize {
        lock(&self.state).asked
    }

    /// By which right it was last sent something.
    pub fn authorization(&self) -> Option<String> {
        lock(&self.state).authorization.clone()
    }

    /// All that it took.
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.state).spans.clone()
    }

    /// What it took of one trace.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        lock(&self.state).spans.iter().filter(|span| span.trace == id).cloned().collect()
    }

    /// Whether these bytes were anywhere in what it was sent.
    pub fn was_told(&self, bytes: &[u8]) -> bool {
        lock(&self.state).bodies.iter().any(|body| body.windows(bytes.len()).any(|window| window == bytes))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(state): State<Arc<Mutex<Taken>>>, head: HeaderMap, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    let mood = {
        let mut taken = lock(&state);
        taken.asked += 1;
        taken.authorization = head.get("authorization").and_then(|right| Some(right.to_str().ok()?.to_owned()));
        taken.mood
    };
    match mood {
        Mood::Hangs => std::future::pending().await,
        Mood::Refuses(status) => Err(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)),
        Mood::Takes => {
            let request = ExportTraceServiceRequest::decode(body.clone()).map_err(|_| StatusCode::BAD_REQUEST)?;
            let mut taken = lock(&state);
            taken.bodies.push(body);
            taken.spans.extend(spans(request));
            Ok(Vec::new()) // a response that says nothing but that it is one
        }
    }
}

fn spans(request: ExportTraceServiceRequest) -> impl Iterator<Item = Span> {
    request.resource_spans.into_iter().flat_map(|of| {
        let resource = texts(of.resource.unwrap_or_default().attributes);
        let service = resource.get("service.name").cloned().unwrap_or_default();
        let sent = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
        sent.map(move |span| read(&service, span)).collect::<Vec<_>>()
    })
}

fn read(service: &str, span: Sent) -> Span {
    Span {
        service: service.to_owned(),
        kind: span.kind(),
        name: span.name,
        trace: hex::encode(span.trace_id),
        id: hex::encode(span.span_id),
        parent: hex::encode(span.parent_span_id),
        attributes: texts(span.attributes),
        failed: span.status.is_some_and(|status| status.code() == Status::Error),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|KeyValue { key, value, .. }| (key, text(value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn lock(state: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
