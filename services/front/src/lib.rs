//! Takes paid requests, lets paid ones through.
//!
//! | file | story |
//! |---|---|
//! | `paywall`, `sale` | a paid request, from head to receipt; what was sold, handed over |
//! | `shop`, `router`, `route`, `price`, `till` | what is for sale, at what price, and where it is paid |
//! | `purchase` | what makes two requests the same |
//! | `goods` | a file, an upstream |
//! | `holds` | reserved amounts: renewed, captured, released |
//! | `unknown`, `close` | what the background is asked for: a look at the chain, a closing signature |
//! | `fault` | answers that are nobody's payment |
//! | `server`, `stream`, `forwarded`, `headers`, `body` | connections, who is asking, what crosses the house |
//! | `front`, `metrics` | what it all consists of, what an operator sees of it |
//!
//! *Absent by design:* RPC, AMQP, and keys. A front needs PostgreSQL, and nothing else to answer.

mod body;
mod close;
mod fault;
mod forwarded;
mod front;
mod goods;
mod headers;
mod holds;
mod metrics;
mod paywall;
mod price;
mod purchase;
mod route;
mod router;
mod sale;
mod server;
mod shop;
mod stream;
mod till;
mod unknown;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ledger::{Ledger, LedgerError, Settings};
use runtime::process::Context;
use runtime::{Check, Config, Ops, Shutdown};
use tokio::net::TcpListener;

/// Between two attempts to reach a database that is away at the start.
const RETRY: Duration = Duration::from_secs(1);

/// The process: connects to the ledger, answers until the shutdown, and drains.
///
/// # Errors
/// When the configuration names what is not there, the database is not to be trusted, or a port cannot be bound.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let Context { config, shutdown, metrics } = context;
    metrics::describe();
    let (ready, ledger_is_ready) = tokio::sync::watch::channel(None::<Ledger>);
    let check = Check::required("postgresql", move || {
        let ledger = ledger_is_ready.borrow().clone();
        async move {
            let ledger = ledger.ok_or("not connected yet")?;
            ledger.healthy().await.map_err(|error| error.to_string())
        }
    });
    let (_, ops) = Ops::serve(config.front.ops_listen, metrics, vec![check], shutdown.clone())
        .await
        .with_context(|| format!("cannot listen on {}", config.front.ops_listen))?;
    let Some(ledger) = shutdown.run_until(connect(&config.database)).await else { return Ok(()) };
    let ledger = ledger.context("cannot use the database")?;
    ready.send_replace(Some(ledger.clone()));
    let listener = TcpListener::bind(config.front.listen);
    let listener = listener.await.with_context(|| format!("cannot listen on {}", config.front.listen))?;
    tracing::info!(address = %config.front.listen, routes = config.front.routes.len(), "open for business");
    ops.started();
    serve(&config, ledger.clone(), listener, shutdown).await?;
    ledger.close().await;
    Ok(())
}

/// Answers requests on `listener` until the shutdown, and drains. What [`run`] does once everything is there.
///
/// # Errors
/// When the configuration names what is not there.
pub async fn serve(config: &Config, ledger: Ledger, listener: TcpListener, shutdown: Shutdown) -> anyhow::Result<()> {
    let front = Arc::new(front::Front::new(config, ledger)?);
    let care = tokio::spawn(front.holds.clone().care());
    server::serve(front, listener, shutdown).await;
    care.abort();
    Ok(())
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
