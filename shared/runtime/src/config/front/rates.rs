use serde::Deserialize;

/// How often a client (an IPv4 address, or the /64 of an IPv6 one) may ask at the protocols' own paths. Beyond, 429.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Questions per minute; 0: no limit.
    pub per_minute: u32,
    /// Questions at once.
    pub burst: u32,
    /// Closes per minute, which make work for the wallet; 0: no limit.
    pub deletes_per_minute: u32,
    /// Closes at once.
    pub deletes_burst: u32,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates { per_minute: 600, burst: 120, deletes_per_minute: 60, deletes_burst: 30 }
    }
}

impl Rates {
    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        for (name, burst) in [("burst", self.burst), ("deletes_burst", self.deletes_burst)] {
            if burst == 0 {
                problems.push(format!("front.rates.{name}: must be above 0"));
            }
        }
    }
}
