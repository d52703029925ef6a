use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::LedgerError;
use crate::address::Address;

/// How to reach the database, and every limit of the ledger. The section `[database]` of the configuration.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `postgresql://user:password@host:port/database?sslmode=verify-full`. Secret: never shown.
    pub url: String,
    /// Connections for everything but payments, which have two of their own.
    #[serde(default = "default::pool_size")]
    pub pool_size: usize,
    /// Accept a server without a synchronous standby: what it loses when its disk dies is lost.
    #[serde(default)]
    pub single_node: bool,
    /// The most payments that one transaction takes.
    #[serde(default = "default::batch_max")]
    pub batch_max: usize,
    /// The most payments that wait; beyond, [`LedgerError::Overloaded`].
    #[serde(default = "default::queue_max")]
    pub queue_max: usize,
    /// How long a commit may take before its outcome counts as unknown, and any other step before it counts as failed.
    #[serde(default = "default::commit_timeout_ms")]
    pub commit_timeout_ms: u64,
    /// How long a payment waits for a channel that somebody else has locked.
    #[serde(default = "default::lock_timeout_ms")]
    pub lock_timeout_ms: u64,
    /// How long a hold lives unless it is renewed. Also how long after trouble nobody's holds are released.
    #[serde(default = "default::hold_ttl_s")]
    pub hold_ttl_s: u64,
    /// How long settled holds and ended jobs are kept, so that a repeated request is recognised.
    #[serde(default = "default::idempotency_window_s")]
    pub idempotency_window_s: u64,
}

mod default {
    pub(super) fn pool_size() -> usize {
        8
    }
    pub(super) fn batch_max() -> usize {
        512
    }
    pub(super) fn queue_max() -> usize {
        8_192
    }
    pub(super) fn commit_timeout_ms() -> u64 {
        5_000
    }
    pub(super) fn lock_timeout_ms() -> u64 {
        2_000
    }
    pub(super) fn hold_ttl_s() -> u64 {
        15
    }
    pub(super) fn idempotency_window_s() -> u64 {
        24 * 60 * 60
    }
}

impl Settings {
    /// The defaults, for the database at `url`.
    pub fn new(url: impl Into<String>) -> Settings {
        Settings {
            url: url.into(),
            pool_size: default::pool_size(),
            single_node: false,
            batch_max: default::batch_max(),
            queue_max: default::queue_max(),
            commit_timeout_ms: default::commit_timeout_ms(),
            lock_timeout_ms: default::lock_timeout_ms(),
            hold_ttl_s: default::hold_ttl_s(),
            idempotency_window_s: default::idempotency_window_s(),
        }
    }

    /// Refuses numbers that cannot work. [`crate::Ledger::connect`] asks too; a configuration can be checked earlier.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] names the setting.
    pub fn check(&self) -> Result<(), LedgerError> {
        let day = 24 * 60 * 60;
        let bounds = [
            ("pool_size", self.pool_size as u64, 1, 500),
            ("batch_max", self.batch_max as u64, 1, 4_096),
            ("queue_max", self.queue_max as u64, 1, 1_000_000),
            ("commit_timeout_ms", self.commit_timeout_ms, 100, 60_000),
            ("lock_timeout_ms", self.lock_timeout_ms, 10, 60_000),
            ("hold_ttl_s", self.hold_ttl_s, 1, 3_600),
            ("idempotency_window_s", self.idempotency_window_s, 60, 366 * day),
        ];
        for (name, value, least, most) in bounds {
            if value < least || value > most {
                return Err(LedgerError::Refused(format!("{name} is {value}, it must be from {least} to {most}")));
            }
        }
        self.address().map(drop)
    }

    /// How the address protects connections, for people.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] for an address that is none.
    pub fn protection(&self) -> Result<&'static str, LedgerError> {
        Ok(self.address()?.tls.meaning())
    }

    pub(crate) fn address(&self) -> Result<Address, LedgerError> {
        Address::parse(&self.url)
    }

    pub(crate) fn commit_timeout(&self) -> Duration {
        Duration::from_millis(self.commit_timeout_ms)
    }

    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_millis(self.lock_timeout_ms)
    }

    pub(crate) fn hold_ttl(&self) -> Duration {
        Duration::from_secs(self.hold_ttl_s)
    }

    pub(crate) fn idempotency_window(&self) -> Duration {
        Duration::from_secs(self.idempotency_window_s)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &"***")
            .field("pool_size", &self.pool_size)
            .field("single_node", &self.single_node)
            .field("batch_max", &self.batch_max)
            .field("queue_max", &self.queue_max)
            .field("commit_timeout_ms", &self.commit_timeout_ms)
            .field("lock_timeout_ms", &self.lock_timeout_ms)
            .field("hold_ttl_s", &self.hold_ttl_s)
            .field("idempotency_window_s", &self.idempotency_window_s)
            .finish()
    }
}
