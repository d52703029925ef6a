use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::front::millis;

/// How the watcher follows chains.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watcher {
    /// Health and metrics.
    pub ops_listen: SocketAddr,
    /// How often a chain's head is asked for.
    #[serde(with = "millis", rename = "poll_ms")]
    pub poll: Duration,
    /// How often the payee's own tokens are counted.
    #[serde(with = "millis", rename = "balance_poll_ms")]
    pub balance_poll: Duration,
    /// How often it looks what is to be claimed, closed or ended.
    #[serde(with = "millis", rename = "plan_ms")]
    pub plan: Duration,
    /// How long one call to a node may take; then the next node is asked.
    #[serde(with = "millis", rename = "rpc_timeout_ms")]
    pub rpc_timeout: Duration,
    /// How long a chain's head may stay where it is before somebody is told.
    #[serde(with = "millis", rename = "head_stalled_ms")]
    pub head_stalled: Duration,
    /// How many blocks one query for logs may span; halved when the node objects.
    pub max_range: u64,
    /// Reorganisations up to this many blocks are followed; deeper ones halt the deployment.
    pub reorg_depth: u64,
    /// How long a watcher stays the active one of a chain without renewing it.
    #[serde(with = "millis", rename = "lease_ms")]
    pub lease: Duration,
}

impl Default for Watcher {
    fn default() -> Watcher {
        Watcher {
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 9081)),
            poll: Duration::from_secs(1),
            balance_poll: Duration::from_secs(30),
            plan: Duration::from_secs(10),
            rpc_timeout: Duration::from_secs(8),
            head_stalled: Duration::from_secs(45),
            max_range: 10_000,
            reorg_depth: 128,
            lease: Duration::from_secs(10),
        }
    }
}
