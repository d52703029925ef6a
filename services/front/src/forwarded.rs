//! Who is asking: the peer, unless it is a load balancer that we trust to say.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const FORWARDED: HeaderName = http::header::FORWARDED;
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Bytes of a PROXY v2 header before its length is known.
const FIXED: usize = 16;
/// More than this of addresses and extensions no load balancer sends.
const MAX_PROXY_HEADER: usize = 4096;

/// Whose word on a client's address we take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    pub(crate) proxies: Vec<IpNet>,
    /// Trusted proxies begin their connections with a PROXY v2 header.
    pub(crate) proxy_protocol: bool,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) ip: IpAddr,
    /// Whether we believe its `X-Forwarded-*` headers.
    pub(crate) trusted: bool,
}

/// A connection that should begin with a PROXY v2 header, and does not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadPreface {
    #[error("the connection ended, or broke, before its PROXY header")]
    Io(#[from] std::io::Error),
    #[error("the PROXY header took too long")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("no PROXY v2 header")]
    Malformed,
}

impl Trust {
    fn peer(&self, ip: IpAddr) -> Peer {
        let ip = ip.to_canonical();
        Peer { ip, trusted: self.proxies.iter().any(|net| net.contains(&ip)) }
    }

    /// Who is at the other end. Reads the PROXY header where there must be one, and not a byte more.
    pub(crate) async fn identify(
        &self,
        stream: &mut TcpStream,
        address: SocketAddr,
        patience: Duration,
    ) -> Result<Peer, BadPreface> {
        let peer = self.peer(address.ip());
        if !self.proxy_protocol || !peer.trusted {
            return Ok(peer);
        }
        let source = tokio::time::timeout(patience, read_source(stream)).await??;
        Ok(source.map_or(peer, |ip| self.peer(ip)))
    }
}

/// The address that a PROXY v2 header names; `None` for the load balancer's own checks.
async fn read_source(stream: &mut TcpStream) -> Result<Option<IpAddr>, BadPreface> {
    let mut header = vec![0; FIXED];
    stream.read_exact(&mut header).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if !header.starts_with(ppp::v2::PROTOCOL_PREFIX) || rest > MAX_PROXY_HEADER {
        return Err(BadPreface::Malformed);
    }
    header.resize(FIXED + rest, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    let header = ppp::v2::Header::try_from(header.as_slice()).map_err(|_| BadPreface::Malformed)?;
    Ok(match (header.command, header.addresses) {
        (ppp::v2::Command::Local, _) => None,
        (_, ppp::v2::Addresses::IPv4(ip)) => Some(ip.source_address.into()),
        (_, ppp::v2::Addresses::IPv6(ip)) => Some(ip.source_address.into()),
        (_, ppp::v2::Addresses::Unspecified | ppp::v2::Addresses::Unix(_)) => None,
    })
}

impl Peer {
    /// Says to an upstream who asks: on top of what a trusted proxy says, in place of what anybody else says.
    pub(crate) fn describe(&self, headers: &mut HeaderMap, host: Option<HeaderValue>) {
        headers.remove(FORWARDED);
        headers.remove(REAL_IP);
        if !self.trusted {
            headers.remove(FORWARDED_FOR);
            headers.remove(FORWARDED_HOST);
            headers.remove(FORWARDED_PROTO);
        }
        let said = headers.get_all(&FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok().map(str::to_owned));
        let chain = said.chain([self.ip.to_string()]).collect::<Vec<_>>().join(", ");
        if let Ok(chain) = HeaderValue::try_from(chain) {
            headers.insert(FORWARDED_FOR, chain);
        }
        if let Some(host) = host {
            headers.entry(FORWARDED_HOST).or_insert(host);
        }
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    }
}
