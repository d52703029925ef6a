//! What a front reads of what strangers send, as plain functions of bytes: for the fuzz targets, which may send anything.
//!
//! A request goes through the same code: these are doors to it and nothing more.

use std::net::IpAddr;

use channel::Amount;
use futures::FutureExt;
use http::HeaderMap;
use http::request::Parts;
use runtime::Config;

use crate::forwarded::{self, Trust};
use crate::goods::Caller;
use crate::shop::Shop;
use crate::{headers, price, router};

/// A request's path decoded; `None` if there is more than one way to read it, or none.
pub fn plain(path: &str) -> Option<String> {
    router::plain(path).ok()
}

/// The routes of a configuration.
pub struct Routes(Shop);

impl Routes {
    /// What is for sale by this configuration.
    ///
    /// # Errors
    /// When it names what is not there.
    pub fn new(config: &Config) -> anyhow::Result<Routes> {
        Shop::new(config, &Caller::new(&config.front)?, None).map(Routes)
    }

    /// The name of the route that answers a [`plain`] path.
    pub fn find(&self, path: &str) -> Option<&str> {
        self.0.router.find(path).map(|route| &*route.name)
    }
}

/// What a number in a path makes a request cost: itself × `times` + `plus`. `None` if it is no number, or too much.
pub fn captured_price(number: &str, times: Amount, plus: Amount) -> Option<Amount> {
    price::captured(Some(number), times, plus)
}

/// The price in the answer of a seller's callback; `None` if it makes no sense.
pub fn said_price(body: &[u8]) -> Option<Amount> {
    price::said(body).ok()
}

/// The source that a PROXY v2 header at the beginning of `bytes` names (`None`: the load balancer itself), and what
/// follows the header; `None` if there is no such header, or not all of it.
pub fn proxy_header(mut bytes: &[u8]) -> Option<(Option<IpAddr>, &[u8])> {
    let source = forwarded::read_source(&mut bytes).now_or_never().expect("bytes that are here are not waited for");
    source.ok().map(|source| (source, bytes))
}

/// Who asks, when a connection from `peer` carries these headers and these networks are trusted proxies.
///
/// # Errors
/// When a network is none.
pub fn client(proxies: &[&str], peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, ipnet::AddrParseError> {
    let trust = trust(proxies)?;
    Ok(trust.client(&trust.peer(peer), headers))
}

/// A request's headers as an upstream gets them.
///
/// # Errors
/// When a network is none.
pub fn for_upstream(proxies: &[&str], peer: IpAddr, head: &Parts) -> Result<HeaderMap, ipnet::AddrParseError> {
    let prefixes: Vec<_> = protocols::ALL.iter().map(|protocol| protocol.prefix()).collect();
    Ok(headers::for_upstream(head, &trust(proxies)?.peer(peer), &prefixes))
}

fn trust(proxies: &[&str]) -> Result<Trust, ipnet::AddrParseError> {
    let proxies = proxies.iter().map(|network| network.parse()).collect::<Result<_, _>>()?;
    Ok(Trust { proxies, proxy_protocol: false })
}
