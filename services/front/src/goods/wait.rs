//! Waiting for an answer that somebody else gives.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::Response;
use tokio::sync::watch;

use crate::fault::Fault;
use crate::metrics;

/// What is known of a request's body while it is on its way.
pub(super) struct OnItsWay {
    /// Marked whenever a piece was taken from it.
    pub(super) progress: watch::Receiver<()>,
    /// What the client did wrong, if the body ended early.
    pub(super) client_fault: Arc<OnceLock<Fault>>,
}

impl OnItsWay {
    /// The answer's head, unless neither it comes nor a piece of the request is taken for so long.
    pub(super) async fn answer<B>(
        self,
        route: &str,
        patience: Duration,
        answer: impl Future<Output = Result<Response<B>, Fault>>,
    ) -> Result<Response<B>, Fault> {
        let began = Instant::now();
        let answer = tokio::select! {
            answer = answer => answer,
            () = silence(self.progress, patience) => Err(Fault::UpstreamTimeout),
        };
        // A request that its client broke off says nothing about who was to answer it.
        let answer = answer.map_err(|fault| self.client_fault.get().copied().unwrap_or(fault));
        let outcome =
            answer.as_ref().map_or_else(|fault| fault.reason().to_owned(), |a| a.status().as_u16().to_string());
        metrics::called(route, outcome, began.elapsed());
        answer
    }
}

/// Ends once no piece of the request was taken for so long.
async fn silence(mut progress: watch::Receiver<()>, patience: Duration) {
    loop {
        match tokio::time::timeout(patience, progress.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return tokio::time::sleep(patience).await, // all of it was
            Err(_) => return,
        }
    }
}
