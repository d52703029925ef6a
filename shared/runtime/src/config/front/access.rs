use alloy_primitives::Address;
use ipnet::IpNet;
use serde::Deserialize;

/// Who may buy. Closing a channel is open to every payer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Payers who may not.
    pub blocked: Vec<Address>,
    /// If there are any, no other payer may.
    pub allowed: Vec<Address>,
    /// Networks of clients that get no answer but 403, whatever they ask.
    pub blocked_networks: Vec<IpNet>,
}

impl Access {
    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        for payer in self.blocked.iter().filter(|payer| self.allowed.contains(payer)) {
            problems.push(format!("front.access: {payer} is both blocked and allowed"));
        }
    }
}
