//! A disk slower than this machine's, for one server: its flushes go through `slow_disk.c`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::run;
use crate::paths;

/// Where it lies in the server's directory.
const LIBRARY: &str = "slow_disk.so";

/// Compiles it, for a server that starts in `dir`.
pub(super) fn build(dir: &Path) -> Result<()> {
    let source = paths::root().join("shared/testkit/src/postgres/slow_disk.c");
    let library = dir.join(LIBRARY);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
    run(&mut compiler).context("a slow disk takes a C compiler, `cc` (on Debian: `apt-get install gcc libc6-dev`)")?;
    Ok(fs::set_permissions(library, Permissions::from_mode(0o755))?) // the server may be another user
}

/// Makes every flush of a program that starts in the directory of [`build`] take so much longer.
pub(super) fn load(command: &mut Command, by: Duration) {
    // From where it starts: the list is split at spaces and colons, which the whole path may have.
    command.env("LD_PRELOAD", format!("./{LIBRARY}")).env("SLOW_DISK_US", by.as_micros().to_string());
}
