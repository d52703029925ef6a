//! A server process: its own process group, its log file, its bounded end.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{reaper, wait};

const POLL: Duration = Duration::from_millis(10);
/// How long something dropped may take before it is killed.
const GRACE: Duration = Duration::from_secs(6);
/// How long all threads of something paused may take to stop.
const STOPPED: Duration = Duration::from_secs(2);
const LINES_OF_A_FAILURE: usize = 30;

/// A running program. Dropped, it ends: at once, or after the signal of [`Process::ends_with`].
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    farewell: Signal,
    kept: bool,
}

impl Process {
    /// Starts a program in a group of its own; what it prints is appended to `log`.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log);
        let out = out.with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        reaper::watch(child.id())?;
        Ok(Self { name: name.to_owned(), child, log: log.to_path_buf(), farewell: Signal::SIGKILL, kept: false })
    }

    /// The signal that ends it politely when it is dropped.
    #[must_use]
    pub fn ends_with(mut self, signal: Signal) -> Self {
        self.farewell = signal;
        self
    }

    /// Its process id, which is also its group's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails, with the end of its log, when it is no longer running.
    pub fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}; the end of {}:\n{}", self.name, self.log.display(), tail(&self.log));
        }
        Ok(())
    }

    /// Tries until it answers; fails when the time is over, and at once when it has ended.
    pub async fn answers<T>(&mut self, within: Duration, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        let what = format!("{} to answer", self.name);
        let answer = wait::until(&what, within, async || match self.check_running() {
            Ok(()) => attempt().await.map(Ok),
            Err(ended) => Ok(Err(ended)),
        });
        answer.await?
    }

    /// Sends a signal to the whole group.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal_group(self.pid(), signal).with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Lets it hang, as a machine does that swaps or a network that drops. When this returns, it does.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        // The signal is only sent: a thread on another core may go on for a moment, and answer.
        let until = Instant::now() + STOPPED;
        while !is_stopped(self.pid()) {
            ensure!(Instant::now() < until, "{} does not stop", self.name);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Asks it to end (SIGTERM), waits, and kills it when it takes longer than `within`. Says how long it took.
    pub async fn stop(&mut self, within: Duration) -> Result<Duration> {
        let start = Instant::now();
        self.terminate(within).await?;
        Ok(start.elapsed())
    }

    /// Likewise; says how it ended.
    pub async fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        if self.child.try_wait()?.is_none() {
            self.signal(Signal::SIGTERM)?;
        }
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if start.elapsed() > within {
                self.kill9()?;
                bail!("{} did not end within {within:?} of SIGTERM and was killed", self.name);
            }
            tokio::time::sleep(POLL).await;
        };
        self.kill9()?; // what it may have left in its group
        Ok(status)
    }

    /// Kills it and everything it started, at once.
    pub fn kill9(&mut self) -> Result<()> {
        for pid in descendants(self.pid()) {
            let _ = kill(pid, Signal::SIGKILL); // gone already: so much the better
        }
        let _ = signal_group(self.pid(), Signal::SIGKILL);
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        reaper::forget(self.pid())
    }

    /// Lets it outlive us; whoever knows its id can [`stop_pid`] it.
    pub fn keep(mut self) -> Result<u32> {
        self.kept = true;
        reaper::forget(self.pid())?;
        Ok(self.pid())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if self.farewell != Signal::SIGKILL && matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.signal(self.farewell);
            let end = Instant::now() + GRACE;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(POLL);
            }
        }
        let _ = self.kill9();
    }
}

/// Stops a group that an earlier run kept: SIGTERM, and SIGKILL when it takes longer than `within`.
pub async fn stop_pid(pid: u32, within: Duration) -> Result<()> {
    let end = Instant::now() + within;
    if is_alive(pid) {
        signal_group(pid, Signal::SIGTERM)?;
    }
    while is_alive(pid) && Instant::now() < end {
        tokio::time::sleep(POLL).await;
    }
    for pid in descendants(pid) {
        let _ = kill(pid, Signal::SIGKILL); // gone already: so much the better
    }
    let _ = signal_group(pid, Signal::SIGKILL);
    Ok(())
}

/// Whether a process runs: one that has ended, and that nobody has looked after yet, does not.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z"))
}

/// When a process started, in ticks since boot: with its id, a name that nobody else gets.
pub fn started(pid: u32) -> Option<String> {
    stat(pid)?.get(19).cloned()
}

/// The fields of a process's stat after its name: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

/// Whether every thread of a process is stopped, by us or by itself.
pub fn is_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut threads = threads.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    threads.all(|thread| stat(thread).is_none_or(|fields| fields[0] == "T"))
}

fn signal_group(group: u32, signal: Signal) -> Result<()> {
    let group = i32::try_from(group).context("not a process id")?;
    Ok(kill(Pid::from_raw(-group), signal)?)
}

/// Children and children's children; PostgreSQL's backends, for one, leave the group of their parent.
fn descendants(of: u32) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?))).collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(of) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
        next += 1;
    }
    found.into_iter().skip(1).filter_map(|pid| i32::try_from(pid).ok()).map(Pid::from_raw).collect()
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_OF_A_FAILURE)..].join("\n")
}
