use ledger::Window;
use serde::Deserialize;

/// What a client gets for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeQuota {
    /// So many requests.
    pub requests: u32,
    /// In each of these.
    pub per: Window,
}
