use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often the same trouble is told.
const AGAIN_AFTER: Duration = Duration::from_secs(600);

/// What operators were told, and when: trouble that lasts is told at once and then six times an hour.
#[derive(Default)]
pub(super) struct Alerts(HashMap<String, (&'static str, Instant)>);

impl Alerts {
    /// Whether to tell this trouble, or none, of this thing now.
    pub(super) fn is_to_be_told(&mut self, of: &str, trouble: Option<&'static str>, now: Instant) -> bool {
        let Some(trouble) = trouble else {
            self.0.remove(of);
            return false;
        };
        let is_known = |(told, at): &(&str, Instant)| *told == trouble && now.duration_since(*at) < AGAIN_AFTER;
        if self.0.get(of).is_some_and(is_known) {
            return false;
        }
        self.0.insert(of.to_owned(), (trouble, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_at_once_and_again_while_it_lasts_and_when_it_comes_back() {
        let (mut alerts, start) = (Alerts::default(), Instant::now());
        let mut told = |trouble, seconds| alerts.is_to_be_told("a", trouble, start + Duration::from_secs(seconds));
        assert!(told(Some("low"), 0));
        assert!(!told(Some("low"), 599));
        assert!(told(Some("low"), 600));
        assert!(told(Some("capped"), 601), "another trouble");
        assert!(!told(None, 602));
        assert!(told(Some("capped"), 603), "it came back");
    }
}
