//! A cluster that outlives the program that started it: one per target directory, known by a list of process ids.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Cluster, Options};
use crate::scratch::Scratch;
use crate::{paths, process};

const STOP: Duration = Duration::from_secs(10);

/// Where it lives.
fn home() -> Result<PathBuf> {
    Ok(paths::data_dir()?.join("standing"))
}

fn list(home: &Path) -> PathBuf {
    home.with_extension("pids")
}

/// One process of the list: its name, its id, and when it started, so that nobody else's who got the id is stopped.
struct Entry {
    name: String,
    pid: u32,
    start: String,
}

/// Whether some of it is running.
pub fn is_up() -> Result<bool> {
    Ok(entries(&list(&home()?)).iter().any(Entry::is_running))
}

/// Starts a cluster from nothing in the place of the standing one; [`Cluster::keep`] makes it stay.
pub async fn up(options: Options) -> Result<Cluster> {
    let home = home()?;
    if is_up()? {
        bail!("a cluster is running already; stop it with `cargo xtask down`");
    }
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    Cluster::start_in(Scratch::lasting(&home)?, options).await
}

/// Stops the standing cluster, fronts first, the database last. Says what it stopped, and how long each took.
pub async fn down() -> Result<Vec<(String, Duration)>> {
    let file = list(&home()?);
    let mut stopped = Vec::new();
    for entry in entries(&file).into_iter().filter(Entry::is_running) {
        let start = Instant::now();
        process::stop_pid(entry.pid, STOP).await?;
        stopped.push((entry.name, start.elapsed()));
    }
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(stopped)
}

impl Cluster {
    /// Lets it outlive us, until [`down`].
    pub fn keep(self) -> Result<()> {
        let file = list(&home()?);
        let mut pids = Vec::new();
        if let Some(balancer) = self.balancer {
            pids.push(("haproxy".to_owned(), balancer.keep()?));
        }
        for service in self.fronts.into_iter().chain(self.wallets).chain(self.watchers).chain([self.upstream]) {
            pids.push((service.name.clone(), service.keep()?));
        }
        if let Some(rabbit) = self.rabbit {
            pids.extend(rabbit.keep()?);
        }
        pids.push(("anvil".to_owned(), self.chain.keep()?));
        pids.push(("postgres".to_owned(), self.postgres.keep()?));
        let mut text = String::new();
        for (name, pid) in pids {
            writeln!(text, "{name} {pid} {}", process::started(pid).unwrap_or_default())?;
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

impl Entry {
    fn is_running(&self) -> bool {
        process::is_alive(self.pid) && process::started(self.pid).is_some_and(|start| start == self.start)
    }
}

fn entries(file: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let entry = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some(Entry { name: words.next()?, pid: words.next()?.parse().ok()?, start: words.next()? })
    };
    text.lines().filter_map(entry).collect()
}
