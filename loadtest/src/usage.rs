//! What processes use: CPU time and memory, as the kernel counts them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use procfs::process::{Process, all_processes};

/// Processes with names for people.
#[derive(Clone, Debug, Default)]
pub struct Watched(Vec<(String, u32, Family)>);

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Alone,
    WithChildren,
}

/// What they used until some moment.
#[derive(Clone, Debug, Default)]
pub struct Usage(BTreeMap<String, Used>);

/// What one of them used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// On any processor, for itself or in the kernel.
    pub cpu: Duration,
    /// Resident memory now, in bytes; what several processes share is counted for each.
    pub memory: u64,
}

impl Watched {
    /// Watches one more, with everything it started; several of one name are added up.
    #[must_use]
    pub fn and(mut self, name: &str, pid: u32) -> Watched {
        self.0.push((name.to_owned(), pid, Family::WithChildren));
        self
    }

    /// Watches this program, without what it started.
    #[must_use]
    pub fn and_us(mut self) -> Watched {
        self.0.push(("load".to_owned(), std::process::id(), Family::Alone));
        self
    }

    /// What they have used by now.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for (name, pid, family) in &self.0 {
            let used = used(*pid, *family).with_context(|| format!("{name} is gone"))?;
            let sum = usage.0.entry(name.clone()).or_default();
            (sum.cpu, sum.memory) = (sum.cpu + used.cpu, sum.memory + used.memory);
        }
        Ok(usage)
    }
}

impl Usage {
    /// CPU time since `before`, and memory now, of each.
    pub fn since(&self, before: &Usage) -> BTreeMap<String, Used> {
        let earlier = |name: &String| before.0.get(name).map_or(Duration::ZERO, |used| used.cpu);
        self.0
            .iter()
            .map(|(name, used)| (name.clone(), Used { cpu: used.cpu.saturating_sub(earlier(name)), ..*used }))
            .collect()
    }
}

/// A process, and perhaps its children with those that have ended.
fn used(pid: u32, family: Family) -> Result<Used> {
    let pid = i32::try_from(pid)?;
    let mut counted = vec![Process::new(pid)?.stat()?];
    if family == Family::WithChildren {
        let others = all_processes()?.filter_map(|process| process.ok()?.stat().ok());
        counted.extend(others.filter(|stat| stat.ppid == pid));
    }
    let ticks_per_second = procfs::ticks_per_second();
    let mut sum = Used::default();
    for stat in counted {
        let dead = if family == Family::WithChildren { u64::try_from(stat.cutime + stat.cstime)? } else { 0 };
        let ticks = stat.utime + stat.stime + dead;
        sum.cpu += Duration::from_micros(ticks * 1_000_000 / ticks_per_second);
        sum.memory += stat.rss * procfs::page_size();
    }
    Ok(sum)
}
