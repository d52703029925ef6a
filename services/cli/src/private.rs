//! Files that hold vouchers: readable by their owner alone, and under their name only when they are whole.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::report::Failure;

/// Makes the file that is to become `path`; one that an earlier attempt left is written anew.
pub(crate) fn create(path: &Path) -> anyhow::Result<(PathBuf, File)> {
    if path.exists() {
        return Err(Failure::new(format!("{} is there already", path.display()), "name another file").into());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    if part.exists() {
        fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    Ok((part.clone(), file.with_context(|| format!("cannot create {}", part.display()))?))
}

/// Gives the whole file its name.
pub(crate) fn name(part: &Path, path: &Path) -> anyhow::Result<()> {
    fs::rename(part, path).with_context(|| format!("cannot rename {} to {}", part.display(), path.display()))
}
