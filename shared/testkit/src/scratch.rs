//! A server's own directory: gone with the server, kept (and named) when the test failed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{paths, reaper};

/// A directory under [`paths::data_dir`].
#[derive(Debug)]
pub struct Scratch {
    dir: Option<TempDir>,
    path: PathBuf,
}

impl Scratch {
    /// A new, empty directory whose name begins with `name`.
    pub fn new(name: &str) -> Result<Self> {
        let home = paths::data_dir()?;
        let open = Permissions::from_mode(0o755); // a server that runs as another user must get in
        let dir = tempfile::Builder::new().prefix(&format!("{name}-")).permissions(open).tempdir_in(&home);
        let dir = dir.with_context(|| format!("cannot create a directory in {}", home.display()))?;
        let path = dir.path().to_path_buf();
        reaper::remove_after_us(&path)?;
        Ok(Self { dir: Some(dir), path })
    }

    /// An existing directory that outlives us.
    pub fn lasting(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { dir: None, path: path.to_path_buf() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it on disk.
    pub fn keep(&mut self) {
        if let Some(dir) = self.dir.take() {
            self.path = dir.keep();
            let _ = reaper::spare(&self.path); // then it is removed after all
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking() && self.dir.is_some() {
            self.keep();
            eprintln!("kept for a look: {}", self.path.display());
        }
    }
}
