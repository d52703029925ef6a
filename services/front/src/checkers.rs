//! Where signatures are checked, which is most of what a front has to do: on threads of their own, behind a bounded queue.
//!
//! ```text
//! requests ─► queue ─► a thread for each processor: recover the signer ─► the request goes on
//!               └── full: 503 at once
//! ```
//! What is cheap (an answer that is ready, a request without a payment, a health check) waits behind no signature, and who
//! pays waits no longer than the queue is.

use std::sync::Arc;
use std::thread;

use anyhow::Context;
use channel::{ChannelId, VerifiedVoucher};
use crossbeam_channel::{Receiver, Sender, bounded};
use protocols::Payment;
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::metrics;
use crate::till::Till;

/// The queue; the threads end with it.
pub(crate) struct Checkers(Sender<Check>);

struct Check {
    till: Arc<Till>,
    channel: ChannelId,
    payment: Payment,
    answer: oneshot::Sender<Option<VerifiedVoucher>>,
}

impl Checkers {
    /// Starts the threads. At most `waiting` payments wait for them.
    pub(crate) fn start(waiting: usize) -> anyhow::Result<Checkers> {
        let (queue, checks) = bounded(waiting);
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let checks = checks.clone();
            let thread = thread::Builder::new().name("signatures".to_owned());
            thread.spawn(move || work(&checks)).context("cannot start a thread")?;
        }
        Ok(Checkers(queue))
    }

    /// As [`Till::verify`].
    ///
    /// # Errors
    /// [`Fault::Overloaded`] when too many wait already.
    pub(crate) async fn verify(
        &self,
        till: &Arc<Till>,
        channel: ChannelId,
        payment: &Payment,
    ) -> Result<Option<VerifiedVoucher>, Fault> {
        let (answer, checked) = oneshot::channel();
        let check = Check { till: till.clone(), channel, payment: payment.clone(), answer };
        self.0.try_send(check).map_err(|_| {
            metrics::shed();
            Fault::Overloaded
        })?;
        checked.await.map_err(|_| Fault::Internal)
    }
}

fn work(checks: &Receiver<Check>) {
    for Check { till, channel, payment, answer } in checks {
        if !answer.is_closed() {
            // Who went away meanwhile needs no answer.
            let _ = answer.send(till.verify(channel, &payment));
        }
    }
}
