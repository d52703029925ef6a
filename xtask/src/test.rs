//! `cargo xtask test`: builds everything, runs every test, and adds up.
//!
//! Output streams through as it comes; one pipe carries both of cargo's streams, so that lines stay in order and each
//! result can be put to the program it belongs to. Whose program it is, cargo said when it was built.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, PipeReader, pipe};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::tally::Tally;
use crate::{image, run, setup};

/// Where faults are injected, by package: what `soak` runs.
const FAULTS: [&str; 8] = ["-p", "tests", "-p", "wallet", "-p", "watcher", "-p", "queue"];
/// And which of their programs.
const PROGRAMS: [&str; 7] = ["faults", "outages", "degraded", "crashes", "rings", "random", "broker"];

/// Runs the tests; `args` go to `cargo test` as they are.
pub(crate) fn run(args: &[String]) -> Result<Tally> {
    run_as(Form::Short, args)
}

/// Runs those that inject faults in their long form, or others that have one; `args` go to `cargo test` as they are.
pub(crate) fn soak(args: &[String]) -> Result<Tally> {
    if !args.is_empty() {
        return run_as(Form::Long, args);
    }
    let programs = PROGRAMS.into_iter().flat_map(|program| ["--test", program]);
    run_as(Form::Long, &FAULTS.into_iter().chain(programs).map(str::to_owned).collect::<Vec<_>>())
}

/// How many rounds tests go that can go any number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Short,
    Long,
}

fn run_as(form: Form, args: &[String]) -> Result<Tally> {
    let start = Instant::now();
    setup::run(&setup::ALL)?;
    let packages = run::step("build the workspace (a first build takes minutes)", || {
        run::shown(run::cargo()?.args(["build", "--workspace"]))?;
        let report = ["--quiet", "--message-format", "json-render-diagnostics"];
        run::read(run::cargo()?.args(["test", "--workspace", "--no-run"]).args(report)).map(|built| packages(&built))
    })?;

    let image = if runs_image(args) { image::build_tested() } else { Ok(()) };
    if let Err(error) = &image {
        eprintln!("    {error:#}");
    }

    println!("==> cargo test");
    let (reader, writer) = pipe().context("cannot open a pipe")?;
    let mut tests = {
        let mut command = run::cargo()?;
        command.arg("test").args(whole_workspace(args)).arg("--no-fail-fast").args(args);
        command.env("CARGO_TERM_COLOR", "never");
        if form == Form::Long {
            command.env("SLUICE_SOAK", "1");
        }
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        command.spawn().context("cannot start cargo test")?
        // `command` ends here and closes our ends of the pipe; the reader sees its end when the tests are over.
    };
    let mut results = follow(reader, &packages);
    let status = tests.wait()?;
    if !status.success() && results.total.failed == 0 {
        println!("cargo test ended with {status} and no failed test: counted as one");
        results.total += Tally::failure();
    }
    if image.is_err() {
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

/// Whether the tests of the image are asked for: by everything, or by name (`-- -p tests --test image`).
fn runs_image(args: &[String]) -> bool {
    args.is_empty() || args.iter().any(|arg| arg == "image")
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
fn follow(output: PipeReader, packages: &HashMap<String, String>) -> Results {
    let mut results = Results::default();
    let mut running: Option<Program> = None;
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(name) = program_of(&line, packages) {
            let next = Program { name, start: Instant::now(), tally: None };
            running.replace(next).into_iter().for_each(|program| results.add(program));
        } else if let (Some(result), Some(program)) = (Tally::of_line(&line), running.as_mut()) {
            *program.tally.get_or_insert_default() += result;
        }
    }
    running.into_iter().for_each(|program| results.add(program));
    results
}

/// Whose each program is, by its file's name: what cargo says about what it built, line by line.
fn packages(built: &str) -> HashMap<String, String> {
    let artifacts = built.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let whose = |artifact: Value| {
        let file = artifact["executable"].as_str()?.rsplit('/').next()?.to_owned();
        // `path+file:///a/evm#0.1.0`, or `path+file:///a/b#evm@0.1.0` where the folder is called otherwise.
        let (path, version) = artifact["package_id"].as_str()?.split_once('#')?;
        let name = version.split_once('@').map_or_else(|| path.rsplit('/').next(), |(name, _)| Some(name))?;
        Some((file, name.to_owned()))
    };
    artifacts.filter_map(whose).collect()
}

/// The program that a line of cargo announces, as `package::program`:
/// `Running tests/a.rs (target/debug/deps/a-0123456789abcdef)`, `Doc-tests channel`.
fn program_of(line: &str, packages: &HashMap<String, String>) -> Option<String> {
    let line = line.trim();
    if let Some(of) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{of} (examples in docs)"));
    }
    let (source, path) = line.strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    let file = path.rsplit('/').next()?;
    let program = file.rsplit_once('-')?.0;
    let source = source.trim_start_matches("unittests ");
    Some(match packages.get(file) {
        Some(package) => format!("{package}::{program} {source}"),
        None => format!("{program} {source}"), // built with other options
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write as _;

    use super::{Tally, follow, packages, program_of};

    #[test]
    fn cargos_announcements_name_the_package_and_the_program() {
        let packages = packages(
            "{\"reason\":\"compiler-artifact\",\"package_id\":\"path+file:///a/evm#0.1.0\",\
             \"executable\":\"/t/debug/deps/hold-8d1b\"}\n\
             {\"package_id\":\"path+file:///a/b#channel@0.1.0\",\"executable\":\"/t/debug/deps/channel-77ff\"}\n\
             {\"package_id\":\"registry+https://x#serde@1.0.0\",\"executable\":null}\n",
        );
        let unit = "     Running unittests src/lib.rs (target/debug/deps/channel-77ff)";
        assert_eq!(program_of(unit, &packages).as_deref(), Some("channel::channel src/lib.rs"));
        let file = "     Running tests/hold.rs (/a b/debug/deps/hold-8d1b)";
        assert_eq!(program_of(file, &packages).as_deref(), Some("evm::hold tests/hold.rs"));
        let other = "     Running tests/hold.rs (/a b/debug/deps/hold-0000)";
        assert_eq!(program_of(other, &packages).as_deref(), Some("hold tests/hold.rs"));
        assert_eq!(program_of("   Doc-tests channel", &packages).as_deref(), Some("channel (examples in docs)"));
        assert_eq!(program_of("test a ... ok", &packages), None);
    }

    #[test]
    fn a_program_that_dies_without_a_result_counts_as_a_failure() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let output = "     Running tests/a.rs (target/debug/deps/a-1)\nrunning 2 tests\n\
                           Running tests/b.rs (target/debug/deps/b-2)\n\
                      test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        writer.write_all(output.as_bytes()).expect("the pipe takes a few lines");
        drop(writer);
        assert_eq!(follow(reader, &HashMap::new()).total, Tally { passed: 5, failed: 1 });
    }
}
