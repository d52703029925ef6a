//! Files that only we may read: keys, passwords.
//!
//! A file that others may read, or that belongs to somebody else, is refused: it is no secret any more. Root may lend one to
//! our group, as Kubernetes does.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

/// The most that is read of a secret file, in bytes.
pub const MAX: u64 = 64 << 10;

/// Why a file is no secret. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// There is none, or it cannot be read as text.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// A folder, a device, a pipe.
    #[error("not a file")]
    NotAFile,
    /// Not 0600 or 0400, nor lent.
    #[error("mode {0:04o}: others must not read it, so make it 0600 or 0400")]
    Open(u32),
    /// Its owner can read it, whatever its mode.
    #[error("belongs to user {owner}, but we run as user {us}")]
    SomebodyElses {
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
}

/// Reads a small text file that is ours alone: mode 0600 or 0400, owned by the user we run as; or lent to us, mode 0440,
/// owned by root, in a group of ours, which is how Kubernetes mounts a Secret for an `fsGroup`. At most [`MAX`] bytes are read.
///
/// # Errors
/// [`SecretFileError`], which does not name the file.
pub fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let (mode, owner, us) = (metadata.mode() & 0o7777, metadata.uid(), nix::unistd::geteuid().as_raw());
    if !metadata.is_file() {
        return Err(SecretFileError::NotAFile);
    }
    let is_lent = mode == 0o440 && owner == 0 && is_group_of_ours(metadata.gid());
    if !is_lent && mode != 0o600 && mode != 0o400 {
        return Err(SecretFileError::Open(mode));
    }
    if !is_lent && owner != us {
        return Err(SecretFileError::SomebodyElses { owner, us });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn is_group_of_ours(group: u32) -> bool {
    let further = nix::unistd::getgroups().unwrap_or_default();
    further.into_iter().chain([nix::unistd::getegid()]).any(|ours| ours.as_raw() == group)
}
