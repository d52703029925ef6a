//! The results as files: everything as JSON, what matters as a table, latency against load as a picture.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use crate::figure::Figure;
use crate::goals::{self, Goal, grouped};
use crate::plot;
use crate::run::{Figures, medians};
use crate::scenario::Scenario;

/// Where it was measured.
#[derive(Debug, Serialize)]
struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    rustc: String,
    postgresql: String,
}

/// Writes `results.json`, `README.md` and `latency.svg` into this folder.
///
/// # Errors
/// When they cannot be written.
pub fn write(folder: &Path, figures: &Figures, rounds: usize, seconds: f64) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let (medians, machine) = (medians(figures), Machine::this()?);
    let goals = goals::all(figures);
    let every: Vec<&Vec<Figure>> = figures.iter().map(|(_, figures)| figures).collect();
    let at = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let all = json!({
        "date": at, "machine": machine, "rounds": rounds, "seconds": seconds,
        "goals": goals, "medians": medians, "figures": every,
    });
    let put = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    put("results.json", &(serde_json::to_string_pretty(&all)? + "\n"))?;
    let scenarios: Vec<&Scenario> = figures.iter().map(|(scenario, _)| scenario).collect();
    put("README.md", &page(&at, &machine, &goals, &scenarios, &medians, rounds, seconds)?)?;
    plot::latency_against_load(&folder.join("latency.svg"), &medians)
}

fn page(
    date: &str,
    machine: &Machine,
    goals: &[Goal],
    scenarios: &[&Scenario],
    medians: &[Figure],
    rounds: usize,
    seconds: f64,
) -> Result<String> {
    let Machine { processor, cores, memory_gib, kernel, rustc, postgresql } = machine;
    let mut text = format!(
        "# Results\n\n\
         Written by `cargo xtask bench` on {date}; `results.json` has everything. {processor}, {cores} cores for all \
         processes together, {memory_gib} GiB, Linux {kernel}; {rustc}, {postgresql}, release build, `fsync` and \
         `synchronous_commit` on, one request at a time on each connection. Medians of {rounds} times {seconds} s, all in \
         one run; ratios are those of one round, and the median of them. After each measurement what was served, charged and called upstream was the same, to the unit.\n\n\
         {}\n## Figures\n\n{}\n![Latency against load](latency.svg)\n",
        goals_table(goals),
        figures_table(medians),
    );
    writeln!(text, "\n## What they are\n")?;
    for scenario in scenarios {
        writeln!(text, "- **{}**: {}", scenario.name, scenario.about)?;
    }
    Ok(text)
}

/// What we wanted, and what it is.
pub fn goals_table(goals: &[Goal]) -> String {
    let mut text = "| what | goal | measured | |\n|---|---|---|---|\n".to_owned();
    for Goal { what, wanted, measured, reached } in goals {
        let verdict = if *reached { "✓" } else { "**missed**" };
        text += &format!("| {what} | {wanted} | {measured} | {verdict} |\n");
    }
    text
}

fn figures_table(medians: &[Figure]) -> String {
    let mut text =
        "| | a second | p50 ms | p99 ms | p99.9 ms | CPU µs: front | PostgreSQL | others | payments a commit |\n\
                    |---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
            .to_owned();
    for figure in medians {
        let cpu = |name: &str| figure.cpu_us.get(name).copied().unwrap_or_default();
        let others = figure.cpu_us.values().sum::<f64>() - cpu("front") - cpu("postgresql");
        let commit = figure.payments_per_commit.map_or_else(|| "–".to_owned(), |payments| format!("{payments:.0}"));
        text += &format!(
            "| {} | {} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} | {others:.1} | {commit} |\n",
            figure.name,
            grouped(figure.per_second),
            figure.p50_ms,
            figure.p99_ms,
            figure.p999_ms,
            cpu("front"),
            cpu("postgresql"),
        );
    }
    text
}

impl Machine {
    fn this() -> Result<Machine> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let processor = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kibibytes = fs::read_to_string("/proc/meminfo")?;
        let kibibytes = kibibytes.split_whitespace().nth(1).context("no memory")?.parse::<u64>()?;
        let postgres = testkit::paths::postgres("postgres")?;
        Ok(Machine {
            processor: processor.map_or("an unknown processor", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: kibibytes.div_ceil(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            rustc: said(Command::new("rustc").arg("--version")),
            postgresql: said(Command::new(postgres).arg("--version")),
        })
    }
}

/// What a program says of itself.
fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_else(|_| "unknown".to_owned())
}
