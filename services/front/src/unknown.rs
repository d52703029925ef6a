//! A payment on a channel that the ledger does not know: it may have been opened a moment ago.
//!
//! The front asks the background to look at the chain, waits a little, and sells once more. Only vouchers with a good
//! signature come here; the job is one per channel however many ask, and so many may wait and no more.

use std::time::Duration;

use channel::{ChannelId, Refusal};
use ledger::{JobKind, Ledger, LedgerError, NewJob, Order, Receipt, Refused};
use tokio::sync::Semaphore;

/// Sells to channels that may be new.
pub(crate) struct Newcomers {
    places: Semaphore,
    patience: Duration,
}

impl Newcomers {
    pub(crate) fn new(places: usize, patience: Duration) -> Newcomers {
        Newcomers { places: Semaphore::new(places), patience }
    }

    /// Sells; to an unknown channel after a look at the chain.
    pub(crate) async fn sell(&self, ledger: &Ledger, order: Order) -> Result<Result<Receipt, Refused>, LedgerError> {
        let first = ledger.sell(order.clone()).await?;
        let Err(Refused { refusal: Refusal::Unknown, .. }) = first else { return Ok(first) };
        let Ok(_place) = self.places.try_acquire() else { return Ok(first) };
        match self.look(ledger, &order.deployment, order.voucher.channel).await {
            Ok(()) => ledger.sell(order).await,
            Err(LedgerError::Overloaded) => Ok(first), // too many newcomers already
            Err(error) => Err(error),
        }
    }

    async fn look(&self, ledger: &Ledger, deployment: &str, channel: ChannelId) -> Result<(), LedgerError> {
        let job = ledger
            .enqueue(&NewJob {
                kind: JobKind::Sync,
                key: channel.to_string(),
                deployment: deployment.to_owned(),
                channel: Some(channel),
                amount: None,
            })
            .await?;
        // Whether it is done, failed or still waiting: the ledger's next answer is the one that counts.
        ledger.wait(job, self.patience).await.map(|_| ())
    }
}
