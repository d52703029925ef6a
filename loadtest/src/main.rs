//! How many paid requests a front answers, and how long they take: `cargo xtask bench`.
//!
//! | file | story |
//! |---|---|
//! | `scenario` | what is measured: the set |
//! | `stage`, `payers` | the servers it is measured on, and who pays there |
//! | `load` | connections that send what was signed ahead, in a closed or an open loop |
//! | `measure`, `usage`, `books` | one measurement: how fast, at what cost, and whether all books agree |
//! | `commits` | group commit alone |
//! | `run` | the whole set, several times over |
//! | `figure`, `goals`, `report`, `plot` | the numbers, what we want them to be, and how they are shown |
//! | `helpers` | servers that this program is itself: an upstream, and ceilings |

mod books;
mod commits;
mod figure;
mod goals;
mod helpers;
mod load;
mod measure;
mod payers;
mod plot;
mod report;
mod run;
mod scenario;
mod seed;
mod stage;
mod usage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::run::Plan;

/// Measures how fast Sluice sells.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything, measure the set, and compare it with the goals
    Bench(Bench),
    /// An upstream that answers at once
    #[command(hide = true)]
    Upstream {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// A front that writes nothing down
    #[command(hide = true)]
    NoCommit {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        config: PathBuf,
    },
    /// The HTTP stack of a front, and nothing behind it
    #[command(hide = true)]
    Hello {
        #[arg(long)]
        listen: SocketAddr,
    },
}

#[derive(clap::Args)]
struct Bench {
    /// Only scenarios whose names begin with this; may be given several times
    #[arg(long)]
    only: Vec<String>,
    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// For how long each is measured, in seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Write results.json, README.md and latency.svg into this folder
    #[arg(long)]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Args::parse().command {
        Command::Bench(options) => bench(options).await,
        Command::Upstream { listen } => helpers::upstream(listen).await,
        Command::NoCommit { listen, config } => helpers::no_commit(listen, &config).await,
        Command::Hello { listen } => helpers::hello(listen).await,
    }
}

async fn bench(bench: Bench) -> Result<()> {
    let Bench { only, rounds, seconds, out } = bench;
    let mut scenarios = scenario::all();
    scenarios.retain(|scenario| only.is_empty() || only.iter().any(|name| scenario.name.starts_with(name.as_str())));
    ensure!(!scenarios.is_empty(), "no scenario's name begins so; there are: {}", scenario::names());
    println!("{} measurements, {rounds} times {seconds} s each", scenarios.len());
    let figures = Plan { scenarios, rounds, time: Duration::from_secs_f64(seconds) }.run().await?;
    println!("\nmedians:");
    let medians = run::medians(&figures);
    for figure in &medians {
        println!("    {figure}");
    }
    println!("\n{}", report::goals_table(&goals::all(&figures)));
    if let Some(out) = out {
        report::write(&out, &figures, rounds, seconds)?;
        println!("written to {}", out.display());
    }
    Ok(())
}
