//! Packages for Python, each set in a virtual environment of its own.
//!
//! The original µRaiden client (PyPI, 2018) is as it was published. It needs no compiler: what its dependencies once built in C,
//! `tests/raiden-client/mr_compat.py` stands in for.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{emptied, is_installed, stamp};
use crate::{paths, run};

const CLIENT: &str = "microraiden==0.2.6";
/// Its setup.py still knows how to build packages of 2018.
const BUILD: [&str; 2] = ["setuptools==65.7.0", "wheel==0.47.0"];
/// These declare requirements that contradict each other; the list names all they need in versions that work together.
const WITHOUT_THEIR_WISHES: [&str; 9] =
    ["bitcoin", "eth-abi", "eth-keyfile", "eth-keys", "eth-tester", "eth-utils", "ethereum", "rlp", "web3"];

/// The client at `tools/raiden-client/bin/python`, and the contracts it brings at `original/contracts.json`.
pub(super) fn raiden_client() -> Result<()> {
    let ours = paths::root().join("tests/raiden-client");
    let list = read(&ours.join("requirements.txt"))?;
    let shim = read(&ours.join("mr_compat.py"))?;
    let version = format!("{CLIENT}\n{}\n{list}\n{shim}", BUILD.join("\n"));
    let dir = paths::tools()?.join("raiden-client");
    if is_installed(&dir, &version) {
        return Ok(());
    }
    run::step(&format!("install the original client: {CLIENT}"), || {
        emptied(&dir)?;
        run::logged(Command::new(interpreter()?).args(["-m", "venv"]).arg(&dir), "client-venv")?;
        let pins = list.lines().filter(|line| line.contains("=="));
        let (stubborn, easy): (Vec<&str>, Vec<&str>) = pins.partition(|pin| is_stubborn(pin));
        run::logged(pip(&dir, &[]).args(BUILD), "client-build")?;
        run::logged(pip(&dir, &[]).args(easy), "client-requirements")?;
        run::logged(pip(&dir, &["--no-deps", "--no-build-isolation"]).args(stubborn).arg(CLIENT), "client")?;
        let packages = PathBuf::from(run::read(
            Command::new(dir.join("bin/python")).args(["-c", "import site; print(site.getsitepackages()[0])"]),
        )?);
        fs::write(packages.join("mr_compat.py"), &shim)?;
        fs::write(packages.join("mr_compat.pth"), "import mr_compat\n")?;
        let original = paths::target()?.join("original");
        fs::create_dir_all(&original)?;
        fs::copy(packages.join("microraiden/data/contracts.json"), original.join("contracts.json"))
            .context("the client brought no contracts.json")?;
        run::read(Command::new(dir.join("bin/python")).args(["-c", "import microraiden.examples.echo_server"]))
            .context("the client is installed but does not load")?;
        stamp(&dir, &version)
    })
}

/// What reads the chart beside helm, at `tools/chart-readers/bin`: what `tests/chart/requirements.txt` pins by hash.
pub(super) fn chart_readers() -> Result<()> {
    let list = paths::root().join("tests/chart/requirements.txt");
    let version = read(&list)?;
    let dir = paths::tools()?.join("chart-readers");
    if is_installed(&dir, &version) {
        return Ok(());
    }
    run::step(&format!("install what reads the chart, which {} pins", list.display()), || {
        emptied(&dir)?;
        run::logged(Command::new(interpreter()?).args(["-m", "venv"]).arg(&dir), "chart-readers-venv")?;
        let by_hash = ["--require-hashes", "--only-binary", ":all:", "--requirement"];
        run::logged(pip(&dir, &by_hash).arg(&list), "chart-readers")?;
        stamp(&dir, &version)
    })
}

/// A Python that all of them run on (3.10 or 3.11) and that can make virtual environments.
pub(super) fn interpreter() -> Result<PathBuf> {
    const TEST: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 10), (3, 11)))";
    env::var_os("PYTHON")
        .map(PathBuf::from)
        .into_iter()
        .chain(["python3.11", "python3", "/usr/bin/python3", "python3.10"].map(PathBuf::from))
        .find(|python| run::succeeds(Command::new(python).args(["-c", TEST])))
        .context("no Python 3.10 or 3.11 with venv found; install one, or name it in the variable PYTHON")
}

/// pip that sees no other program: setup.py of the client would run npm in a folder that was never published.
fn pip(dir: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(dir.join("bin/pip"));
    command.env("PATH", dir.join("bin")).args(["install", "--disable-pip-version-check"]).args(options);
    command
}

fn is_stubborn(pin: &str) -> bool {
    pin.split_once("==").is_some_and(|(name, _)| WITHOUT_THEIR_WISHES.contains(&name))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
