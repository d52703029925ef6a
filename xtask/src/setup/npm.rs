//! Programs that come as npm packages. Install scripts never run.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{emptied, is_installed, stamp};
use crate::{paths, run};

/// Named with its platform: npm before version 10 skips the optional package that `@foundry-rs/anvil` would pull in.
const ANVIL: &str = "@foundry-rs/anvil-linux-amd64@1.7.1";

/// The development chain, at `tools/anvil/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil`.
pub(super) fn anvil() -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let there = paths::on_path("anvil").is_some();
        ensure!(there, "{ANVIL} is for Linux on x86-64; on another machine put an `anvil` of that version on PATH");
        return Ok(());
    }
    let dir = paths::tools()?.join("anvil");
    if is_installed(&dir, ANVIL) {
        return Ok(());
    }
    run::step(&format!("install the development chain: {ANVIL}"), || {
        emptied(&dir)?;
        fs::write(dir.join("package.json"), "{\"private\": true}\n")?;
        run::logged(npm().args(["install", "--no-save", ANVIL]).current_dir(&dir), "anvil")?;
        stamp(&dir, ANVIL)
    })
}

/// The Solidity compiler that `contracts/package-lock.json` pins, at `tools/contracts/node_modules`.
pub(super) fn solc() -> Result<()> {
    pinned("the Solidity compiler", &paths::root().join("contracts"), "contracts")
}

/// The original client for JavaScript that `tests/raiden-client/package-lock.json` pins, at
/// `tools/raiden-client-js/node_modules`. Two of its packages ask for others from git; their entries in the lock file ask
/// for the versions that the overrides give instead, because npm before version 10 cannot override what is from git.
pub(super) fn raiden_client() -> Result<()> {
    pinned("the original client for JavaScript", &paths::root().join("tests/raiden-client"), "raiden-client-js")
}

/// What `tests/pages/package-lock.json` pins, at `tools/pages/node_modules`.
pub(super) fn page_libraries() -> Result<()> {
    pinned("what pages in tests load", &paths::root().join("tests/pages"), "pages")
}

/// The official x402 server that `loadtest/peers/package-lock.json` pins, at `tools/x402-express/node_modules`.
pub(super) fn x402_express() -> Result<()> {
    pinned("the x402 server for Express", &paths::root().join("loadtest/peers"), "x402-express")
}

/// The helm that `tests/chart/package-lock.json` pins, at `tools/chart/node_modules/.bin/helm`.
pub(super) fn helm() -> Result<()> {
    pinned("what renders the chart", &paths::root().join("tests/chart"), "chart")
}

/// What the lock file in a directory pins, into `tools/NAME`.
fn pinned(what: &str, from: &Path, name: &str) -> Result<()> {
    let files = ["package.json", "package-lock.json"];
    let mut version = String::new();
    for file in files {
        let file = from.join(file);
        version += &fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let dir = paths::tools()?.join(name);
    if is_installed(&dir, &version) {
        return Ok(());
    }
    run::step(&format!("install {what} that {} pins", from.join(files[1]).display()), || {
        emptied(&dir)?;
        for file in files {
            fs::copy(from.join(file), dir.join(file)).with_context(|| format!("cannot copy {file}"))?;
        }
        run::logged(npm().arg("ci").current_dir(&dir), name)?;
        stamp(&dir, &version)
    })
}

fn npm() -> Command {
    let mut command = Command::new("npm");
    command.args(["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
    command
}
