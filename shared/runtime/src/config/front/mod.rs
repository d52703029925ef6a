mod limits;

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::Deserialize;

use super::Route;
pub use limits::{Limits, Timeouts};

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

impl Front {
    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        if self.listen == self.ops_listen && self.listen.port() != 0 {
            problems.push("front.ops_listen: must differ from front.listen".to_owned());
        }
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            problems.push("front.proxy_protocol: needs front.trusted_proxies".to_owned());
        }
        self.limits.problems(problems);
    }
}

pub(super) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
