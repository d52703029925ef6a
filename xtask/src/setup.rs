//! `cargo xtask setup`: what the tests and the demo need and cargo does not bring.
//!
//! Everything but Debian packages goes under `target/tools`, each thing with a stamp that names its version: what is
//! there in the right version is not touched again, so that a second run takes no time. Proxies and certificate
//! bundles are whatever the environment tells apt, npm and pip.

mod debian;
mod npm;
mod python;

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};

use crate::paths;

/// Something to have on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tool {
    /// The ledger's database server.
    Postgres,
    /// The message broker of watchers and wallets.
    Rabbit,
    /// The load balancer in front of the fronts.
    Haproxy,
    /// Runs npm's packages and the contract build.
    Node,
    /// The development chain.
    Anvil,
    /// The Solidity compiler.
    Solc,
    /// The original µRaiden clients of 2018, for Python and JavaScript, against which ours is tested.
    RaidenClient,
    /// The web browser that the tests drive.
    Chromium,
    /// What pages in tests load from elsewhere, and what looks whether they can be used by everybody.
    PageLibraries,
    /// The official x402 server for Express, against which ours is measured.
    X402Express,
    /// Counts instructions.
    Valgrind,
    /// Scrapes metrics, and tests what is asked of them.
    Prometheus,
    /// Reads `docker-compose.yml`.
    Compose,
    /// Builds the image, and runs it.
    Podman,
    /// Reads the plain manifests.
    Kubectl,
    /// Renders the chart.
    Helm,
    /// What reads the chart beside it: Kubernetes' schemas, and Helm 4.
    ChartReaders,
}

/// What a running cluster needs.
pub(crate) const CLUSTER: [Tool; 5] = [Tool::Postgres, Tool::Rabbit, Tool::Haproxy, Tool::Node, Tool::Anvil];
/// What `bench` needs: a ledger, a load balancer, and the peers with their chain.
pub(crate) const BENCH: [Tool; 6] =
    [Tool::Postgres, Tool::Haproxy, Tool::Node, Tool::Anvil, Tool::RaidenClient, Tool::X402Express];
/// What `image` needs.
pub(crate) const IMAGE: [Tool; 1] = [Tool::Podman];
/// What `check` needs.
pub(crate) const CHECK: [Tool; 3] = [Tool::Node, Tool::Solc, Tool::Helm];
/// What `chart` needs.
pub(crate) const CHART: [Tool; 2] = [Tool::Node, Tool::Helm];
/// What one step of `check` needs, which says so and goes on where it cannot be had.
pub(crate) const COUNT: [Tool; 1] = [Tool::Valgrind];
/// What the tests need: everything else.
pub(crate) const ALL: [Tool; 16] = [
    Tool::Postgres,
    Tool::Rabbit,
    Tool::Haproxy,
    Tool::Node,
    Tool::Anvil,
    Tool::Solc,
    Tool::RaidenClient,
    Tool::Chromium,
    Tool::PageLibraries,
    Tool::X402Express,
    Tool::Prometheus,
    Tool::Compose,
    Tool::Podman,
    Tool::Kubectl,
    Tool::Helm,
    Tool::ChartReaders,
];

/// Makes sure of these tools, installing what is missing; the order matters, npm before its packages.
pub(crate) fn run(tools: &[Tool]) -> Result<()> {
    let _one_at_a_time = lock()?;
    debian::ensure(tools)?;
    for tool in tools {
        match tool {
            // Programs of the system, just ensured.
            Tool::Postgres
            | Tool::Rabbit
            | Tool::Haproxy
            | Tool::Node
            | Tool::Chromium
            | Tool::Valgrind
            | Tool::Prometheus
            | Tool::Compose
            | Tool::Podman
            | Tool::Kubectl => {}
            Tool::Anvil => npm::anvil()?,
            Tool::Solc => npm::solc()?,
            Tool::RaidenClient => {
                python::raiden_client()?;
                npm::raiden_client()?;
            }
            Tool::PageLibraries => npm::page_libraries()?,
            Tool::X402Express => npm::x402_express()?,
            Tool::Helm => npm::helm()?,
            Tool::ChartReaders => python::chart_readers()?,
        }
    }
    Ok(())
}

/// Two set-ups at once would trample on each other's half-done installs.
fn lock() -> Result<File> {
    let tools = paths::tools()?;
    fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
    let lock = File::create(tools.join(".lock"))?;
    if lock.try_lock().is_err() {
        println!("==> waiting for another set-up in {}", tools.display());
        lock.lock().context("cannot lock the tools directory")?;
    }
    Ok(lock)
}

/// Whether `dir` holds exactly this version, as its stamp says.
fn is_installed(dir: &Path, version: &str) -> bool {
    fs::read_to_string(dir.join(".version")).is_ok_and(|stamp| stamp == version)
}

/// Written last, so that an interrupted install is done again.
fn stamp(dir: &Path, version: &str) -> Result<()> {
    let file = dir.join(".version");
    fs::write(&file, version).with_context(|| format!("cannot write {}", file.display()))
}

/// An empty directory for a fresh install.
fn emptied(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}
