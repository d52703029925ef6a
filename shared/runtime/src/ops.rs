//! The second port: `/livez`, `/startupz`, `/readyz` (`?verbose` lists each dependency), `/metrics`, and what a process can
//! be asked to do by `POST`.
//!
//! Liveness depends on nothing. Readiness depends on the *required* checks; one that fails for a moment does not take the
//! process out of its load balancer (they would all go at once), one that fails for [`PATIENCE`] does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::Shutdown;

/// How often checks run, and how long one may take.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a required check may fail before the process calls itself unready.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks at one dependency.
pub struct Check {
    name: String,
    required: bool,
    run: Box<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    last_ok: Option<Instant>,
    said: Option<Result<String, String>>,
}

impl Check {
    /// A check without which the process is not ready.
    pub fn required<F, R>(name: impl Into<String>, run: F) -> Check
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        Check { required: true, ..Check::informative(name, run) }
    }

    /// A check that `/readyz?verbose` reports, and nothing more.
    pub fn informative<F, R>(name: impl Into<String>, run: F) -> Check
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        Check::telling(name, move || {
            let answer = run();
            async move { answer.await.map(|()| "ok".to_owned()) }
        })
    }

    /// A check that `/readyz?verbose` reports, with its own words for what is well too.
    pub fn telling<F, R>(name: impl Into<String>, run: F) -> Check
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, String>> + Send + 'static,
    {
        Check { name: name.into(), required: false, run: Box::new(move || Box::pin(run())), seen: Mutex::default() }
    }

    async fn probe(&self) {
        let said = tokio::time::timeout(INTERVAL, (self.run)()).await.unwrap_or(Err("no answer in time".to_owned()));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_ok() {
            seen.last_ok = Some(Instant::now());
        }
        seen.said = Some(said);
    }

    fn holds(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        !self.required || seen.last_ok.is_some_and(|at| at.elapsed() < PATIENCE)
    }

    fn describe(&self) -> (String, serde_json::Value) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (Ok(state) | Err(state)) = seen.said.clone().unwrap_or(Err("not checked yet".to_owned()));
        (self.name.clone(), state.into())
    }
}

type Action = Arc<dyn Fn() -> BoxFuture<'static, Result<Value, Value>> + Send + Sync>;

/// The state behind the ops port.
pub struct Ops {
    started: AtomicBool,
    draining: Shutdown,
    checks: Vec<Check>,
    actions: Mutex<BTreeMap<&'static str, Action>>,
    metrics: PrometheusHandle,
}

impl Ops {
    /// Serves on `listen` until the process ends; returns the address bound and the handle that says `started`.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn serve(
        listen: SocketAddr,
        metrics: PrometheusHandle,
        checks: Vec<Check>,
        shutdown: Shutdown,
    ) -> std::io::Result<(SocketAddr, Arc<Ops>)> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (started, actions) = (AtomicBool::new(false), Mutex::default());
        let ops = Arc::new(Ops { started, draining: shutdown, checks, actions, metrics });
        let router = Router::new()
            .route("/livez", get(|| async { "ok" }))
            .route("/startupz", get(startupz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_page))
            .fallback(act)
            .with_state(ops.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        tokio::spawn(probe_for_ever(ops.clone()));
        Ok((address, ops))
    }

    /// Says that start-up is over: the process does its work from now on.
    pub fn started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// From now on `POST /name` runs this, and answers 200 with what it did, or 422 with why it did nothing.
    pub fn add_action<F, R>(&self, name: &'static str, run: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, Value>> + Send + 'static,
    {
        let action: Action = Arc::new(move || Box::pin(run()));
        self.actions.lock().unwrap_or_else(PoisonError::into_inner).insert(name, action);
    }

    fn action(&self, path: &str) -> Option<Action> {
        let name = path.strip_prefix('/')?;
        self.actions.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn is_ready(&self) -> bool {
        self.started.load(Ordering::Relaxed) && !self.draining.has_begun() && self.checks.iter().all(Check::holds)
    }
}

async fn probe_for_ever(ops: Arc<Ops>) {
    loop {
        futures::future::join_all(ops.checks.iter().map(Check::probe)).await;
        ops.metrics.run_upkeep();
        tokio::time::sleep(INTERVAL).await;
    }
}

fn status(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn startupz(State(ops): State<Arc<Ops>>) -> Response {
    status(ops.started.load(Ordering::Relaxed)).into_response()
}

async fn readyz(State(ops): State<Arc<Ops>>, RawQuery(query): RawQuery) -> Response {
    let ready = ops.is_ready();
    if query.as_deref() != Some("verbose") {
        return status(ready).into_response();
    }
    let checks: serde_json::Map<_, _> = ops.checks.iter().map(Check::describe).collect();
    let draining = ops.draining.has_begun();
    (status(ready), Json(json!({ "ready": ready, "draining": draining, "checks": checks }))).into_response()
}

async fn act(State(ops): State<Arc<Ops>>, method: Method, uri: Uri) -> Response {
    let Some(action) = ops.action(uri.path()) else { return StatusCode::NOT_FOUND.into_response() };
    if method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    match action().await {
        Ok(done) => Json(done).into_response(),
        Err(why) => (StatusCode::UNPROCESSABLE_ENTITY, Json(why)).into_response(),
    }
}

async fn metrics_page(State(ops): State<Arc<Ops>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], ops.metrics.render()).into_response()
}
