//! `cargo xtask`: set the machine up, check, test, and run the whole cluster.
//!
//! Deliberately light (no async, no crates of ours), so that it starts within seconds on a fresh clone; what needs
//! the project's own code is the `cluster` program of `testkit`, which `up`, `demo` and `down` build and start.

mod bench;
mod chart;
mod check;
mod cluster;
mod image;
mod paths;
mod run;
mod setup;
mod tally;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tally::Tally;

/// Sluice's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the main job: a cluster, a payer, a few hundred paid requests; then stop everything
    Demo {
        /// Leave the cluster running and print its addresses (`cargo xtask down` stops it)
        #[arg(long)]
        keep: bool,
    },
    /// Start the whole cluster and leave it running
    Up,
    /// Stop what `up` or `demo --keep` left running
    Down,
    /// Build everything and run every test
    Test {
        /// Passed on to `cargo test`, e.g. `-- -p channel` or `-- -- reorg`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run the tests that inject faults in their long form: many more rounds, for as long as it takes
    ///
    /// A test that fails prints its seed; `SLUICE_SEED=n` replays it.
    Soak {
        /// Passed on to `cargo test`, e.g. `-- -p wallet --test crashes`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Measure how fast a front sells, in a release build, and write loadtest/results
    ///
    /// It takes a quarter of an hour or more, and wants the machine for itself.
    Bench {
        /// Passed on to `loadtest bench`, e.g. `-- --only static --rounds 1`; then nothing is written without `--out`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Write anew what is made from the Helm chart: k8s/, and the table of values in its README
    Chart,
    /// Build the container image from the Dockerfile, with this machine's Rust and podman; nothing is pulled
    Image {
        /// Its name
        #[arg(long, default_value = "sluice")]
        tag: String,
        /// Cargo's profile for the programs in it: `release`, or `dev`, which is built sooner
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Format, lints, docs, licences, layers, artefacts, migrations, instructions per payment, the chart
    Check,
    /// What CI runs: check, then test, and one last line for both
    Ci,
    /// Install what the others need; they do it themselves, so this is only for doing it ahead
    Setup,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::Demo { keep } => cluster::demo(keep),
        Task::Up => cluster::up(),
        Task::Down => cluster::down(),
        Task::Test { args } => test::run(&args).map(Tally::report),
        Task::Soak { args } => test::soak(&args).map(Tally::report),
        Task::Bench { args } => bench::run(&args),
        Task::Chart => chart::write().map(|()| ExitCode::SUCCESS),
        Task::Image { tag, profile } => image::build(&tag, &profile).map(|()| ExitCode::SUCCESS),
        Task::Check => check::run().map(Tally::report),
        Task::Ci => ci().map(Tally::report),
        Task::Setup => setup::run(&setup::ALL).and_then(|()| setup::run(&setup::COUNT)).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("\nerror: {error:#}");
        ExitCode::FAILURE
    })
}

/// A failed check does not keep the tests from running, nor the other way round.
fn ci() -> anyhow::Result<Tally> {
    let mut all = Tally::default();
    for part in [check::run(), test::run(&[])] {
        all += part.unwrap_or_else(|error| {
            eprintln!("\nerror: {error:#}");
            Tally::failure()
        });
    }
    Ok(all)
}
