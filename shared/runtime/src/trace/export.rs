//! From spans that ended to the collector, on a thread of its own: nobody who makes a span ever waits for it.
//!
//! ```text
//! spans ─▶ bounded queue ─▶ thread: a batch every second ─▶ POST /v1/traces, tried again for a while
//!              └── full: dropped and counted                      └── in vain: dropped and counted
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::Counter;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};

use super::{Sampling, TRACING, Tracing};
use crate::config::Telemetry;

/// Spans that wait to be sent.
const QUEUE: usize = 4_096;
/// Spans that are sent at a time.
const BATCH: usize = 512;
/// Between two batches that are not full.
const PAUSE: Duration = Duration::from_secs(1);
/// For one batch, with all attempts.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the end of the process waits for the last ones.
const FAREWELL: Duration = Duration::from_secs(2);

/// The way to the collector, for the end of the process.
#[must_use = "the last spans are sent by `close`"]
pub struct Collector(SdkTracerProvider);

/// Begins to trace, once for the whole process, if there is a collector; it need not be there yet.
///
/// # Errors
/// When no client for HTTP can be made.
pub fn start(config: &Telemetry, service: &'static str) -> anyhow::Result<Option<Collector>> {
    metrics::describe_counter!("telemetry_spans_exported_total", "Spans that the collector took.");
    metrics::describe_counter!("telemetry_spans_dropped_total", "Spans that it did not get, by what was in the way.");
    let (exported, full, in_vain) = (exported(), dropped("queue"), dropped("collector"));
    if config.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", config.otlp_endpoint.trim_end_matches('/')))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(PATIENCE)
        .build()?;
    let waiting = Arc::new(AtomicUsize::new(0));
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(PAUSE)
        .build();
    let (waits, works) = (waiting.clone(), AtomicBool::new(true));
    let counting = Counting { exporter, waiting: waits, works, exported, dropped: in_vain };
    let queue = BatchSpanProcessor::builder(counting).with_batch_config(batches).build();
    let provider = SdkTracerProvider::builder()
        // Who has a span at all has one that is sent.
        .with_sampler(Sampler::AlwaysOn)
        .with_span_processor(Bounded { queue, waiting, dropped: full })
        .with_resource(resource(service))
        .build();
    let tracing = Tracing { tracer: provider.tracer("sluice"), sampling: Sampling::new(config) };
    anyhow::ensure!(TRACING.set(tracing).is_ok(), "traces were started before");
    Ok(Some(Collector(provider)))
}

impl Collector {
    /// Sends what waits, for two seconds at most. What ends after that is not sent.
    pub fn close(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FAREWELL) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// Who we are. `OTEL_RESOURCE_ATTRIBUTES` may say more.
fn resource(service: &'static str) -> Resource {
    Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()))
        .build()
}

fn exported() -> Counter {
    let counter = metrics::counter!("telemetry_spans_exported_total");
    counter.increment(0);
    counter
}

fn dropped(reason: &'static str) -> Counter {
    let counter = metrics::counter!("telemetry_spans_dropped_total", "reason" => reason);
    counter.increment(0);
    counter
}

/// Keeps the queue's bound itself: the queue does not say what it drops.
#[derive(Debug)]
struct Bounded {
    queue: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    dropped: Counter,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < QUEUE {
            return self.queue.on_end(span);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.dropped.increment(1);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

/// Counts what becomes of spans. That the collector takes none is logged once, until it takes some again.
#[derive(Debug)]
struct Counting<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
    works: AtomicBool,
    exported: Counter,
    dropped: Counter,
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let sent = self.exporter.export(batch).await;
        let counter = if sent.is_ok() { &self.exported } else { &self.dropped };
        counter.increment(spans as u64);
        match (&sent, self.works.swap(sent.is_ok(), Ordering::Relaxed)) {
            (Err(error), true) => tracing::warn!(%error, "the collector takes no spans; they are dropped"),
            (Ok(()), false) => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
