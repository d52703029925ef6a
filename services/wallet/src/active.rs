//! Active or standing by: one wallet a chain works, as long as it holds the lease `wallet:<chain>`.

use std::sync::Arc;

use runtime::Shutdown;
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::sending::Sending;
use crate::sign::Signing;
use crate::{jobs, transactions};

/// Stands by until the lease is ours, works until it is not, and so on until the shutdown begins.
pub(crate) async fn run(desk: Arc<Desk>, shutdown: Shutdown) {
    let (lease, chain) = (&desk.lease, desk.chain_id);
    while shutdown.run_until(lease.acquire(&desk.ledger)).await.is_some() {
        tracing::info!(chain, holder = lease.holder, "active");
        serve(&desk, &shutdown).await;
        tracing::info!(chain, holder = lease.holder, "no longer active");
    }
    lease.release(&desk.ledger).await;
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
    // Each at its own pace: signing needs no node, so it never waits for one.
    let signing = jobs::work(desk, &Signing, &term);
    let sending = Sending::default();
    sending.challenging.margins.clear(desk);
    let closing = jobs::work(desk, &sending, &term);
    let tending = transactions::tend(desk, &term);
    tokio::join!(desk.lease.keep(&desk.ledger, &term), end, signing, closing, tending);
    sending.challenging.margins.clear(desk);
}
