//! The Helm chart: helm's own lint, for each kind of values, and what is made from it. The tests do the rest.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::{chart, paths};

/// Lints, renders `k8s/` and the README's table anew, and compares.
pub(super) fn check() -> Result<()> {
    lint(&[])?;
    for entry in fs::read_dir(paths::root().join("helm/sluice/ci")).context("cannot list helm/sluice/ci")? {
        lint(&[Path::new("--values"), &entry?.path()])?;
    }
    let stale = chart::stale()?;
    ensure!(stale.is_empty(), "not what the chart makes: {}; `cargo xtask chart` writes them", stale.join(", "));
    Ok(())
}

/// What it finds is on its standard output.
fn lint(args: &[&Path]) -> Result<()> {
    let output =
        chart::helm()?.args(["lint", "--strict", "helm/sluice"]).args(args).output().context("cannot start helm")?;
    ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout).trim());
    Ok(())
}
