//! Bodies of requests and answers, with a limit on everything.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use tokio::sync::watch;
use tower_http::timeout::TimeoutBody;

use crate::fault::Fault;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
/// What we send, either way.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body of any kind as one of ours.
pub(crate) fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() { empty() } else { body.map_err(Into::into).boxed_unsync() }
}

/// How much a client may send, and how slowly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes in all.
    pub(crate) limit: usize,
    /// For the next piece to arrive.
    pub(crate) idle: Duration,
}

impl Bounds {
    fn around(self, body: Body) -> Body {
        Limited::new(TimeoutBody::new(self.idle, body), self.limit).boxed_unsync()
    }

    /// The whole body.
    pub(crate) async fn read(self, body: Body) -> Result<Bytes, Fault> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let collected = self.around(body).collect().await;
        collected.map(|body| body.to_bytes()).map_err(|error| blame(&error))
    }

    /// Reads what the client still sends, and forgets it: a client may not look for an answer before it has sent all, and
    /// a connection closed on unread bytes can lose the answer.
    pub(crate) async fn discard(self, body: Body) {
        let mut body = self.around(body);
        while let Some(Ok(_)) = body.frame().await {}
    }

    /// A body to forward as it arrives.
    pub(crate) fn forward(self, body: Body) -> Upload {
        let (moved, progress) = watch::channel(());
        if body.is_end_stream() {
            return Upload { body: empty(), progress, fault: Arc::default() };
        }
        let fault = Arc::new(OnceLock::new());
        let found = fault.clone();
        let body = self
            .around(body)
            .map_frame(move |frame| {
                moved.send_replace(());
                frame
            })
            .map_err(move |error| {
                // The first fault is the one that counts.
                let _ = found.set(blame(&error));
                error
            })
            .boxed_unsync();
        Upload { body, progress, fault }
    }
}

/// A request's body on its way to an upstream.
pub(crate) struct Upload {
    pub(crate) body: Body,
    /// Marked whenever a piece was taken from it.
    pub(crate) progress: watch::Receiver<()>,
    /// What the client did wrong, if the body ended early.
    pub(crate) fault: Arc<OnceLock<Fault>>,
}

impl Upload {
    /// No body at all.
    pub(crate) fn nothing() -> Upload {
        Upload::whole(Bytes::new())
    }

    /// A body that is here already.
    pub(crate) fn whole(bytes: Bytes) -> Upload {
        Upload { body: full(bytes), progress: watch::channel(()).1, fault: Arc::default() }
    }
}

fn blame(error: &BoxError) -> Fault {
    if error.is::<LengthLimitError>() {
        Fault::BodyTooLarge
    } else if error.is::<tower_http::timeout::TimeoutError>() {
        Fault::BodyTimeout
    } else {
        Fault::BodyBroken
    }
}
