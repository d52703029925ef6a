//! Active or standing by: one wallet a chain works, as long as it holds the lease `wallet:<chain>`.

use std::sync::Arc;

use runtime::Shutdown;
use tokio_util::sync::CancellationToken;

use crate::challenge::Challenging;
use crate::desk::Desk;
use crate::sending::Sending;
use crate::sign::Signing;
use crate::transactions::Memory;
use crate::{clear, jobs, metric, refill, transactions};

/// Stands by until the lease is ours, works until it is not, and so on until the shutdown begins.
pub(crate) async fn run(desk: Arc<Desk>, shutdown: Shutdown) {
    let (lease, chain) = (&desk.lease, desk.chain_id);
    metric::begin(chain);
    show(chain, false);
    clear::stand_by(&desk);
    while shutdown.run_until(lease.acquire(&desk.ledger)).await.is_some() {
        tracing::info!(chain, holder = lease.holder, "active");
        show(chain, true);
        serve(&desk, &shutdown).await;
        show(chain, false);
        clear::stand_by(&desk);
        tracing::info!(chain, holder = lease.holder, "no longer active");
    }
    lease.release(&desk.ledger).await;
}

fn show(chain: u64, active: bool) {
    metrics::gauge!("wallet_active", "chain" => chain.to_string()).set(f64::from(u8::from(active)));
}

/// Works as long as the lease lasts. Whoever works looks at the term between two steps, and finishes the one begun.
async fn serve(desk: &Desk, shutdown: &Shutdown) {
    let term = CancellationToken::new();
    let end = async {
        tokio::select! {
            () = shutdown.begun() => term.cancel(),
            () = term.cancelled() => {}
        }
    };
    // As a new process would begin: what was remembered of an earlier term may be long ago.
    *desk.memory() = Memory::default();
    // Each at its own pace: signing needs no node, so it never waits for one; an answer to a dishonest close has a deadline,
    // so it never waits for what has none.
    let signing = jobs::work(desk, &Signing, &term);
    let challenging = Challenging::default();
    challenging.margins.clear(desk);
    let answering = jobs::work(desk, &challenging, &term);
    let sending = jobs::work(desk, &Sending, &term);
    let tending = transactions::tend(desk, &term);
    let clearing = clear::give(desk, &term);
    let watching = refill::watch(desk, &term);
    let comparing = term.run_until_cancelled(desk.rpc.compare_for_ever());
    let working = async { tokio::join!(signing, answering, sending, tending, clearing, watching, comparing) };
    tokio::join!(desk.lease.keep(&desk.ledger, &term), end, working);
    challenging.margins.clear(desk);
}
