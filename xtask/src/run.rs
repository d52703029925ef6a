//! Running other programs: shown, or quietly into a log with a sign of life.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths;

const POLL: Duration = Duration::from_millis(50);
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
const LINES_OF_A_FAILURE: usize = 40;

/// Says what begins, does it, says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    println!("==> {what}");
    let outcome = work();
    let verdict = if outcome.is_ok() { "done" } else { "FAILED" };
    println!("    {verdict} in {}", seconds(start.elapsed()));
    outcome
}

/// Runs a command whose output the user should see.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    let line = words(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs a command with its output in `tools/logs/NAME.log`, saying every ten seconds that it is still at work; a failure shows
/// the end of the log.
pub(crate) fn logged(command: &mut Command, name: &str) -> Result<()> {
    let line = words(command);
    let logs = paths::tools()?.join("logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let log = logs.join(name).with_extension("log");
    let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let err = out.try_clone()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let start = Instant::now();
    let mut next_sign = SIGN_OF_LIFE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() >= next_sign {
            println!("    … still at it after {}: {}", seconds(next_sign), last_line(&log));
            next_sign += SIGN_OF_LIFE;
        }
        thread::sleep(POLL);
    };
    if !status.success() {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(LINES_OF_A_FAILURE)..] {
            eprintln!("    | {line}");
        }
        bail!("`{line}` ended with {status} (its whole output: {})", log.display());
    }
    Ok(())
}

/// Cargo at the root of the clone, building into the directory this program was built into.
pub(crate) fn cargo() -> Result<Command> {
    let mut command = at_home("cargo");
    command.env("CARGO_TARGET_DIR", paths::target()?);
    Ok(command)
}

/// A program at the root of the clone that talks to servers on this machine without the user's proxy.
pub(crate) fn at_home(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(paths::root());
    for name in ["NO_PROXY", "no_proxy"] {
        let others = env::var(name).unwrap_or_default();
        command.env(name, format!("127.0.0.1,localhost,{others}").trim_end_matches(','));
    }
    command
}

/// What a command prints on standard output, trimmed.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let line = words(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a command succeeds; its output is nobody's business.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A duration for people.
pub(crate) fn seconds(time: Duration) -> String {
    let tenths = time.as_secs_f64();
    if tenths < 100.0 {
        format!("{tenths:.1} s")
    } else {
        format!("{}:{:02} min", time.as_secs() / 60, time.as_secs() % 60)
    }
}

fn words(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for word in command.get_args() {
        line.push(' ');
        line.push_str(&word.to_string_lossy());
    }
    line
}

fn last_line(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("(no output yet)");
    line.trim().chars().take(90).collect()
}
