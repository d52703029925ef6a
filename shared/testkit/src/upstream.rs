//! An API worth paying for: pages that answer, fail, take their time, stream, or say what they were sent.
//!
//! | path | answer |
//! |---|---|
//! | `/page` | 200, a page |
//! | `/free` | 200, a page that costs nothing |
//! | `/teapot.txt` | 418 |
//! | `/fail` | 500 |
//! | `/status/N` | N |
//! | `/slow/MS` | 200 after so many milliseconds |
//! | `/echo` | 200, method, path and headers in JSON |
//! | `/upload` | 200, the body back, as it comes |
//! | `/events/N` | 200, N server-sent events, 50 ms apart |
//! | `/sqrt/X` | 200, the square root of X |
//! | `/reserve_tokens/N` | 200, so many tokens are reserved |
//! | `/echofix/X`, `/echodyn/N` | 200, what was sent |
//! | `/origin/…` | 200, as a CDN's origin: each path is a file that says its own name |
//! | `/_calls` | how often each path was called, in JSON; itself never counted |

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{any, get};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const EVENTS_APART: Duration = Duration::from_millis(50);
/// The headers whose values the log keeps: the id that fronts give each sale, and the payer's own name for the request.
const IDS: [&str; 2] = ["sluice-request-id", "idempotency-key"];

/// A running upstream. Dropped, it is gone.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    calls: Arc<Calls>,
    server: JoinHandle<()>,
}

impl Upstream {
    /// On a free port.
    pub async fn start() -> Result<Upstream> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), None).await
    }

    /// At this address; `log` gets a line per call, on disk before it is answered: method, path, the sale's id, the
    /// payer's own; `-` for what is missing.
    pub async fn start_at(address: SocketAddr, log: Option<&FilePath>) -> Result<Upstream> {
        let log = log.map(|file| File::options().create(true).append(true).open(file)).transpose();
        let log = log.context("cannot write the upstream's log")?.map(Mutex::new);
        let calls = Arc::new(Calls { counts: Mutex::default(), log });
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let router = router(calls.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await; // never ends by itself
        });
        Ok(Upstream { address, calls, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address for HTTP.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often a path was called, whatever came of it.
    pub fn calls(&self, path: &str) -> u64 {
        self.calls.counts().get(path).copied().unwrap_or(0)
    }

    /// How often anything was called.
    pub fn all_calls(&self) -> u64 {
        self.calls.counts().values().sum()
    }

    /// Serves until the process ends.
    pub async fn wait(mut self) -> Result<()> {
        (&mut self.server).await.context("the upstream failed")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Debug)]
struct Calls {
    counts: Mutex<BTreeMap<String, u64>>,
    log: Option<Mutex<File>>,
}

impl Calls {
    fn counts(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, request: &Request) {
        let path = request.uri().path();
        *self.counts().entry(path.to_owned()).or_default() += 1;
        if let Some(log) = &self.log {
            let id = |name| request.headers().get(name).and_then(|id| id.to_str().ok()).unwrap_or("-");
            let [sale, named] = IDS.map(id);
            let line = format!("{} {path} {sale} {named}\n", request.method());
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = log.write_all(line.as_bytes()).and_then(|()| log.sync_data()); // a test that reads the log notices
        }
    }
}

fn router(calls: Arc<Calls>) -> Router {
    let counted = Router::new()
        .route("/page", any(|| async { Html("<h1>A page worth paying for</h1>\n") }))
        .route("/free", any(|| async { "this one is free\n" }))
        .route("/teapot.txt", any(|| async { (StatusCode::IM_A_TEAPOT, "short and stout\n") }))
        .route("/fail", any(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "this call always fails\n") }))
        .route("/status/{code}", any(status))
        .route("/slow/{ms}", any(slow))
        .route("/echo", any(echo))
        .route("/upload", any(upload))
        .route("/events/{count}", get(events))
        .route("/sqrt/{x}", any(async |Path(x): Path<f64>| format!("{}\n", x.sqrt())))
        .route("/reserve_tokens/{n}", any(async |Path(n): Path<u64>| format!("{n} tokens are reserved\n")))
        .route("/echofix/{text}", any(async |Path(text): Path<String>| text))
        .route("/echodyn/{n}", any(async |Path(n): Path<u64>| n.to_string()))
        .route("/origin/{*file}", any(async |Path(file): Path<String>| format!("this is {file}\n")))
        .route_layer(from_fn_with_state(calls.clone(), count));
    counted.route("/_calls", get(list)).with_state(calls)
}

async fn count(State(calls): State<Arc<Calls>>, request: Request, next: Next) -> Response {
    calls.note(&request);
    next.run(request).await
}

async fn list(State(calls): State<Arc<Calls>>) -> Json<BTreeMap<String, u64>> {
    Json(calls.counts().clone())
}

async fn status(Path(code): Path<u16>) -> Response {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST).into_response()
}

async fn slow(Path(ms): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    "at last\n"
}

async fn echo(request: Request) -> Json<Value> {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Json(json!({"method": request.method().as_str(), "path": request.uri().to_string(), "headers": headers}))
}

async fn upload(request: Request) -> Body {
    request.into_body()
}

async fn events(Path(count): Path<u64>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::iter(0..count).then(async |number| {
        tokio::time::sleep(EVENTS_APART).await;
        Ok(Event::default().id(number.to_string()).data(format!("event {number}")))
    });
    Sse::new(events)
}
