//! Takes paid requests, lets paid ones through.
//!
//! | file | story |
//! |---|---|
//! | `paywall`, `counter`, `sale` | a paid request, from head to receipt: where it goes, what it pays, what it gets |
//! | `shop`, `router`, `route`, `price`, `till` | what is for sale, at what price, and where it is paid |
//! | `page` | what a browser gets that has to pay first |
//! | `purchase` | what makes two requests the same |
//! | `quota` | what each client gets for nothing |
//! | `goods` | a file, a folder, an upstream, a handler |
//! | `holds` | reserved amounts: renewed, captured, released |
//! | `unknown` | the background is asked to look at the chain |
//! | `desk` | what can be asked beside what is for sale: sums, channels, closes, and what only the operator may |
//! | `fault` | answers that are nobody's payment |
//! | `server`, `connection`, `tls`, `stream`, `patience` | ports and what comes in by them, bounded in number and time |
//! | `admission`, `forwarded`, `headers`, `body` | places for requests, who is asking, what crosses the house |
//! | `checkers` | where signatures are checked |
//! | `clear` | heads that can be read in one way only |
//! | `guests`, `budget`, `rates` | how many connections, bad payments and questions one client may have |
//! | `cors` | which web pages may ask |
//! | `reading` | what is read of strangers' bytes, for the fuzz targets |
//! | `access`, `refusal`, `access_log` | who may buy, why a payment bought nothing, a line for each request |
//! | `spans` | what a trace says of a request |
//! | `layer` | the same inside a program of the seller's own |
//! | `front`, `reload`, `modes`, `tally`, `metrics` | what it all consists of, what an operator sees of it |
//!
//! *Absent by design:* RPC, AMQP, and keys. A front needs PostgreSQL, and nothing else to answer.
//!
//! # Inside a program
//!
//! A program that serves axum needs no front before it: [`Paywall`] is the same paywall as a layer.
//!
//! ```ignore
#![doc = include_str!("../examples/axum_app.rs")]
//! ```

mod access;
mod access_log;
mod admission;
mod body;
mod budget;
mod checkers;
mod clear;
mod connection;
mod cors;
mod counter;
mod desk;
mod fault;
mod forwarded;
mod front;
mod goods;
mod guests;
mod headers;
mod holds;
mod layer;
mod metrics;
mod modes;
mod page;
mod patience;
mod paywall;
mod price;
mod purchase;
mod quota;
mod rates;
pub mod reading;
mod refusal;
mod reload;
mod route;
mod router;
mod sale;
mod server;
mod shop;
mod spans;
mod stream;
mod tally;
mod till;
mod tls;
mod unknown;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ledger::{Ledger, LedgerError, Settings};
use runtime::process::Context;
use runtime::{Check, Config, Ops, Shutdown};
use tokio::signal::unix::{SignalKind, signal};

pub use layer::{Paywall, Priced, Sold};
pub use runtime::config;
pub use server::Listeners;

/// Between two attempts to reach a database that is away at the start.
const RETRY: Duration = Duration::from_secs(1);

/// The process: connects to the ledger, answers until the shutdown, and drains.
///
/// # Errors
/// When the configuration names what is not there, the database is not to be trusted, or a port cannot be bound.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let Context { config, config_file, shutdown, metrics } = context;
    metrics::describe();
    let tls = config.front.tls.as_ref().map(tls::Tls::open).transpose()?;
    // Taken from here on, though it is only listened to once there is something to reload.
    let hangups = signal(SignalKind::hangup())?;
    let (ready, ledger_is_ready) = tokio::sync::watch::channel(None::<Ledger>);
    let check = Check::required("postgresql", move || {
        let ledger = ledger_is_ready.borrow().clone();
        async move {
            let ledger = ledger.ok_or("not connected yet")?;
            ledger.healthy().await.map_err(|error| error.to_string())
        }
    });
    let modes = modes::Modes::of(&config);
    let mut checks = vec![check];
    checks.extend(modes.checks());
    let (_, ops) = Ops::serve(config.front.ops_listen, metrics, checks, shutdown.clone())
        .await
        .with_context(|| format!("cannot listen on {}", config.front.ops_listen))?;
    let Some(ledger) = shutdown.run_until(connect(&config.database)).await else { return Ok(()) };
    let ledger = ledger.context("cannot use the database")?;
    ready.send_replace(Some(ledger.clone()));
    let front = Arc::new(front::Front::new(&config, ledger.clone(), tls, modes)?);
    let listeners = Listeners::bind(&config.front).await?;
    tracing::info!(address = %config.front.listen, routes = config.front.routes.len(), "open for business");
    let reloader = reload::Reloader::offer(front.clone(), config_file, config, &ops);
    let reloads = tokio::spawn(reloader.listen(hangups));
    ops.started();
    attend(front, listeners, shutdown).await;
    reloads.abort();
    ledger.close().await;
    Ok(())
}

/// Answers requests on these ports until the shutdown, and drains. What [`run`] does once everything is there.
///
/// # Errors
/// When the configuration names what is not there.
pub async fn serve(
    config: &Config,
    ledger: Ledger,
    listeners: impl Into<Listeners>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let tls = config.front.tls.as_ref().map(tls::Tls::open).transpose()?;
    attend(Arc::new(front::Front::new(config, ledger, tls, modes::Modes::of(config))?), listeners.into(), shutdown)
        .await;
    Ok(())
}

async fn attend(front: Arc<front::Front>, listeners: Listeners, shutdown: Shutdown) {
    let care = tokio::spawn(front.clone().care());
    let watch = front.tls.clone().map(|tls| tokio::spawn(tls.watch()));
    server::serve(front.clone(), listeners, shutdown).await;
    care.abort();
    if let Some(log) = &front.access_log {
        log.close().await;
    }
    if let Some(watch) = watch {
        watch.abort();
    }
}

/// Connects; waits for a database that is away, but not for one that is not to be trusted.
async fn connect(settings: &Settings) -> Result<Ledger, LedgerError> {
    loop {
        match Ledger::connect(settings).await {
            Err(LedgerError::Unavailable(reason)) => {
                tracing::warn!(error = &*reason as &dyn std::error::Error, "the database is away");
                tokio::time::sleep(RETRY).await;
            }
            answer => return answer,
        }
    }
}
