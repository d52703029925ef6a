//! Nothing we start outlives us, even when we are killed.
//!
//! A small shell, one per process of ours, holds the list of what is running and waits for the end of its input: the
//! pipe's other end is ours alone, so it ends with us, whatever ended us. Then the shell stops what is still there.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result};

const SCRIPT: &str = r#"
groups=
while IFS= read -r line; do
  case $line in
    groups*) groups=${line#groups} ;;
    remove\ *) set -- "$@" "${line#remove }" ;;
  esac
done
for group in $groups; do kill -TERM "-$group"; done
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  alive=
  for group in $groups; do kill -0 "-$group" && alive=yes; done
  [ -n "$alive" ] || break
  sleep 0.1
done
for group in $groups; do kill -KILL "-$group"; done
[ $# -eq 0 ] || rm -rf -- "$@"
"#;

struct Reaper {
    shell: Option<Child>,
    groups: BTreeSet<u32>,
    directories: Vec<PathBuf>,
}

static REAPER: Mutex<Reaper> = Mutex::new(Reaper { shell: None, groups: BTreeSet::new(), directories: Vec::new() });

/// From now on, this process group ends with us.
pub(crate) fn watch(group: u32) -> Result<()> {
    tell(|reaper| {
        reaper.groups.insert(group);
    })
}

/// This group has ended, or is to outlive us.
pub(crate) fn forget(group: u32) -> Result<()> {
    tell(|reaper| {
        reaper.groups.remove(&group);
    })
}

/// This directory is removed after us.
pub(crate) fn remove_after_us(directory: &Path) -> Result<()> {
    tell(|reaper| reaper.directories.push(directory.to_path_buf()))
}

fn tell(change: impl FnOnce(&mut Reaper)) -> Result<()> {
    let mut reaper = REAPER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    change(&mut reaper);
    let mut message: String = "groups".into();
    for group in &reaper.groups {
        message += &format!(" {group}");
    }
    message.push('\n');
    for directory in std::mem::take(&mut reaper.directories) {
        message += &format!("remove {}\n", directory.display());
    }
    let shell = match &mut reaper.shell {
        Some(shell) => shell,
        none => none.insert(start()?),
    };
    let pipe = shell.stdin.as_mut().context("the reaper has no input")?;
    pipe.write_all(message.as_bytes()).context("the reaper has gone")
}

/// In a group of its own, so that a Ctrl-C meant for us does not end it.
fn start() -> Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SCRIPT, "reaper"]).current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().context("cannot start /bin/sh")
}
