//! `up`, `demo`, `down`: set up, build the programs, and hand over to testkit's `cluster`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{paths, run, setup};

/// Runs the main job.
pub(crate) fn demo(keep: bool) -> Result<ExitCode> {
    prepare()?;
    start(if keep { &["demo", "--keep"] } else { &["demo"] })
}

/// Starts the cluster and leaves it running.
pub(crate) fn up() -> Result<ExitCode> {
    prepare()?;
    start(&["up"])
}

/// Stops what was left running. Needs no set-up: what runs was built and installed before.
pub(crate) fn down() -> Result<ExitCode> {
    if !paths::target()?.join("debug/cluster").is_file() {
        println!("nothing was ever started from {}", paths::target()?.display());
        return Ok(ExitCode::SUCCESS);
    }
    start(&["down"])
}

fn prepare() -> Result<()> {
    setup::run(&setup::CLUSTER)?;
    run::step("build the programs (a first build takes minutes)", || {
        run::shown(run::cargo()?.args(["build", "--workspace", "--bins"]))
    })
}

fn start(args: &[&str]) -> Result<ExitCode> {
    let program = paths::target()?.join("debug/cluster");
    let status =
        run::at_home(&program).args(args).status().with_context(|| format!("cannot start {}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
