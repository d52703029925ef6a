//! Answers, counted and timed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use super::Answer;

/// In microseconds: what takes longer counts as this.
const LONGEST: u64 = 60_000_000;

/// Answers by status, and how long those took that served.
pub struct Tally {
    /// How many answers had which status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub broken: u64,
    /// What went wrong with the last one of them.
    pub last_break: Option<String>,
    /// Times of the answers that served, in microseconds.
    served: Histogram<u64>,
    /// Times until their first byte.
    first_bytes: Histogram<u64>,
    /// Times of all the others.
    refused: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Tally {
        let empty = || Histogram::new_with_max(LONGEST, 3).expect("a range and a precision that exist");
        Tally {
            statuses: BTreeMap::new(),
            broken: 0,
            last_break: None,
            served: empty(),
            first_bytes: empty(),
            refused: empty(),
        }
    }
}

impl Tally {
    /// Counts an answer, or that there was none. The request was due at that moment, and the answer is whole now.
    pub fn add(&mut self, answer: &Result<Answer>, due: Instant) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(LONGEST);
        match answer {
            Ok(answer) => {
                *self.statuses.entry(answer.status).or_default() += 1;
                let times = if answer.serves() { &mut self.served } else { &mut self.refused };
                times.saturating_record(micros(due.elapsed()));
                if answer.serves() {
                    self.first_bytes.saturating_record(micros(answer.first_byte.saturating_duration_since(due)));
                }
            }
            Err(error) => {
                self.broken += 1;
                self.last_break = Some(format!("{error:#}"));
            }
        }
    }

    /// Adds what somebody else counted.
    ///
    /// # Errors
    /// When histograms do not fit, which those of one program do.
    pub fn merge(&mut self, other: &Tally) -> Result<()> {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.broken += other.broken;
        self.last_break = other.last_break.clone().or(self.last_break.take());
        self.served.add(&other.served)?;
        self.first_bytes.add(&other.first_bytes)?;
        Ok(self.refused.add(&other.refused)?)
    }

    /// How many were served.
    pub fn served(&self) -> u64 {
        self.served.len()
    }

    /// How many answers there were, whatever they were.
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// The time, in milliseconds, within which so many hundredths of the served were; of the refused if none was served.
    pub fn percentile(&self, percent: f64) -> f64 {
        let times = if self.served.is_empty() { &self.refused } else { &self.served };
        Duration::from_micros(times.value_at_percentile(percent)).as_secs_f64() * 1e3
    }

    /// The same until the first byte of an answer that served.
    pub fn first_byte(&self, percent: f64) -> f64 {
        Duration::from_micros(self.first_bytes.value_at_percentile(percent)).as_secs_f64() * 1e3
    }

    /// The same of those that were not served.
    pub fn refusal(&self, percent: f64) -> f64 {
        Duration::from_micros(self.refused.value_at_percentile(percent)).as_secs_f64() * 1e3
    }
}
