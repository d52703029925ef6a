//! Runs the original µRaiden clients of 2018, which `cargo xtask setup` installed as they were published.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time;

use crate::paths;

/// The Python that has the client. The directory of the script that it runs is on its path, so that scripts can share code.
pub fn python() -> Result<Command> {
    let mut command = Command::new(paths::raiden_client_python()?);
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "127.0.0.1");
    Ok(command)
}

/// A node that finds the client for JavaScript.
pub fn node() -> Result<Command> {
    let mut command = Command::new("node");
    command.env("NODE_PATH", paths::raiden_client_modules()?);
    Ok(command)
}

/// Runs a program and gives what it printed. One that takes longer than `within`, or fails, is an error that shows its output.
pub async fn run(command: &mut Command, within: Duration) -> Result<String> {
    let name = format!("{:?}", command.as_std().get_program());
    let ended = time::timeout(within, command.kill_on_drop(true).output()).await;
    let Output { status, stdout, stderr } =
        ended.with_context(|| format!("{name} took longer than {within:?}"))?.context("it cannot be started")?;
    let (printed, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if !status.success() {
        bail!("{name} ended with {status}\n{printed}\n{complained}");
    }
    Ok(printed.into_owned())
}
