mod access;
mod admin;
mod budget;
mod cors;
mod limits;
mod paywall;
mod rates;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use super::Route;
pub use access::Access;
pub use admin::Admin;
pub use budget::Budget;
pub use cors::Cors;
pub use limits::{Limits, Timeouts};
pub use paywall::Paywall;
pub use rates::Rates;
pub use tls::Tls;

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
    /// Where a line of JSON goes for each request; `-` is the standard output.
    pub access_log: Option<PathBuf>,
    /// See [`Access`].
    pub access: Access,
    /// See [`Limits`].
    pub limits: Limits,
    /// See [`Timeouts`].
    pub timeouts: Timeouts,
    /// See [`Rates`].
    pub rates: Rates,
    /// See [`Budget`].
    pub budget: Budget,
    /// See [`Cors`].
    pub cors: Cors,
    /// See [`Admin`]; without it nobody may close channels for the payee over HTTP.
    pub admin: Option<Admin>,
    /// See [`Tls`]; without it there is plain HTTP alone.
    pub tls: Option<Tls>,
    /// Authorities (PEM) that https upstreams and callbacks may be certified by, beside the system's.
    pub upstream_ca_file: Option<PathBuf>,
    /// See [`Paywall`].
    pub paywall: Paywall,
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
            access_log: None,
            access: Access::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            rates: Rates::default(),
            budget: Budget::default(),
            cors: Cors::default(),
            admin: None,
            tls: None,
            upstream_ca_file: None,
            paywall: Paywall::default(),
            routes: Vec::new(),
        }
    }
}

impl Front {
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        for route in &mut self.routes {
            route.resolve_paths(folder);
        }
        if let Some(file) = self.access_log.as_mut().filter(|file| file.as_os_str() != "-") {
            *file = folder.join(&*file);
        }
        if let Some(file) = &mut self.upstream_ca_file {
            *file = folder.join(&*file);
        }
        self.paywall.resolve_paths(folder);
        if let Some(admin) = &mut self.admin {
            admin.resolve_paths(folder);
        }
        if let Some(tls) = &mut self.tls {
            tls.resolve_paths(folder);
        }
    }

    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        if self.listen == self.ops_listen && self.listen.port() != 0 {
            problems.push("front.ops_listen: must differ from front.listen".to_owned());
        }
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            problems.push("front.proxy_protocol: needs front.trusted_proxies".to_owned());
        }
        if let Some(file) = self.upstream_ca_file.as_ref().filter(|file| !file.is_file()) {
            problems.push(format!("front.upstream_ca_file: {} is no file", file.display()));
        }
        self.access.problems(problems);
        self.limits.problems(problems);
        self.paywall.problems(problems);
        self.rates.problems(problems);
        self.budget.problems(problems);
        self.cors.problems(problems);
        if let Some(admin) = &self.admin {
            admin.problems(problems);
        }
        if let Some(tls) = &self.tls {
            tls.problems([self.listen, self.ops_listen], problems);
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
