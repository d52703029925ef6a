//! Traces, for a collector: what one request led to, through all processes, up to the transaction.
//!
//! ```text
//! front    asked ─▶ span ─▶ children         is it traced? decided here and nowhere else, before there is a span
//!            └─▶ traceparent in the job's row ─▶ relay ─▶ in the ring's header
//! wallet                        └── caused ─────────────────────┴─▶ span of the job ─▶ children ─▶ the transaction
//! ```
//! What is not traced has a [`Span`] with nothing in it, which costs a branch. `RUST_LOG` has no say here: these are no
//! spans of the log.

mod export;
mod sampling;

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{FutureExt, SpanBuilder, SpanContext, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;

pub use export::{Collector, start};
pub use opentelemetry::trace::SpanKind as Kind;
use sampling::Sampling;

/// The header, and the word for it everywhere.
const TRACEPARENT: &str = "traceparent";

/// Set once, if there is a collector.
static TRACING: OnceLock<Tracing> = OnceLock::new();

struct Tracing {
    tracer: SdkTracer,
    sampling: Sampling,
}

/// A piece of work in a trace, or nothing. It ends when the last of its clones is dropped.
#[derive(Clone, Debug, Default)]
pub struct Span(Option<Context>);

impl Span {
    /// A request that came in with this `traceparent`: most are not traced.
    pub fn asked(traceparent: Option<&str>) -> Span {
        let Some(tracing) = TRACING.get() else { return Span::default() };
        let client = traceparent.and_then(read);
        if !tracing.sampling.wants(client.as_ref().is_some_and(SpanContext::is_sampled)) {
            return Span::default();
        }
        let parent = client.map_or_else(Context::new, |client| Context::new().with_remote_span_context(client));
        tracing.begin(&parent, builder(Kind::Server, "request"))
    }

    /// Work that a job with this `traceparent` stands for. It is traced if what caused it is.
    pub fn caused(traceparent: Option<&str>, kind: Kind, name: impl Into<Cow<'static, str>>) -> Span {
        Span::caused_by(traceparent, builder(kind, name))
    }

    /// Likewise; it began so long ago.
    pub fn caused_earlier(traceparent: Option<&str>, ago: Duration, name: impl Into<Cow<'static, str>>) -> Span {
        let began = SystemTime::now().checked_sub(ago);
        Span::caused_by(traceparent, builder(Kind::Internal, name).with_start_time(began.unwrap_or(SystemTime::now())))
    }

    fn caused_by(traceparent: Option<&str>, builder: SpanBuilder) -> Span {
        let Some(tracing) = TRACING.get() else { return Span::default() };
        let Some(cause) = traceparent.and_then(read).filter(SpanContext::is_sampled) else { return Span::default() };
        tracing.begin(&Context::new().with_remote_span_context(cause), builder)
    }

    /// A part of it.
    pub fn child(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Span {
        match (&self.0, TRACING.get()) {
            (Some(parent), Some(tracing)) => tracing.begin(parent, builder(kind, name)),
            _ => Span::default(),
        }
    }

    /// The one that [`Span::around`] is about.
    pub fn current() -> Span {
        if TRACING.get().is_none() {
            return Span::default();
        }
        Span(Context::map_current(|context| context.has_active_span().then(|| context.clone())))
    }

    /// Work of which this is the span.
    pub fn around<W: Future>(&self, work: W) -> impl Future<Output = W::Output> + use<W> {
        work.with_context(self.0.clone().unwrap_or_default())
    }

    /// Whether it is traced.
    pub fn is_traced(&self) -> bool {
        self.0.is_some()
    }

    /// Says something about it. Never a secret: traces are read by more people than the ledger.
    pub fn note(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Names it, once it is known what it is.
    pub fn rename(&self, name: String) {
        if let Some(context) = &self.0 {
            context.span().update_name(name);
        }
    }

    /// It did not come to what it should.
    pub fn failed(&self) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(""));
        }
    }

    /// It is over, though clones of it may go on to have children.
    pub fn end(&self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }

    /// For whoever works for it.
    pub fn traceparent(&self) -> Option<String> {
        let span = self.0.as_ref()?.span();
        let context = span.span_context();
        Some(format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags()))
    }

    /// The trace, for lines of the log.
    pub fn trace_id(&self) -> Option<String> {
        Some(self.0.as_ref()?.span().span_context().trace_id().to_string())
    }

    /// What jobs carry that a request adds: this span, or what the client said, without its wish to be traced: that was
    /// not granted here, and shall not be elsewhere.
    pub fn cause(&self, asked: Option<&str>) -> Option<String> {
        self.traceparent().or_else(|| unsampled(asked?))
    }
}

impl Tracing {
    fn begin(&self, parent: &Context, builder: SpanBuilder) -> Span {
        Span(Some(parent.with_span(builder.start_with_context(&self.tracer, parent))))
    }
}

fn builder(kind: Kind, name: impl Into<Cow<'static, str>>) -> SpanBuilder {
    SpanBuilder::from_name(name).with_kind(kind)
}

struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// What somebody else says that they are doing; `None` if it is no `traceparent`.
fn read(traceparent: &str) -> Option<SpanContext> {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Header(traceparent));
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

/// Of the fields `version-trace-parent-flags` the last is the one with the wish.
fn unsampled(traceparent: &str) -> Option<String> {
    let (rest, flags) = traceparent.rsplit_once('-')?;
    (flags.len() == 2).then(|| format!("{rest}-00"))
}
