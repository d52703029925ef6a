//! An API of your own that sells square roots: `cargo run -p front --example axum_app sluice.toml`, beside a watcher and a
//! wallet with the same configuration.

use std::net::SocketAddr;

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Router, serve};
use front::Paywall;
use tokio::net::TcpListener;

/// Whoever gets here has paid.
async fn sqrt(headers: HeaderMap, Path(x): Path<f64>) -> String {
    tracing::info!(payer = ?headers.get("sluice-payer"), x, "sold a root");
    x.sqrt().to_string()
}

/// `/sqrt/9` costs 3 of the token's base units; the rest is free.
pub fn app(sluice: &Paywall) -> Router {
    Router::new()
        .route("/sqrt/{x}", get(sqrt).route_layer(sluice.priced("sqrt", 3)))
        .route("/", get(async || "Ask for /sqrt/9: it costs 3.\n"))
        .merge(sluice.desk())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sluice = Paywall::open(std::env::args().nth(1).as_deref().unwrap_or("sluice.toml")).await?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    let service = app(&sluice).into_make_service_with_connect_info::<SocketAddr>();
    serve(listener, service).with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await }).await?;
    sluice.close().await;
    Ok(())
}
