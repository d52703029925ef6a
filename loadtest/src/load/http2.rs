//! Requests side by side on a connection of HTTP/2, with no TLS before it: who connects knows what is spoken.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::client::SendRequest;

use super::connection::{Answer, FIELDS, dial};

/// A place on a connection: one request at a time.
pub(super) struct Place(SendRequest<Bytes>);

/// A connection with so many places.
pub(super) async fn open(from: IpAddr, target: SocketAddr, places: usize) -> Result<Vec<Place>> {
    let (sender, connection) = h2::client::handshake(dial(from, target).await?).await.context("no HTTP/2")?;
    // When it breaks, whoever waits for an answer hears why.
    tokio::task::spawn_local(connection);
    Ok((0..places).map(|_| Place(sender.clone())).collect())
}

impl Place {
    /// Sends a request and reads the whole answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        let mut sender = self.0.clone().ready().await?;
        let (answer, _) = sender.send_request(parsed(request)?, true)?;
        let (head, mut body) = answer.await?.into_parts();
        let mut first_byte = None;
        while let Some(data) = body.data().await {
            let taken = data?.len();
            first_byte.get_or_insert_with(Instant::now);
            body.flow_control().release_capacity(taken)?;
        }
        Ok(Answer { status: head.status.as_u16(), first_byte: first_byte.unwrap_or_else(Instant::now) })
    }
}

/// What was written for HTTP/1.1, as HTTP/2 has it.
fn parsed(request: &[u8]) -> Result<http::Request<()>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    parsed.parse(request).context("no HTTP request")?;
    let host = parsed.headers.iter().find(|field| field.name == "host").context("a request to no host")?;
    let (host, path) = (std::str::from_utf8(host.value)?, parsed.path.context("a request for nothing")?);
    let mut built = http::Request::get(format!("http://{host}{path}"));
    for field in parsed.headers.iter().filter(|field| field.name != "host") {
        built = built.header(field.name, field.value);
    }
    Ok(built.body(())?)
}
