use std::time::{Duration, Instant};

use ledger::Ledger;
use tokio_util::sync::CancellationToken;

/// A name that one process at a time holds, by the database's clock.
///
/// It saves work; it is not what keeps the ledger right. A holder that was paused and wakes up too late is stopped by the
/// cursor, which it no longer knows.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) name: String,
    pub(crate) holder: String,
    pub(crate) ttl: Duration,
}

impl Lease {
    /// How often it is renewed, and asked for by those who wait.
    fn interval(&self) -> Duration {
        self.ttl / 4
    }

    /// Waits until it is ours.
    pub(crate) async fn acquire(&self, ledger: &Ledger) {
        loop {
            match ledger.lease(&self.name, &self.holder, self.ttl).await {
                Ok(true) => return,
                Ok(false) => tracing::debug!(lease = self.name, "somebody else is active"),
                Err(error) => tracing::warn!(lease = self.name, %error, "cannot ask for the lease"),
            }
            tokio::time::sleep(self.interval()).await;
        }
    }

    /// Renews it until `term` ends, and ends `term` when it is lost.
    pub(crate) async fn keep(&self, ledger: &Ledger, term: &CancellationToken) {
        let mut held_since = Instant::now();
        while term.run_until_cancelled(tokio::time::sleep(self.interval())).await.is_some() {
            let asked = Instant::now();
            match tokio::time::timeout(self.interval(), ledger.lease(&self.name, &self.holder, self.ttl)).await {
                Ok(Ok(true)) => held_since = asked,
                Ok(Ok(false)) => {
                    tracing::warn!(lease = self.name, "somebody else took over");
                    term.cancel();
                }
                Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "cannot renew the lease"),
                Err(_) => tracing::warn!(lease = self.name, "cannot renew the lease: the database does not answer"),
            }
            if held_since.elapsed() >= self.ttl {
                tracing::warn!(lease = self.name, "the lease ran out");
                term.cancel();
            }
        }
    }

    /// Gives it back, so that the next one need not wait for it to run out.
    pub(crate) async fn release(&self, ledger: &Ledger) {
        if let Err(error) = ledger.release_lease(&self.name, &self.holder).await {
            tracing::info!(lease = self.name, %error, "cannot give the lease back; it runs out by itself");
        }
    }
}
