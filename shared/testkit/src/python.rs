//! Runs the original µRaiden client of 2018, which `cargo xtask setup` installed as it was published.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time;

use crate::paths;

/// Runs a script in the client's Python and gives what it printed. The scripts' own directory is on its path, so that
/// they can share code; a script that takes longer than `within`, or fails, is an error that shows its output.
pub async fn run(script: &Path, arguments: &[&str], within: Duration) -> Result<String> {
    let mut command = Command::new(paths::raiden_client_python()?);
    command.arg(script).args(arguments).kill_on_drop(true);
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "127.0.0.1");
    let name = script.display();
    let ended = time::timeout(within, command.output()).await;
    let Output { status, stdout, stderr } =
        ended.with_context(|| format!("{name} took longer than {within:?}"))?.context("cannot start Python")?;
    let (printed, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if !status.success() {
        bail!("{name} ended with {status}\n{printed}\n{complained}");
    }
    Ok(printed.into_owned())
}
