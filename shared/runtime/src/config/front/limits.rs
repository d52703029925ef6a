use std::time::Duration;

use serde::Deserialize;

use super::millis;

/// How much a client may ask of a front.
#[derive(Clone, Copy, Debug, Deserialize)]
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
    /// Open connections of one client (an IPv4 address, or the /64 of an IPv6 one; not of a trusted proxy); further ones are
    /// closed at once.
    pub connections_per_client: usize,
    /// Requests being answered; beyond it 503 `overloaded`.
    pub in_flight: usize,
    /// Payments whose signatures wait to be checked, which is what a front has most to do with; beyond it 503 `overloaded`.
    pub waiting_for_check: usize,
    /// Requests that wait for the background to find their channel; beyond it 402 at once.
    pub waiting_for_sync: usize,
}

/// How long a front waits. All in milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For a TLS handshake, and for a request's headers from their first byte.
    #[serde(with = "millis", rename = "header_ms")]
    pub header: Duration,
    /// For the next request on a connection whose last one was answered.
    #[serde(with = "millis", rename = "keep_alive_ms")]
    pub keep_alive: Duration,
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
    /// How long a price that changed is still taken from who was quoted it.
    #[serde(with = "millis", rename = "price_grace_ms")]
    pub price_grace: Duration,
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

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_bytes: 16 << 10,
            uri_bytes: 8 << 10,
            body_bytes: 1 << 20,
            connections: 10_000,
            connections_per_client: 256,
            in_flight: 4_096,
            waiting_for_check: 1_024,
            waiting_for_sync: 256,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            header: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            body_idle: Duration::from_secs(10),
            connect: Duration::from_secs(2),
            upstream_head: Duration::from_secs(30),
            upstream_idle: Duration::from_secs(60),
            price_grace: Duration::from_secs(60),
            sync: Duration::from_secs(2),
            close: Duration::from_secs(5),
            drain_delay: Duration::from_secs(5),
            grace: Duration::from_secs(25),
        }
    }
}

impl Limits {
    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        let Limits {
            header_bytes,
            uri_bytes,
            body_bytes,
            connections,
            connections_per_client,
            in_flight,
            waiting_for_check,
            waiting_for_sync,
        } = *self;
        let limits = [
            ("header_bytes", header_bytes),
            ("uri_bytes", uri_bytes),
            ("body_bytes", body_bytes),
            ("connections", connections),
            ("connections_per_client", connections_per_client),
            ("in_flight", in_flight),
            ("waiting_for_check", waiting_for_check),
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
