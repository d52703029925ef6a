//! `cargo xtask test`: builds everything, runs every test, and adds up.
//!
//! Output streams through as it comes; one pipe carries both of cargo's streams, so that lines stay in order and each
//! result can be put to the program it belongs to.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, PipeReader, pipe};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::tally::Tally;
use crate::{run, setup};

/// Runs the tests; `args` go to `cargo test` as they are.
pub(crate) fn run(args: &[String]) -> Result<Tally> {
    let start = Instant::now();
    setup::run(&setup::ALL)?;
    run::step("build the workspace (a first build takes minutes)", || {
        run::shown(run::cargo()?.args(["build", "--workspace"]))?;
        run::shown(run::cargo()?.args(["test", "--workspace", "--no-run", "--quiet"]))
    })?;

    println!("==> cargo test");
    let (reader, writer) = pipe().context("cannot open a pipe")?;
    let mut tests = {
        let mut command = run::cargo()?;
        command.arg("test").args(whole_workspace(args)).arg("--no-fail-fast").args(args);
        command.env("CARGO_TERM_COLOR", "never");
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        command.spawn().context("cannot start cargo test")?
        // `command` ends here and closes our ends of the pipe; the reader sees its end when the tests are over.
    };
    let mut results = follow(reader);
    let status = tests.wait()?;
    if !status.success() && results.total.failed == 0 {
        println!("cargo test ended with {status} and no failed test: counted as one");
        results.total += Tally::failure();
    }
    println!("\n{}    all of it in {}", results.table, run::seconds(start.elapsed()));
    Ok(results.total)
}

/// Without `-p` everything is tested.
fn whole_workspace(args: &[String]) -> Option<&'static str> {
    let some = args.iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    (!some).then_some("--workspace")
}

#[derive(Default)]
struct Results {
    total: Tally,
    table: String,
}

/// One test program while it runs.
struct Program {
    name: String,
    start: Instant,
    /// None until a result was read; documentation examples print several.
    tally: Option<Tally>,
}

impl Results {
    fn add(&mut self, program: Program) {
        let tally = program.tally.unwrap_or_else(Tally::failure);
        self.total += tally;
        if tally == Tally::default() {
            return;
        }
        let note = if program.tally.is_none() { " (ended without a result)" } else { "" };
        let (time, name) = (run::seconds(program.start.elapsed()), program.name);
        let _ =
            writeln!(self.table, "    {:>4} passed {:>3} failed {time:>9}  {name}{note}", tally.passed, tally.failed);
    }
}

/// Prints what the tests print, and adds up their results. A program that ends without a result (aborted, killed)
/// counts as one failure.
fn follow(output: PipeReader) -> Results {
    let mut results = Results::default();
    let mut running: Option<Program> = None;
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(name) = program_of(&line) {
            let next = Program { name, start: Instant::now(), tally: None };
            running.replace(next).into_iter().for_each(|program| results.add(program));
        } else if let (Some(result), Some(program)) = (Tally::of_line(&line), running.as_mut()) {
            *program.tally.get_or_insert_default() += result;
        }
    }
    running.into_iter().for_each(|program| results.add(program));
    results
}

/// The program that a line of cargo announces: `Running tests/a.rs (target/debug/deps/a-0123456789abcdef)`, `Doc-tests channel`.
fn program_of(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(of) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{of} (examples in docs)"));
    }
    let (source, file) = line.strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    let program = file.rsplit('/').next()?.rsplit_once('-')?.0;
    Some(format!("{program} {}", source.trim_start_matches("unittests ")))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Tally, follow, program_of};

    #[test]
    fn cargos_announcements_name_the_program() {
        let unit = "     Running unittests src/lib.rs (target/debug/deps/channel-8d1b3f0f7a1e2c3d)";
        assert_eq!(program_of(unit).as_deref(), Some("channel src/lib.rs"));
        let file = "     Running tests/hold.rs (/a b/debug/deps/hold-8d1b3f0f7a1e2c3d)";
        assert_eq!(program_of(file).as_deref(), Some("hold tests/hold.rs"));
        assert_eq!(program_of("   Doc-tests channel").as_deref(), Some("channel (examples in docs)"));
        assert_eq!(program_of("test a ... ok"), None);
    }

    #[test]
    fn a_program_that_dies_without_a_result_counts_as_a_failure() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let output = "     Running tests/a.rs (target/debug/deps/a-1)\nrunning 2 tests\n\
                           Running tests/b.rs (target/debug/deps/b-2)\n\
                      test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        writer.write_all(output.as_bytes()).expect("the pipe takes a few lines");
        drop(writer);
        assert_eq!(follow(reader).total, Tally { passed: 5, failed: 1 });
    }
}
