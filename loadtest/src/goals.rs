//! What we want to reach, in ratios wherever they say more than the rates of one machine: of one round each, whose scenarios
//! were measured within seconds of each other, and the median of those.

use serde::Serialize;

use crate::figure::{Figure, middle};
use crate::run::{Figures, medians};

/// One aim, and how far we are.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// What is looked at.
    pub what: &'static str,
    /// What we want.
    pub wanted: String,
    /// What it is.
    pub measured: String,
    /// Whether that is enough.
    pub reached: bool,
}

/// All that can be judged from these figures.
pub fn all(figures: &Figures) -> Vec<Goal> {
    let medians = medians(figures);
    let figure = |name: &str| medians.iter().find(|figure| figure.name == name);
    let rate = |name: &str| figure(name).map(|figure| figure.per_second);
    let rounds = |name: &str| figures.iter().find(|(scenario, _)| scenario.name == name).map(|(_, rounds)| rounds);
    let ratio_of = |what: fn(&Figure) -> f64, one: &str, other: &str| {
        middle(rounds(one)?.iter().zip(rounds(other)?).map(|(one, other)| what(one) / what(other)).collect())
    };
    let ratio = |one: &str, other: &str| ratio_of(|figure| figure.per_second, one, other);
    let at_least = |what, goal: f64, unit: &str, measured: Option<f64>| Goal::of(what, "≥", goal, unit, measured);
    let at_most = |what, goal: f64, unit: &str, measured: Option<f64>| Goal::of(what, "≤", goal, unit, measured);
    let p50 = |name: &str| figure(name).map(|figure| figure.p50_ms);
    let p99 = |name: &str| figure(name).map(|figure| figure.p99_ms);
    let memory = figure("1 000 000 channels").and_then(|figure| figure.memory_mib.get("front")).copied();
    let goals = [
        at_least("static, paid", 22_000.0, "/s", rate("static")),
        at_most("static, p99", 30.0, "ms", p99("static")),
        at_least("static ÷ the same front without a commit", 0.75, "", ratio("static", "no commit")),
        at_least("static ÷ µRaiden's own proxy", 150.0, "", ratio("static", "µRaiden")),
        at_most("open loop, 1 000/s, p50", 2.5, "ms", p50("open 1 000/s")),
        at_most("open loop, 1 000/s, p99", 6.0, "ms", p99("open 1 000/s")),
        at_most("open loop, 5 000/s, p50", 2.5, "ms", p50("open 5 000/s")),
        at_most("open loop, 5 000/s, p99", 6.0, "ms", p99("open 5 000/s")),
        at_least("proxied, paid after the call ÷ static", 0.5, "", ratio("proxied", "static")),
        at_most(
            "streamed, first byte of an answer of 50 ms, p50",
            10.0,
            "ms",
            figure("streamed").map(|f| f.first_byte_p50_ms),
        ),
        at_least("one hot channel", 5_000.0, "/s", rate("hot channel")),
        at_least("1 000 000 channels ÷ 1 024", 0.9, "", ratio("1 000 000 channels", "1 024 channels")),
        at_most("a front's memory, 1 000 000 channels", 150.0, "MiB", memory),
        at_least("disk + 1 ms ÷ as it is, 1 024 connections", 0.9, "", ratio("disk + 1 ms", "1 024 connections")),
        at_least("disk + 4 ms ÷ as it is, 1 024 connections", 0.6, "", ratio("disk + 4 ms", "1 024 connections")),
        at_most(
            "CPU of a payment, two fronts ÷ one",
            1.2,
            "",
            ratio_of(|figure| figure.cpu_of(&["front", "postgresql"]), "two fronts", "static"),
        ),
        at_least("unpaid, 402", 60_000.0, "/s", rate("unpaid")),
        at_least("overload ÷ static", 0.6, "", ratio("overload", "static")),
        at_most("overload, p99 of what is served", 500.0, "ms", p99("overload")),
        at_most("paid beside an unpaid flood, p99", 50.0, "ms", p99("unpaid flood")),
        at_most("paid beside a flood of bad signatures, p99", 50.0, "ms", p99("forged flood")),
    ];
    goals.into_iter().flatten().collect()
}

impl Goal {
    fn of(what: &'static str, than: &str, goal: f64, unit: &str, measured: Option<f64>) -> Option<Goal> {
        let measured = measured?;
        let reached = if than == "≥" { measured >= goal } else { measured <= goal };
        Some(Goal { what, wanted: format!("{than} {}", number(goal, unit)), measured: number(measured, unit), reached })
    }
}

/// As people write it: large ones with gaps, small ones with two places.
fn number(value: f64, unit: &str) -> String {
    let digits = if value < 100.0 { format!("{value:.2}") } else { grouped(value) };
    let digits = digits.strip_suffix(".00").unwrap_or(&digits);
    let gap = if unit.is_empty() || unit.starts_with('/') { "" } else { " " };
    format!("{digits}{gap}{unit}")
}

/// `12 345`.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let groups: Vec<String> = Some(head.to_owned()).filter(|head| !head.is_empty()).into_iter().chain(groups).collect();
    groups.join("\u{202f}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!(number(22_000.0, "/s"), "22\u{202f}000/s");
        assert_eq!(number(0.75, ""), "0.75");
        assert_eq!(number(2.5, "ms"), "2.50 ms");
        assert_eq!(number(150.0, "MiB"), "150 MiB");
        assert_eq!(grouped(1_234_567.0), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn a_goal_that_was_not_measured_is_not_judged() {
        assert!(all(&Vec::new()).is_empty());
    }
}
