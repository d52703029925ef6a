//! Free loopback ports.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below the range from which the system takes ports for outgoing connections, so that a server which comes back on
/// its port does not find it taken by somebody's client.
const FIRST: u16 = 11_000;
const COUNT: u16 = 20_000;

/// A port that nobody listens on, and that no other call in this process got. Processes begin at random places, so
/// that two of them hardly ever look at the same port at the same time.
pub fn free() -> Result<u16> {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU16::new(rand::random_range(0..COUNT)));
    for _ in 0..COUNT {
        let port = FIRST + next.fetch_add(1, Ordering::Relaxed) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free loopback port from {FIRST} on");
}
