//! Keys on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use evm::keyfile;
use tempfile::TempDir;

const HEX: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

fn file(folder: &TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("the folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
    path
}

fn problem(path: &Path, password: Option<&Path>) -> String {
    keyfile::load(path, password).expect_err("it should be refused").to_string()
}

#[test]
fn reads_hex_with_and_without_prefix() {
    let folder = TempDir::new().unwrap();
    for text in [HEX.to_owned(), format!("{}\n", &HEX[2..])] {
        let path = file(&folder, "key", &text, 0o600);
        assert_eq!(keyfile::load(&path, None).unwrap().address().to_string(), ADDRESS);
    }
}

#[test]
fn refuses_a_file_that_others_may_read() {
    let folder = TempDir::new().unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660, 0o700] {
        let path = file(&folder, "key", HEX, mode);
        let said = problem(&path, None);
        assert!(said.contains(&format!("mode {mode:04o}")), "{said}");
        assert!(!said.contains("ac0974"), "{said}");
    }
    assert!(keyfile::load(&file(&folder, "key", HEX, 0o400), None).is_ok());
}

#[test]
fn refuses_a_file_of_somebody_else() {
    if !nix::unistd::geteuid().is_root() {
        return; // only root can give a file away
    }
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "key", HEX, 0o600);
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    assert!(problem(&path, None).contains("belongs to user 65534"));
}

#[test]
fn refuses_what_is_no_key_without_repeating_it() {
    let folder = TempDir::new().unwrap();
    let zero = "00".repeat(32);
    for text in ["", "hello", "0x1234", zero.as_str(), &HEX[..65]] {
        let said = problem(&file(&folder, "key", text, 0o600), None);
        assert!(said.contains("neither a keystore nor 32 bytes in hex"), "{said}");
        assert!(text.is_empty() || !said.contains(text), "{said}");
    }
    assert!(problem(&folder.path().join("absent"), None).contains("cannot be read"));
    assert!(problem(folder.path(), None).contains("not a file"));
}

#[test]
fn a_created_keystore_opens_with_its_password_only() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.json");
    let key = keyfile::create(&path, Some("correct horse")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&path).unwrap().contains("\"version\":3"));

    let right = file(&folder, "right", "correct horse\n", 0o600);
    assert_eq!(keyfile::load(&path, Some(&right)).unwrap().address(), key.address());
    let wrong = file(&folder, "wrong", "battery staple\n", 0o600);
    assert!(problem(&path, Some(&wrong)).contains("password is wrong"));
    assert!(problem(&path, None).contains("no password file"));
    let open = file(&folder, "open", "correct horse\n", 0o644);
    assert!(problem(&path, Some(&open)).contains("open: mode 0644"));
}

#[test]
fn a_created_key_never_overwrites_a_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    let key = keyfile::create(&path, None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(keyfile::create(&path, None).is_err());
    assert!(keyfile::create(&path, Some("password")).is_err());
    assert_eq!(keyfile::load(&path, None).unwrap().address(), key.address());
}
