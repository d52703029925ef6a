//! `cluster`: what `cargo xtask up`, `demo` and `down` start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use testkit::cluster::{self, Options};
use testkit::demo;
use testkit::upstream::Upstream;

/// Runs a whole cluster on this machine.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Open a channel, pay for a few hundred requests, close it, and compare everybody's books
    Demo {
        /// Leave the cluster running
        #[arg(long)]
        keep: bool,
    },
    /// Start a cluster and leave it running
    Up,
    /// Stop it
    Down,
    /// Serve the upstream that the cluster sells
    #[command(hide = true)]
    Upstream {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        calls: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::Demo { keep } => show(keep).await,
        Task::Up => up().await,
        Task::Down => down().await,
        Task::Upstream { listen, calls } => upstream(listen, calls).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn up() -> Result<()> {
    println!("==> starting PostgreSQL, a chain, contracts, an upstream, a watcher, a wallet, two fronts and HAProxy");
    let cluster = cluster::up(Options::default()).await?;
    println!("\n{}\nIt stays until `cargo xtask down`.", cluster.addresses());
    cluster.keep()?;
    Ok(())
}

async fn show(keep: bool) -> Result<()> {
    ensure!(demo::run(keep).await?, "the books do not agree");
    Ok(())
}

async fn down() -> Result<()> {
    let stopped = cluster::down().await?;
    if stopped.is_empty() {
        println!("nothing was running");
    } else {
        println!("stopped: {}", stopped.join(", "));
    }
    Ok(())
}

async fn upstream(listen: SocketAddr, calls: PathBuf) -> Result<()> {
    Upstream::start_at(listen, Some(&calls)).await?.wait().await
}
