//! One connection: who is at its other end, TLS if it is to be, HTTP of either version, and an end in good order.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use runtime::config::{Limits, Timeouts};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::admission::admit;
use crate::body;
use crate::forwarded::Peer;
use crate::front::Front;
use crate::guests::Guest;
use crate::metrics;
use crate::patience::{Patience, Wait};
use crate::stream::Stream;
use crate::tls::Tls;

/// Requests that one HTTP/2 connection may have in flight.
const STREAMS: u32 = 200;
/// HTTP/2 pings: a peer that vanished is noticed after both.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Plain, or TLS.
type Wire = Either<Stream, Box<TlsStream<Stream>>>;

/// Speaks HTTP, of either version.
pub(crate) type Speaker = auto::Builder<TokioExecutor>;

/// When connections end.
#[derive(Clone, Default)]
pub(crate) struct End {
    /// Once this is so, each answer on HTTP/1.1 says that it is the last of its connection: its client is not to find a connection
    /// closed into which it has just written the next request. (On HTTP/2 it never does.)
    pub(crate) is_draining: Arc<AtomicBool>,
    /// Then all others end, with the requests that they have.
    pub(crate) closing: CancellationToken,
}

/// How HTTP is spoken. Heads are timed by [`Patience`].
pub(crate) fn speaker(limits: &Limits) -> Speaker {
    let mut speaker = auto::Builder::new(TokioExecutor::new());
    speaker.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(limits.header_bytes);
    speaker
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    speaker
}

/// One connection, from its first byte to its end.
pub(crate) async fn serve(
    front: Arc<Front>,
    speaker: &Speaker,
    tls: Option<&Tls>,
    stream: TcpStream,
    address: SocketAddr,
    end: End,
) {
    let patience = Patience::new(&front.timeouts);
    match open(&front, tls, &patience, stream, address).await {
        Ok((wire, peer, _guest)) => converse(&front, speaker, &patience, wire, peer, end).await,
        Err(error) => tracing::debug!(%address, "a connection came to nothing: {error:#}"),
    }
}

/// The load balancer's word first, where there is one, then a place among its client's connections, then TLS.
async fn open(
    front: &Front,
    tls: Option<&Tls>,
    patience: &Arc<Patience>,
    mut stream: TcpStream,
    address: SocketAddr,
) -> anyhow::Result<(Wire, Peer, Option<Guest>)> {
    let Timeouts { header, body_idle, .. } = front.timeouts;
    let peer = front.trust.identify(&mut stream, address, header).await?;
    let guest = if peer.trusted { None } else { Some(front.guests.enter(peer.ip).ok_or_else(turned_away)?) };
    let stream = Stream::new(stream, patience.clone(), body_idle);
    let Some(tls) = tls else { return Ok((Either::Left(stream), peer, guest)) };
    let stream = tls.accept(stream, header).await?;
    Ok((Either::Right(Box::new(stream)), Peer { is_secure: true, ..peer }, guest))
}

fn turned_away() -> anyhow::Error {
    metrics::turned_away();
    anyhow::anyhow!("its client has enough of them")
}

async fn converse(
    front: &Arc<Front>,
    speaker: &Speaker,
    patience: &Arc<Patience>,
    wire: Wire,
    peer: Peer,
    End { is_draining, closing }: End,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (version, is_draining) = (request.version(), is_draining.clone());
        let (front, in_progress) = (front.clone(), patience.begin(version));
        async move {
            let mut answer = admit(&front, peer, None, request.map(body::boxed), Some(in_progress)).await;
            if version < Version::HTTP_2 && is_draining.load(Ordering::Relaxed) {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    patience.wait_for_the_rest();
    let mut connection = pin!(speaker.serve_connection(TokioIo::new(wire), service));
    let mut closing = pin!(closing.cancelled());
    let mut deadline = pin!(tokio::time::sleep(front.timeouts.header));
    let mut is_ending = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return Poll::Ready(());
            }
            let mut is_over = !is_ending && closing.as_mut().poll(cx).is_ready() && patience.is_over();
            if let Some((until, wait)) = patience.deadline() {
                if deadline.deadline() != until {
                    deadline.as_mut().reset(until);
                }
                if deadline.as_mut().poll(cx).is_ready() {
                    if wait == Wait::Rest || is_ending {
                        return Poll::Ready(()); // hung up on
                    }
                    is_over = true;
                }
            }
            if !is_over {
                return Poll::Pending;
            }
            is_ending = true;
            connection.as_mut().graceful_shutdown();
            patience.wait_for_the_rest();
        }
    })
    .await;
}
