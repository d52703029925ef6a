//! A line of JSON for each request that was answered: who asked for what, what was decided, and what it cost.
//!
//! ```text
//! request ─► line ─► bounded queue ─► a thread of its own: write, flush when the queue is empty
//!                        └── full: the line is dropped and counted; no request waits for a disk
//! ```
//! A signature is never part of a line, nor is a query or a header.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use anyhow::Context;
use channel::{Amount, ChannelId};
use http::Response;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body::Body as _;
use jiff::{Timestamp, Unit};
use serde::{Serialize, Serializer};
use tokio::sync::mpsc;

use crate::body::Body;
use crate::front::Visit;
use crate::metrics;

/// Lines that wait to be written.
const QUEUE: usize = 8_192;
/// The status of what was not answered, because its client went away; as nginx writes it.
const GONE: u16 = 499;
/// Bytes of a path that are written.
const PATH: usize = 1_024;
/// How long the end waits for the last lines.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// The log.
pub(crate) struct AccessLog {
    queue: mpsc::Sender<Message>,
    reopen: Arc<AtomicBool>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Line(Box<Line>),
    End,
}

/// What is told of one request.
#[derive(Serialize)]
pub(crate) struct Line {
    /// When it was answered.
    time: Timestamp,
    client: IpAddr,
    method: String,
    path: String,
    /// As in metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    status: u16,
    /// Of the answer's body, where that is known from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Until the answer's head.
    duration_ms: f64,
    /// The trace that tells more, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(flatten)]
    note: Note,
}

/// What is found out about a request on its way.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Note {
    /// What was decided, as in metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    /// Whom the payment names; who proved to be that payer was not refused for the signature.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "checksummed")]
    payer: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<ChannelId>,
    /// Charged, in base units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<Amount>,
}

/// A [`Note`] that is written on while the request is on its way.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Note>);

impl Notes {
    pub(crate) fn decided(&self, decision: &'static str, reason: &'static str) {
        self.with(|note| (note.decision, note.reason) = (Some(decision), Some(reason)));
    }

    pub(crate) fn payment(&self, payer: Address, channel: ChannelId) {
        self.with(|note| (note.payer, note.channel) = (Some(payer), Some(channel)));
    }

    pub(crate) fn charged(&self, price: Amount) {
        self.with(|note| note.price = Some(price));
    }

    /// As they are now.
    pub(crate) fn read(&self) -> Note {
        self.with(|note| note.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Note) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request without its line. Dropped before it is answered, it is one whose client went away.
pub(crate) struct Unanswered<'a> {
    log: &'a AccessLog,
    visit: &'a Visit,
    head: &'a Parts,
    began: Instant,
    is_over: bool,
}

impl<'a> Unanswered<'a> {
    pub(crate) fn new(log: &'a AccessLog, visit: &'a Visit, head: &'a Parts, began: Instant) -> Unanswered<'a> {
        Unanswered { log, visit, head, began, is_over: false }
    }

    /// It is answered now.
    pub(crate) fn answered(mut self, route: &str, answer: &Response<Body>) {
        self.is_over = true;
        let told = || answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        let bytes =
            if answer.body().is_end_stream() { Some(0) } else { answer.body().size_hint().exact().or_else(told) };
        self.write(Some(route), answer.status().as_u16(), bytes);
    }

    fn write(&self, route: Option<&str>, status: u16, bytes: Option<u64>) {
        let (now, path) = (Timestamp::now(), self.head.uri.path());
        self.log.write(Line {
            time: now.round(Unit::Millisecond).unwrap_or(now),
            client: self.visit.client,
            method: self.head.method.to_string(),
            path: path[..path.floor_char_boundary(PATH)].to_owned(),
            route: route.map(str::to_owned),
            status,
            bytes,
            duration_ms: (self.began.elapsed().as_secs_f64() * 1e4).round() / 10.0,
            trace_id: self.visit.span.trace_id(),
            note: self.visit.notes.read(),
        });
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.write(None, GONE, None);
        }
    }
}

impl AccessLog {
    /// Opens the file, and appends to it; `-` is the standard output.
    pub(crate) fn open(path: &Path) -> anyhow::Result<AccessLog> {
        let target = Target { path: path.to_owned() };
        let output = target.open().with_context(|| format!("cannot write the access log {}", path.display()))?;
        let (queue, lines) = mpsc::channel(QUEUE);
        let reopen = Arc::new(AtomicBool::new(false));
        let asked = reopen.clone();
        let writer = std::thread::Builder::new().name("access log".to_owned());
        let writer = writer.spawn(move || write(&target, output, lines, &asked)).context("cannot start a thread")?;
        Ok(AccessLog { queue, reopen, writer: Mutex::new(Some(writer)) })
    }

    fn write(&self, line: Line) {
        if self.queue.try_send(Message::Line(Box::new(line))).is_err() {
            metrics::line_dropped();
        }
    }

    /// The file was moved away: the next line goes to a new one of the same name.
    pub(crate) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    /// Writes what waits, and ends.
    pub(crate) async fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        let end = async {
            // When the writer is gone already, there is nothing to wait for.
            let _ = self.queue.send(Message::End).await;
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        };
        if tokio::time::timeout(FLUSH_PATIENCE, end).await.is_err() {
            tracing::error!("the last lines of the access log could not be written");
        }
    }
}

/// Where lines go.
struct Target {
    path: PathBuf,
}

type Output = BufWriter<Box<dyn Write + Send>>;

impl Target {
    fn open(&self) -> std::io::Result<Output> {
        if self.path.as_os_str() == "-" {
            return Ok(BufWriter::new(Box::new(std::io::stdout())));
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        Ok(BufWriter::new(Box::new(file)))
    }
}

fn write(target: &Target, mut output: Output, mut lines: mpsc::Receiver<Message>, reopen: &AtomicBool) {
    let mut works = true;
    while let Some(Message::Line(line)) = lines.blocking_recv() {
        if reopen.swap(false, Ordering::AcqRel) {
            let reopened = output.flush().and_then(|()| target.open());
            match reopened {
                Ok(fresh) => output = fresh,
                Err(error) => tracing::error!(%error, "the access log stays with the old file"),
            }
        }
        let written = serde_json::to_writer(&mut output, &line).map_err(std::io::Error::from);
        let written = written.and_then(|()| output.write_all(b"\n"));
        let written = written.and_then(|()| if lines.is_empty() { output.flush() } else { Ok(()) });
        // Said once, until it works again.
        if let Err(error) = &written {
            metrics::line_dropped();
            if works {
                tracing::error!(%error, "the access log cannot be written");
            }
        }
        works = written.is_ok();
    }
    if let Err(error) = output.flush() {
        tracing::error!(%error, "the access log cannot be written");
    }
}

fn checksummed<S: Serializer>(payer: &Option<Address>, serializer: S) -> Result<S::Ok, S::Error> {
    match payer {
        Some(payer) => serializer.collect_str(&payer.to_checksum(None)),
        None => serializer.serialize_none(),
    }
}
