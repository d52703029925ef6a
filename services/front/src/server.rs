//! Connections: taken one by one, bounded in number, time and size, and ended in good order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use runtime::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::{self, Body, BoxError};
use crate::fault::Fault;
use crate::forwarded::Peer;
use crate::front::{Front, Visit};
use crate::metrics::Present;
use crate::paywall;
use crate::stream::Stream;

/// After a connection could not be accepted (no file descriptors left): time for some to close.
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(50);
/// Requests that one HTTP/2 connection may have in flight.
const STREAMS: u32 = 200;
/// HTTP/2 pings: a peer that vanished is noticed after both.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Answers requests until the shutdown, and then until those in flight are answered, but no longer than the grace.
///
/// ```text
/// SIGTERM ─► drain delay: still accepting, load balancers notice ─► no new connections, the open ones end with their
/// requests ─► grace: answers and calls in flight end ─► done
/// ```
pub(crate) async fn serve(front: Arc<Front>, listener: TcpListener, shutdown: Shutdown) {
    let drain_delay = front.timeouts.drain_delay;
    let house = House::open(front);
    let mut last_orders = pin!(async {
        shutdown.begun().await;
        tokio::time::sleep(drain_delay).await;
    });
    loop {
        let accepted = tokio::select! {
            () = &mut last_orders => break,
            accepted = house.accept(&listener) => accepted,
        };
        match accepted {
            Ok((stream, address, place)) => house.welcome(stream, address, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
            }
        }
    }
    drop(listener);
    house.close().await;
}

struct House {
    front: Arc<Front>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    places: Arc<Semaphore>,
    in_flight: Arc<Semaphore>,
    connections: TaskTracker,
    closing: CancellationToken,
}

impl House {
    fn open(front: Arc<Front>) -> House {
        House {
            builder: Arc::new(builder(&front)),
            places: Arc::new(Semaphore::new(front.limits.connections)),
            in_flight: Arc::new(Semaphore::new(front.limits.in_flight)),
            connections: TaskTracker::new(),
            closing: CancellationToken::new(),
            front,
        }
    }

    /// A connection, once there is a place for it.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> std::io::Result<(TcpStream, SocketAddr, Option<OwnedSemaphorePermit>)> {
        let place = self.places.clone().acquire_owned().await.ok();
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, address, place))
    }

    fn welcome(&self, mut stream: TcpStream, address: SocketAddr, place: Option<OwnedSemaphorePermit>) {
        let (front, builder) = (self.front.clone(), self.builder.clone());
        let (in_flight, closing) = (self.in_flight.clone(), self.closing.clone());
        self.connections.spawn(async move {
            let _present = (Present::new("front_connections"), place);
            match front.trust.identify(&mut stream, address, front.timeouts.header).await {
                Ok(peer) => {
                    let stream = Stream::new(stream, front.timeouts.body_idle);
                    converse(&front, &builder, stream, peer, in_flight, closing).await;
                }
                Err(error) => tracing::debug!(%address, %error, "a connection was not what its proxy should send"),
            }
        });
    }

    async fn close(self) {
        self.closing.cancel();
        self.connections.close();
        self.front.calls.close();
        let over = async {
            self.connections.wait().await;
            self.front.calls.wait().await;
        };
        if tokio::time::timeout(self.front.timeouts.grace, over).await.is_err() {
            tracing::warn!("some requests were not over within the grace; their holds expire");
        }
    }
}

fn builder(front: &Front) -> auto::Builder<TokioExecutor> {
    let header_bytes = front.limits.header_bytes;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(front.timeouts.header).max_buf_size(header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    builder
}

/// One connection, to its end.
async fn converse(
    front: &Arc<Front>,
    builder: &auto::Builder<TokioExecutor>,
    stream: Stream,
    peer: Peer,
    in_flight: Arc<Semaphore>,
    closing: CancellationToken,
) {
    let spoken = AtomicBool::new(false);
    let service = service_fn(|request| {
        spoken.store(true, Ordering::Relaxed);
        let (front, in_flight) = (front.clone(), in_flight.clone());
        async move { Ok::<_, Infallible>(admit(&front, peer, in_flight, request).await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // The timeout for headers begins once the version of HTTP is known; a client that never says gets this one.
    let mut first_words = pin!(tokio::time::sleep(front.timeouts.header));
    let mut is_closing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = &mut first_words, if !first_words.is_elapsed() => {
                if !spoken.load(Ordering::Relaxed) {
                    return;
                }
            }
            () = closing.cancelled(), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Answers, if there are not too many requests already.
async fn admit(
    front: &Arc<Front>,
    peer: Peer,
    in_flight: Arc<Semaphore>,
    request: Request<Incoming>,
) -> Response<Admitted> {
    let Ok(permit) = in_flight.try_acquire_owned() else {
        crate::metrics::shed();
        return Fault::Overloaded.answer().map(|body| Admitted { body, _guard: None });
    };
    let present = Present::new("front_http_requests_in_flight");
    let visit = Visit { peer, admitted: Arc::new(permit) };
    let answer = paywall::answer(front, &visit, request.map(body::boxed)).await;
    answer.map(|body| Admitted { body, _guard: Some((visit.admitted, present)) })
}

/// A body whose request is in flight until it is sent or dropped.
struct Admitted {
    body: Body,
    _guard: Option<(Arc<OwnedSemaphorePermit>, Present)>,
}

impl http_body::Body for Admitted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
