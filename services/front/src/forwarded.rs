//! Who is asking: the peer, unless it is a load balancer that we trust to say.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};
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
    /// Whether it speaks TLS with us.
    pub(crate) is_secure: bool,
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
    pub(crate) fn peer(&self, ip: IpAddr) -> Peer {
        let ip = ip.to_canonical();
        Peer { ip, trusted: self.proxies.iter().any(|net| net.contains(&ip)), is_secure: false }
    }

    /// Who asks: the peer, or whom trusted proxies name, the last one that is no trusted proxy itself.
    pub(crate) fn client(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.ip;
        if !peer.trusted {
            return client;
        }
        let said = headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let chain: Vec<&str> = said.flat_map(|value| value.split(',')).collect();
        for name in chain.into_iter().rev() {
            let Some(peer) = address_in(name).map(|ip| self.peer(ip)) else { break };
            client = peer.ip;
            if !peer.trusted {
                break;
            }
        }
        client
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

/// An address as proxies write it, perhaps with a port.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The address that a PROXY v2 header names; `None` for the load balancer's own checks.
pub(crate) async fn read_source(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, BadPreface> {
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
        let proto = if self.is_secure { "https" } else { "http" };
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static(proto));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, chain: &[&'static str]) -> String {
        let trust = Trust { proxies: vec!["10.0.0.0/8".parse().unwrap()], proxy_protocol: false };
        let headers = chain.iter().map(|value| (FORWARDED_FOR, HeaderValue::from_static(value))).collect();
        trust.client(&trust.peer(peer.parse().unwrap()), &headers).to_string()
    }

    #[test]
    fn who_asks_is_whom_the_last_trusted_proxy_names() {
        assert_eq!(client("192.0.2.1", &["203.0.113.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 203.0.113.7", "10.0.0.2"]), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &["203.0.113.7:4711"]), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, unknown"]), "10.0.0.1");
    }
}
