use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

type Nothing = Empty<Bytes>;

/// A connection that is kept for one request after the other; on HTTP/2 for several at a time.
///
/// It forgives less than a client does: a request is sent once. It goes on a new connection, which has to take it, only where the
/// other end hung up before a byte of it was written, or says, as HTTP/2 can, that it did nothing with it (RFC 9113, 6.8).
#[derive(Debug)]
pub struct Line {
    server: Uri,
    version: Version,
    kept: Mutex<Option<Sender>>,
    connections: AtomicUsize,
    turned_away: AtomicUsize,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Nothing>),
    Http2(http2::SendRequest<Nothing>),
}

impl Line {
    /// To a server, such as `http://127.0.0.1:80`; nothing is opened yet.
    ///
    /// # Errors
    /// When that is no address.
    pub fn to(server: &str, version: Version) -> Result<Line> {
        let (kept, connections, turned_away) = Default::default();
        Ok(Line { server: server.parse()?, version, kept, connections, turned_away })
    }

    /// How many connections it took so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many requests were written into a connection whose other end was just saying goodbye to it.
    pub fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Sends a request, and hears its answer to the end.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn ask(&self, request: reqwest::Request) -> Result<Response<Bytes>> {
        let request = self.on_this_line(&request)?;
        loop {
            let (mut sender, is_new) = self.sender().await?;
            match sender.send(request.clone()).await {
                Ok(answer) => {
                    let (head, body) = answer.into_parts();
                    let body = body.collect().await.with_context(|| format!("broke off after {head:?}"))?.to_bytes();
                    if matches!(sender, Sender::Http1(_)) {
                        *self.kept.lock().await = Some(sender);
                    }
                    return Ok(Response::from_parts(head, body));
                }
                Err(mut failed) => {
                    let is_unsent = failed.take_message().is_some();
                    let is_turned_away = says_goodbye(failed.error());
                    ensure!(!is_new && (is_unsent || is_turned_away), failed.into_error());
                    self.turned_away.fetch_add(usize::from(is_turned_away), Ordering::Relaxed);
                }
            }
        }
    }

    /// The connection that is kept, or a new one.
    async fn sender(&self) -> Result<(Sender, bool)> {
        let mut kept = self.kept.lock().await;
        let open = match kept.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some((sender, false)),
            None => None,
        };
        let (sender, is_new) = match open {
            Some(open) => open,
            None => (self.connect().await?, true),
        };
        if let Sender::Http2(shared) = &sender {
            *kept = Some(Sender::Http2(shared.clone()));
        }
        Ok((sender, is_new))
    }

    async fn connect(&self) -> Result<Sender> {
        let authority = self.server.authority().context("an address has a host")?;
        let stream = TcpStream::connect(authority.as_str()).await?;
        stream.set_nodelay(true)?;
        self.connections.fetch_add(1, Ordering::Relaxed);
        if self.version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(Sender::Http2(sender))
        } else {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(Sender::Http1(sender))
        }
    }

    /// The request as it stands on the wire.
    fn on_this_line(&self, request: &reqwest::Request) -> Result<Request<Nothing>> {
        let mut sent = Request::new(Empty::new());
        *sent.method_mut() = request.method().clone();
        *sent.headers_mut() = request.headers().clone();
        let path: PathAndQuery = request.url().path().parse()?;
        if self.version == Version::HTTP_2 {
            let mut parts = self.server.clone().into_parts();
            parts.path_and_query = Some(path);
            *sent.uri_mut() = Uri::from_parts(parts)?;
        } else {
            let host = self.server.authority().context("an address has a host")?.as_str();
            sent.headers_mut().insert(HOST, host.parse()?);
            *sent.uri_mut() = path.into();
        }
        Ok(sent)
    }
}

impl Sender {
    async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        }
    }

    async fn send(&mut self, request: Request<Nothing>) -> Result<Response<Incoming>, TrySendError<Request<Nothing>>> {
        match self {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

/// Whether a request fared so because of a GOAWAY that leaves it out: the other end has not looked at it, and never will.
fn says_goodbye(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|it| it.is_go_away() && it.is_remote() && it.reason() == Some(h2::Reason::NO_ERROR))
}
