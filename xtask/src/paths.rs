//! Where things are: the clone, its target directory, and the tools that live there.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the clone.
pub(crate) fn root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The target directory this program was built into. `CARGO_TARGET_DIR` may have put it outside the clone; tools and
/// data then live there too. `testkit::paths::target_dir` finds the same place the same way.
pub(crate) fn target() -> Result<PathBuf> {
    let exe = env::current_exe().context("this program cannot find its own file")?;
    exe.ancestors()
        .find(|dir| dir.join(".rustc_info.json").is_file())
        .map(Path::to_path_buf)
        .with_context(|| format!("{} is in no target directory; start it as `cargo xtask`", exe.display()))
}

/// Where `setup` puts what it installs.
pub(crate) fn tools() -> Result<PathBuf> {
    Ok(target()?.join("tools"))
}

/// The first program of that name on PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
