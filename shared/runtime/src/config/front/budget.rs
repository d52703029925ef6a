use serde::Deserialize;

/// How many payments of a client (an IPv4 address, or the /64 of an IPv6 one) may turn out to be nobody's: a bad signature,
/// or an unknown channel. Beyond, 429 `too_many_checks`, before another signature is looked at.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Failures per minute; 0: no limit.
    pub per_minute: u32,
    /// Failures at once.
    pub burst: u32,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { per_minute: 60, burst: 120 }
    }
}

impl Budget {
    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        if self.burst == 0 {
            problems.push("front.budget.burst: must be above 0".to_owned());
        }
    }
}
