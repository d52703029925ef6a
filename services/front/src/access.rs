//! Who may buy at all: clients by their networks, payers by their addresses.

use std::collections::HashSet;
use std::net::IpAddr;

use alloy_primitives::Address;
use ipnet::IpNet;
use runtime::config;

use crate::fault::Fault;

/// The seller's lists.
#[derive(Debug, Default)]
pub(crate) struct Access {
    blocked: HashSet<Address>,
    /// Empty: all.
    allowed: HashSet<Address>,
    blocked_networks: Vec<IpNet>,
}

impl Access {
    pub(crate) fn new(config: &config::Access) -> Access {
        Access {
            blocked: config.blocked.iter().copied().collect(),
            allowed: config.allowed.iter().copied().collect(),
            blocked_networks: config.blocked_networks.clone(),
        }
    }

    /// Whether a client is answered. Its address is canonical: IPv4 is never written as IPv6.
    ///
    /// # Errors
    /// [`Fault::ClientBlocked`].
    pub(crate) fn admit_client(&self, client: IpAddr) -> Result<(), Fault> {
        let is_blocked = self.blocked_networks.iter().any(|network| network.contains(&client));
        if is_blocked { Err(Fault::ClientBlocked) } else { Ok(()) }
    }

    /// Whether a payer is sold to. Nobody has proved yet to be that payer, and nobody needs to.
    ///
    /// # Errors
    /// [`Fault::PayerBlocked`].
    pub(crate) fn admit_payer(&self, payer: Address) -> Result<(), Fault> {
        let is_allowed = self.allowed.is_empty() || self.allowed.contains(&payer);
        if self.blocked.contains(&payer) || !is_allowed { Err(Fault::PayerBlocked) } else { Ok(()) }
    }
}
