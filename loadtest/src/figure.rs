//! What was measured, as numbers that can be kept and compared.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::load::Tally;
use crate::usage::Used;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The scenario.
    pub name: String,
    /// Answers a second: those that served, or all where nobody pays.
    pub per_second: f64,
    /// Within how many milliseconds half of them were.
    pub p50_ms: f64,
    /// And 99 of 100.
    pub p99_ms: f64,
    /// And 999 of 1 000.
    pub p999_ms: f64,
    /// And all of them.
    pub max_ms: f64,
    /// Within how many milliseconds half of their first bytes were there.
    pub first_byte_p50_ms: f64,
    /// Within how many milliseconds 99 of 100 of those heard of it that were not served.
    pub refusal_p99_ms: f64,
    /// Answers that served.
    pub served: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub broken: u64,
    /// CPU time an answer, in microseconds, by process.
    pub cpu_us: BTreeMap<String, f64>,
    /// Resident memory at the end, in MiB, by process.
    pub memory_mib: BTreeMap<String, f64>,
    /// How many payments shared a commit.
    pub payments_per_commit: Option<f64>,
    /// Answers a second that a flood got meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flooded: Option<f64>,
}

impl Figure {
    /// Sums it up.
    pub fn new(name: &str, tally: &Tally, took: Duration, used: &BTreeMap<String, Used>) -> Figure {
        let counted = if tally.served() > 0 { tally.served() } else { tally.answers() };
        let counted = f64::from(u32::try_from(counted).unwrap_or(u32::MAX));
        let each =
            |of: fn(&Used) -> f64, by: f64| used.iter().map(|(name, used)| (name.clone(), of(used) / by)).collect();
        Figure {
            name: name.to_owned(),
            per_second: counted / took.as_secs_f64(),
            p50_ms: tally.percentile(50.0),
            p99_ms: tally.percentile(99.0),
            p999_ms: tally.percentile(99.9),
            max_ms: tally.percentile(100.0),
            first_byte_p50_ms: tally.first_byte(50.0),
            refusal_p99_ms: tally.refusal(99.0),
            served: tally.served(),
            statuses: tally.statuses.clone(),
            broken: tally.broken,
            cpu_us: each(|used| used.cpu.as_secs_f64() * 1e6, counted),
            memory_mib: each(|used| used.memory as f64, f64::from(1 << 20)),
            payments_per_commit: None,
            flooded: None,
        }
    }

    /// CPU time of a paid request but for what the load generator itself uses, in microseconds.
    pub fn cpu_of(&self, names: &[&str]) -> f64 {
        names.iter().filter_map(|name| self.cpu_us.get(*name)).sum()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figure { name, per_second, p50_ms, p99_ms, .. } = self;
        write!(f, "{name:<20} {per_second:>9.0}/s   p50 {p50_ms:>7.2} ms   p99 {p99_ms:>7.2} ms   CPU µs")?;
        for (name, micros) in &self.cpu_us {
            write!(f, " {name} {micros:.1}")?;
        }
        if let Some(flooded) = self.flooded {
            write!(f, "   beside {flooded:.0}/s that nobody paid")?;
        }
        if self.statuses.len() > 1 {
            write!(f, "   {:?}", self.statuses)?;
        }
        Ok(())
    }
}

/// The median of several measurements of one thing, number by number; what is counted, by status and in all, is that of the
/// one in the middle.
pub fn median(mut figures: Vec<Figure>) -> Option<Figure> {
    figures.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    let of = |number: fn(&Figure) -> f64| middle(figures.iter().map(number).collect());
    let each = |numbers: fn(&Figure) -> &BTreeMap<String, f64>| -> BTreeMap<String, f64> {
        let names = figures.iter().flat_map(|figure| numbers(figure).keys());
        let one =
            |name: &String| middle(figures.iter().filter_map(|figure| numbers(figure).get(name).copied()).collect());
        names.filter_map(|name| Some((name.clone(), one(name)?))).collect()
    };
    Some(Figure {
        per_second: of(|figure| figure.per_second)?,
        p50_ms: of(|figure| figure.p50_ms)?,
        p99_ms: of(|figure| figure.p99_ms)?,
        p999_ms: of(|figure| figure.p999_ms)?,
        max_ms: of(|figure| figure.max_ms)?,
        first_byte_p50_ms: of(|figure| figure.first_byte_p50_ms)?,
        refusal_p99_ms: of(|figure| figure.refusal_p99_ms)?,
        cpu_us: each(|figure| &figure.cpu_us),
        memory_mib: each(|figure| &figure.memory_mib),
        payments_per_commit: middle(figures.iter().filter_map(|figure| figure.payments_per_commit).collect()),
        flooded: middle(figures.iter().filter_map(|figure| figure.flooded).collect()),
        ..figures.get(figures.len() / 2)?.clone()
    })
}

/// The middle one of several numbers.
pub fn middle(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_was_slow_in_one_respect_decides_nothing() {
        let round = |per_second: f64, p99_ms: f64, micros: f64| {
            let figure = Figure::new("static", &Tally::default(), Duration::from_secs(1), &BTreeMap::new());
            Figure { per_second, p99_ms, cpu_us: BTreeMap::from([("front".to_owned(), micros)]), ..figure }
        };
        let figures = vec![round(990.0, 23.0, 50.0), round(989.0, 3.0, 41.0), round(991.0, 2.0, 42.0)];
        let median = median(figures).unwrap();
        assert_eq!((median.per_second, median.p99_ms, median.cpu_of(&["front"])), (990.0, 3.0, 42.0));
    }

    #[test]
    fn nothing_measured_has_no_median() {
        assert!(median(Vec::new()).is_none() && middle(Vec::new()).is_none());
    }
}
