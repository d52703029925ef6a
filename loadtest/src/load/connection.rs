//! A connection of HTTP/1.1 that is kept alive: a request out, a whole answer in. What a client library does beyond that would cost
//! more than the front that is measured.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::HERE;

/// More header fields than any answer of ours has.
pub(super) const FIELDS: usize = 48;

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// When something of it was there beyond its head, or the head alone if that was all.
    pub first_byte: Instant,
}

impl Answer {
    /// Whether it is what was paid for.
    pub fn serves(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A connection, made again when it breaks.
pub(super) struct Connection {
    from: IpAddr,
    target: SocketAddr,
    stream: Option<TcpStream>,
    read: BytesMut,
}

impl Connection {
    pub(super) async fn open(from: IpAddr, target: SocketAddr) -> Result<Connection> {
        let mut connection = Connection { from, target, stream: None, read: BytesMut::with_capacity(16 << 10) };
        connection.connected().await?;
        Ok(connection)
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        let answer = self.try_to_exchange(request).await;
        if answer.is_err() {
            (self.stream, self.read) = (None, BytesMut::new());
        }
        answer
    }

    async fn try_to_exchange(&mut self, request: &[u8]) -> Result<Answer> {
        self.connected().await?.write_all(request).await?;
        loop {
            if let Some(head) = Head::of(&self.read)? {
                let first_byte = self.rest(&head).await?;
                if head.is_last {
                    self.stream = None;
                }
                return Ok(Answer { status: head.status, first_byte });
            }
            self.more().await?;
        }
    }

    async fn connected(&mut self) -> Result<&mut TcpStream> {
        if self.stream.is_none() {
            self.stream = Some(dial(self.from, self.target).await?);
        }
        self.stream.as_mut().context("it was just made")
    }

    async fn more(&mut self) -> Result<()> {
        let stream = self.stream.as_mut().context("the connection is closed")?;
        ensure!(stream.read_buf(&mut self.read).await? > 0, "the server hung up");
        Ok(())
    }

    /// Takes the head and the body off what was read; says when the first byte of the body was there.
    async fn rest(&mut self, head: &Head) -> Result<Instant> {
        let whole = head.size + head.body;
        while self.read.len() < whole.min(head.size + 1) {
            self.more().await?;
        }
        let first_byte = Instant::now();
        while self.read.len() < whole {
            self.more().await?;
        }
        self.read.advance(whole);
        Ok(first_byte)
    }
}

/// Connects.
pub(super) async fn dial(from: IpAddr, target: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Choosing a port for an address takes the kernel long when thousands are in use.
    if from != HERE {
        socket.bind((from, 0).into())?;
    }
    let stream = socket.connect(target).await.with_context(|| format!("cannot connect to {target}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What is read of an answer.
struct Head {
    status: u16,
    size: usize,
    body: usize,
    is_last: bool,
}

impl Head {
    fn of(bytes: &[u8]) -> Result<Option<Head>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(size) = answer.parse(bytes).context("no HTTP answer")? else { return Ok(None) };
        let status = answer.code.context("an answer without a status")?;
        let value = |name: &str| {
            let field = answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            field.and_then(|field| std::str::from_utf8(field.value).ok())
        };
        let body = match value("content-length") {
            Some(length) => length.parse().context("a length that is none")?,
            None if status == 304 || status == 204 => 0,
            None => bail!("an answer of unknown length"),
        };
        let is_last = value("connection").is_some_and(|said| said.eq_ignore_ascii_case("close"));
        Ok(Some(Head { status, size, body, is_last }))
    }
}
