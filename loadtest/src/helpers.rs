//! The servers that this program is itself: an upstream, and ceilings of what a front could be.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use ledger::Ledger;
use runtime::Shutdown;
use tokio::net::TcpListener;

use crate::stage::STREAMED_PATH;

/// What all of them hand out.
pub const PAGE: &str = "An answer worth paying for.\n";
/// Between the two halves of what the upstream streams.
const PAUSE: Duration = Duration::from_millis(50);

/// An upstream that answers at once, and counts: `/calls` says how often.
///
/// # Errors
/// When it cannot listen.
pub async fn upstream(listen: SocketAddr) -> Result<()> {
    let calls = Arc::new(AtomicU64::new(0));
    let sell = async |State(calls): State<Arc<AtomicU64>>| {
        calls.fetch_add(1, Ordering::Relaxed);
        PAGE
    };
    let stream = async |State(calls): State<Arc<AtomicU64>>| {
        calls.fetch_add(1, Ordering::Relaxed);
        let (first, second) = PAGE.split_at(PAGE.len() / 2);
        let later = async move {
            tokio::time::sleep(PAUSE).await;
            Ok::<_, Infallible>(second)
        };
        ([(CONTENT_LENGTH, PAGE.len())], Body::from_stream(stream::iter([Ok(first)]).chain(stream::once(later))))
    };
    let count = async |State(calls): State<Arc<AtomicU64>>| calls.load(Ordering::Relaxed).to_string();
    let router = Router::new().route("/calls", get(count)).route(STREAMED_PATH, get(stream));
    let router = router.fallback(sell).with_state(calls);
    Ok(axum::serve(TcpListener::bind(listen).await?, router).await?)
}

/// A front like any other, by the same configuration, on a ledger that writes nothing down.
///
/// # Errors
/// When it cannot listen, or the database is away.
pub async fn no_commit(listen: SocketAddr, config: &Path) -> Result<()> {
    let config = runtime::config::load(config)?;
    runtime::telemetry::init()?;
    let ledger = Ledger::forgetful(&config.database).await?;
    front::serve(&config, ledger, TcpListener::bind(listen).await?, Shutdown::on_signals()?).await
}

/// The HTTP stack of a front, and nothing behind it.
///
/// # Errors
/// When it cannot listen.
pub async fn hello(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(async |_: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(PAGE.as_bytes()))))
            });
            // A client that goes away is the end of a measurement.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
