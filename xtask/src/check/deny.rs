//! cargo-deny, in the version that `deny.toml` is written for.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, run};

const VERSION: &str = "0.20.2";
const ADVISORIES: &str = "https://github.com/RustSec/advisory-db";

/// Licences, bans and sources always; advisories where their database can be reached.
pub(super) fn check() -> Result<()> {
    let deny = program()?;
    let run = |what: &[&str]| {
        let mut command = Command::new(&deny);
        command.current_dir(paths::root()).args(["--log-level", "error", "check"]).args(what);
        run::shown(&mut command)
    };
    run(&["licenses", "bans", "sources"])?;
    if run::succeeds(
        Command::new("timeout").args(["15", "git", "ls-remote", ADVISORIES, "HEAD"]).env("GIT_TERMINAL_PROMPT", "0"),
    ) {
        run(&["advisories"])?;
    } else {
        println!("    advisories not checked: {ADVISORIES} cannot be reached from here");
    }
    Ok(())
}

/// The cargo-deny on PATH when its version fits, otherwise one of our own, beside cargo's other caches because it
/// outlives any target directory.
fn program() -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))).context("HOME is not set")?;
    let root = home.join(format!("cargo-deny-{VERSION}"));
    let ours = root.join("bin/cargo-deny");
    let fits = |file: &PathBuf| {
        run::read(Command::new(file).arg("--version")).is_ok_and(|said| said == format!("cargo-deny {VERSION}"))
    };
    if let Some(found) = [Some(ours.clone()), paths::on_path("cargo-deny")].into_iter().flatten().find(fits) {
        return Ok(found);
    }
    println!("    cargo-deny {VERSION} is not installed: building it into {} (minutes, once)", root.display());
    let mut install = Command::new("cargo");
    install.args(["install", "cargo-deny", "--version", VERSION, "--locked", "--root"]).arg(&root);
    install.current_dir(paths::root()).env_remove("CARGO_TARGET_DIR");
    run::logged(&mut install, "cargo-deny")?;
    Ok(ours)
}
