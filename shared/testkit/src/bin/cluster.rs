//! `cluster`: what `cargo xtask up`, `demo` and `down` start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use testkit::cluster::{self, Cluster};
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

async fn start() -> Result<Cluster> {
    println!(
        "==> start PostgreSQL, RabbitMQ, a chain, contracts, an upstream, HAProxy, and two each of watchers, wallets, fronts"
    );
    let begin = Instant::now();
    let cluster = cluster::up(demo::options()).await?;
    println!("    done in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(cluster)
}

async fn up() -> Result<()> {
    stay(start().await?)
}

fn stay(cluster: Cluster) -> Result<()> {
    println!("\n{}\nIt stays until `cargo xtask down`.", cluster.addresses());
    cluster.keep()
}

async fn show(keep: bool) -> Result<()> {
    let mut cluster = start().await?;
    println!("==> the main job");
    let agree = demo::show(&mut cluster).await?;
    if keep {
        let ours = [&mut cluster.watchers, &mut cluster.wallets, &mut cluster.fronts].into_iter().flatten();
        for service in ours.filter(|service| service.process().is_err()) {
            service.start_again()?;
            service.ready().await?;
        }
        stay(cluster)?;
    } else {
        cluster.stop().await?;
        println!("Nothing is left running.");
    }
    ensure!(agree, "the books do not agree");
    Ok(())
}

async fn down() -> Result<()> {
    let stopped = cluster::down().await?;
    if stopped.is_empty() {
        println!("nothing was running");
    }
    for (name, time) in stopped {
        println!("    stopped {name} in {:.1} s", time.as_secs_f64());
    }
    Ok(())
}

async fn upstream(listen: SocketAddr, calls: PathBuf) -> Result<()> {
    Upstream::start_at(listen, Some(&calls)).await?.wait().await
}
