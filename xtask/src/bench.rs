//! `cargo xtask bench`: builds what is measured as it is shipped, and hands over to `loadtest`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{paths, run, setup};

/// Measures; `args` go to `loadtest bench` as they are. Without any, everything is measured and kept.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    setup::run(&setup::BENCH)?;
    // One after the other: built together, the front would have the features that only the load test asks for.
    for package in ["front", "loadtest"] {
        run::step(&format!("build {package} for release (a first build takes minutes)"), || {
            run::shown(run::cargo()?.args(["build", "--release", "--package", package]))
        })?;
    }
    let program = paths::target()?.join("release/loadtest");
    let mut command = run::at_home(&program);
    command.arg("bench").args(args);
    if args.is_empty() {
        command.args(["--out", "loadtest/results"]);
    }
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
