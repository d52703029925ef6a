//! Which files are secrets.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};

use nix::unistd::{getegid, geteuid};
use secret_file::read;

#[test]
fn only_what_is_ours_alone_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "open sesame\n").unwrap();
    for (mode, is_secret) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o700, false)] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match read(&path) {
            Ok(text) => assert!(is_secret && *text == "open sesame\n", "{mode:o}"),
            Err(error) => {
                assert_eq!((is_secret, error.to_string().contains(&format!("mode {mode:04o}"))), (false, true))
            }
        }
    }
    assert_eq!(read(folder.path()).unwrap_err().to_string(), "not a file");
    assert!(read(&folder.path().join("nothing")).unwrap_err().to_string().contains("cannot be read"));
}

/// Only root can lend, so elsewhere there is less to see.
#[test]
fn what_root_lends_to_our_group_is_read_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "open sesame\n").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
    if !geteuid().is_root() {
        assert!(read(&path).unwrap_err().to_string().contains("mode 0440"), "it is our own");
        return;
    }
    let ours = getegid().as_raw();
    for (owner, group, is_lent) in [(0, ours, true), (0, 54_321, false), (54_321, ours, false)] {
        chown(&path, Some(owner), Some(group)).unwrap();
        assert_eq!(read(&path).is_ok(), is_lent, "{owner}:{group}");
    }
}
