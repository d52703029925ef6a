//! What passed and what failed, counted over everything a run does.

use std::ops::AddAssign;
use std::process::ExitCode;

/// A count of passed and failed checks and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// One thing that went well.
    pub(crate) fn success() -> Self {
        Self { passed: 1, failed: 0 }
    }

    /// One thing that did not.
    pub(crate) fn failure() -> Self {
        Self { passed: 0, failed: 1 }
    }

    /// Reads a line of the test harness: `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let counts = line.trim().strip_prefix("test result: ")?.split_once(". ")?.1;
        let count =
            |word: &str| counts.split(';').find_map(|part| part.trim().strip_suffix(word)?.trim().parse::<u64>().ok());
        Some(Self { passed: count("passed")?, failed: count("failed")? })
    }

    /// Prints the last line of a run, and turns it into the exit code.
    pub(crate) fn report(self) -> ExitCode {
        println!("\n{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn a_result_line_of_the_harness_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.42s";
        assert_eq!(Tally::of_line(line), Some(Tally { passed: 12, failed: 3 }));
    }

    #[test]
    fn other_lines_are_not_counted() {
        for line in ["", "test a::b ... ok", "running 3 tests", "3 passed, 4 failed", "test result: soon"] {
            assert_eq!(Tally::of_line(line), None, "{line}");
        }
    }
}
