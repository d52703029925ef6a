use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::Route;

/// What the fronts sell, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Front {
    /// Where paid requests come in.
    pub listen: SocketAddr,
    /// Health and metrics; not for the public.
    pub ops_listen: SocketAddr,
    /// Load balancers whose word on the client's address we take.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections from trusted proxies begin with a PROXY v2 header.
    pub proxy_protocol: bool,
    /// See [`Limits`].
    pub limits: Limits,
    /// See [`Timeouts`].
    pub timeouts: Timeouts,
    /// What is for sale.
    pub routes: Vec<Route>,
}

/// How much a client may ask of a front.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Request line and headers, in bytes; beyond it 431.
    pub header_bytes: usize,
    /// Path and query, in bytes; beyond it 414.
    pub uri_bytes: usize,
    /// A request's body, in bytes; beyond it 413.
    pub body_bytes: usize,
    /// Open connections; further ones wait unaccepted.
    pub connections: usize,
    /// Requests being answered; beyond it 503 `overloaded`.
    pub in_flight: usize,
    /// Requests that wait for the background to find their channel; beyond it 402 at once.
    pub waiting_for_sync: usize,
}

/// How long a front waits. All in milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For a request's headers.
    #[serde(with = "millis", rename = "header_ms")]
    pub header: Duration,
    /// For the next piece of a request's body, and for a client to take the next piece of its answer.
    #[serde(with = "millis", rename = "body_idle_ms")]
    pub body_idle: Duration,
    /// For a connection to an upstream.
    #[serde(with = "millis", rename = "connect_ms")]
    pub connect: Duration,
    /// For an upstream's status and headers, after the request was sent.
    #[serde(with = "millis", rename = "upstream_head_ms")]
    pub upstream_head: Duration,
    /// For the next piece of an upstream's body.
    #[serde(with = "millis", rename = "upstream_idle_ms")]
    pub upstream_idle: Duration,
    /// For the background to find an unknown channel.
    #[serde(with = "millis", rename = "sync_ms")]
    pub sync: Duration,
    /// For the wallet to countersign a close.
    #[serde(with = "millis", rename = "close_ms")]
    pub close: Duration,
    /// Between SIGTERM and the end of accepting: time for load balancers to notice.
    #[serde(with = "millis", rename = "drain_delay_ms")]
    pub drain_delay: Duration,
    /// For requests in flight to finish after that.
    #[serde(with = "millis", rename = "grace_ms")]
    pub grace: Duration,
}

impl Default for Front {
    fn default() -> Front {
        Front {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 9080)),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            routes: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_bytes: 16 << 10,
            uri_bytes: 8 << 10,
            body_bytes: 1 << 20,
            connections: 10_000,
            in_flight: 4_096,
            waiting_for_sync: 256,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            header: Duration::from_secs(5),
            body_idle: Duration::from_secs(10),
            connect: Duration::from_secs(2),
            upstream_head: Duration::from_secs(30),
            upstream_idle: Duration::from_secs(60),
            sync: Duration::from_secs(2),
            close: Duration::from_secs(5),
            drain_delay: Duration::from_secs(5),
            grace: Duration::from_secs(25),
        }
    }
}

impl Front {
    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        if self.listen == self.ops_listen && self.listen.port() != 0 {
            problems.push("front.ops_listen: must differ from front.listen".to_owned());
        }
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            problems.push("front.proxy_protocol: needs front.trusted_proxies".to_owned());
        }
        let Limits { header_bytes, uri_bytes, body_bytes, connections, in_flight, waiting_for_sync } = self.limits;
        let limits = [
            ("header_bytes", header_bytes),
            ("uri_bytes", uri_bytes),
            ("body_bytes", body_bytes),
            ("connections", connections),
            ("in_flight", in_flight),
            ("waiting_for_sync", waiting_for_sync),
        ];
        for (name, _) in limits.iter().filter(|(_, value)| *value == 0) {
            problems.push(format!("front.limits.{name}: must be above 0"));
        }
        if header_bytes < 8 << 10 {
            problems.push("front.limits.header_bytes: must be at least 8192".to_owned());
        }
    }
}

pub(super) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
