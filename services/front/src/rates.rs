//! How often one client may do something: a token bucket per client, in memory of a fixed size.
//!
//! A client is an IPv4 address, or the /64 of an IPv6 one: who has one address of a /64 has them all. Clients share
//! [`SLOTS`] buckets by a hash with a secret seed, so memory is flat however many addresses there are, and nobody can
//! choose whom to share a bucket with.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Buckets of one limit. At 16 bytes each, some megabytes at most.
pub(crate) const SLOTS: u64 = 1 << 16;

/// A limit on how often a client may do something.
pub(crate) struct Rates {
    limiter: DefaultKeyedRateLimiter<u64>,
    seed: RandomState,
}

/// A client did it too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    /// Seconds after which it may do it again, at least 1.
    pub(crate) retry_after: u32,
}

impl Rates {
    /// So many per minute, and `burst` (at least 1) at once. `None`, which is no limit, for 0 per minute.
    pub(crate) fn new(per_minute: u32, burst: u32) -> Option<Rates> {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(NonZeroU32::new(per_minute)?).allow_burst(burst);
        Some(Rates { limiter: RateLimiter::keyed(quota), seed: RandomState::new() })
    }

    /// Counts one for this client.
    ///
    /// # Errors
    /// When that is one too many. It is not counted then.
    pub(crate) fn take(&self, client: IpAddr) -> Result<(), TooOften> {
        self.limiter.check_key(&self.slot(client)).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.limiter.clock().now());
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            TooOften { retry_after: u32::try_from(seconds.max(1)).unwrap_or(u32::MAX) }
        })
    }

    /// The number of this client's bucket, below [`SLOTS`].
    pub(crate) fn slot(&self, client: IpAddr) -> u64 {
        self.seed.hash_one(network(client)) % SLOTS
    }
}

/// The part of an address that one client has to itself.
pub(crate) fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_its_burst_and_then_waits() {
        let rates = Rates::new(1, 3).unwrap();
        for _ in 0..3 {
            assert_eq!(rates.take(ip("192.0.2.1")), Ok(()));
        }
        let late = rates.take(ip("192.0.2.1")).unwrap_err();
        assert!((50..=60).contains(&late.retry_after), "{late:?}");
        assert_eq!(rates.take(ip("192.0.2.2")), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let rates = Rates::new(1, 1).unwrap();
        assert_eq!(rates.take(ip("2001:db8:1:2::1")), Ok(()));
        assert!(rates.take(ip("2001:db8:1:2:ffff::7")).is_err());
        assert_eq!(rates.take(ip("2001:db8:1:3::1")), Ok(()));
        assert_eq!(rates.take(ip("::ffff:192.0.2.1")), Ok(()));
        assert!(rates.take(ip("192.0.2.1")).is_err());
    }

    #[test]
    fn memory_is_flat_however_many_clients_there_are() {
        let rates = Rates::new(1, 1).unwrap();
        for client in 0..200_000_u32 {
            let _ = rates.take(IpAddr::from(client.to_be_bytes()));
        }
        assert!(u64::try_from(rates.limiter.len()).unwrap() <= SLOTS);
    }

    #[test]
    fn none_per_minute_is_no_limit() {
        assert!(Rates::new(0, 5).is_none());
    }
}
