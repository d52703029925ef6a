use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::config::Telemetry;

/// Which requests are traced: some that ask for it, and some by chance.
pub(super) struct Sampling {
    share: f64,
    /// Anybody can ask. `None`: nobody is heard.
    requested: Option<DefaultDirectRateLimiter>,
}

impl Sampling {
    pub(super) fn new(config: &Telemetry) -> Sampling {
        let requested =
            NonZeroU32::new(config.requested_per_s).map(|most| RateLimiter::direct(Quota::per_second(most)));
        Sampling { share: config.sample, requested }
    }

    pub(super) fn wants(&self, is_requested: bool) -> bool {
        let heard = || self.requested.as_ref().is_some_and(|limit| limit.check().is_ok());
        (is_requested && heard()) || (self.share > 0.0 && rand::random::<f64>() < self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traced(sample: f64, requested_per_s: u32, is_requested: bool) -> usize {
        let sampling = Sampling::new(&Telemetry { sample, requested_per_s, ..Telemetry::default() });
        (0..10_000).filter(|_| sampling.wants(is_requested)).count()
    }

    #[test]
    fn who_asks_is_traced_up_to_the_limit() {
        // So fast that hardly any of the next second's come on top.
        assert!((5..=10).contains(&traced(0.0, 5, true)));
        assert_eq!(traced(0.0, 0, true), 0);
        assert_eq!(traced(0.0, 5, false), 0);
    }

    #[test]
    fn others_are_traced_by_chance_and_so_is_who_asks_too_often() {
        assert_eq!(traced(1.0, 0, false), 10_000);
        for is_requested in [false, true] {
            assert!((800..1_200).contains(&traced(0.1, 1, is_requested)));
        }
    }
}
