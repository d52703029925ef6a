//! Keys on disk: a keystore (version 3 JSON, scrypt or PBKDF2) or 32 bytes in hex.
//!
//! A file that others may read, or that belongs to somebody else, is refused: it is no secret any more.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use alloy::signers::k256::elliptic_curve::rand_core::OsRng;
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::hex;
use channel::Key;
use zeroize::Zeroizing;

use crate::EvmError;

/// Reads a key. A keystore needs `password_file`, whose first line is the password; both files must be ours alone
/// (mode 0600 or 0400, owned by the user we run as).
///
/// # Errors
/// [`EvmError::KeyFile`], naming the file and what is wrong with it, never what is in it.
pub fn load(path: &Path, password_file: Option<&Path>) -> Result<Key, EvmError> {
    let text = read_secret(path)?;
    if !text.trim_start().starts_with('{') {
        return parse_hex(text.trim())
            .ok_or_else(|| bad(path, "neither a keystore nor 32 bytes in hex that are a key"));
    }
    let password_file = password_file.ok_or_else(|| bad(path, "a keystore, but no password file is given"))?;
    let password = read_secret(password_file)?;
    let password = password.lines().next().unwrap_or_default();
    let signer = PrivateKeySigner::decrypt_keystore(path, password)
        .map_err(|_| bad(path, "cannot be decrypted: not a version 3 keystore, or the password is wrong"))?;
    let bytes = Zeroizing::new(signer.to_bytes().0);
    Key::from_bytes(&bytes).ok_or_else(|| bad(path, "holds no key"))
}

/// Makes a new key and stores it at `path` (mode 0600), which must not exist: as a keystore with this password, or, without
/// one, as hex.
///
/// # Errors
/// [`EvmError::KeyFile`] when the file exists or cannot be written.
pub fn create(path: &Path, password: Option<&str>) -> Result<Key, EvmError> {
    let signer = PrivateKeySigner::random_with(&mut OsRng);
    let bytes = Zeroizing::new(signer.to_bytes().0);
    let key = Key::from_bytes(&bytes).ok_or_else(|| bad(path, "no key could be made"))?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| bad(path, &format!("cannot be made: {error}")))?;
    let written = match password {
        None => {
            let text = Zeroizing::new(hex::encode_prefixed(bytes.as_slice()));
            writeln!(file, "{}", *text).map_err(|error| error.to_string())
        }
        Some(password) => encrypt_into(path, &bytes, password),
    };
    match written.and_then(|()| file.sync_all().map_err(|error| error.to_string())) {
        Ok(()) => Ok(key),
        Err(error) => {
            // Half a key file is worse than none; if even that fails, the first error is the one to know.
            let _ = std::fs::remove_file(path);
            Err(bad(path, &format!("cannot be written: {error}")))
        }
    }
}

/// Writes a keystore over the empty file at `path`, so that its mode stays.
fn encrypt_into(path: &Path, bytes: &[u8; 32], password: &str) -> Result<(), String> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("its name is no text")?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let stored = PrivateKeySigner::encrypt_keystore(folder, &mut OsRng, bytes, password, Some(name));
    stored.map(|_| ()).map_err(|error| error.to_string())
}

fn parse_hex(text: &str) -> Option<Key> {
    let bytes = Zeroizing::new(hex::decode_to_array::<_, 32>(text).ok()?);
    Key::from_bytes(&bytes)
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, EvmError> {
    secret_file::read(path).map_err(|error| bad(path, &error.to_string()))
}

fn bad(path: &Path, problem: &str) -> EvmError {
    EvmError::KeyFile { path: path.to_owned(), problem: problem.to_owned() }
}
