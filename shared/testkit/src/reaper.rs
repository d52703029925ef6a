//! Nothing we start outlives us, even when we are killed.
//!
//! A small shell, one per process of ours, holds the list of what is running and waits for the end of its input: the
//! pipe's other end is ours alone, so it ends with us, whatever ended us. Then the shell stops what is still there.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

const SCRIPT: &str = r#"
groups=
while IFS= read -r line; do
  what=${line#* }
  case $line in
    watch\ *) groups="$groups $what" ;;
    forget\ *) left=; for group in $groups; do [ "$group" = "$what" ] || left="$left $group"; done; groups=$left ;;
    remove\ *) set -- "$@" "$what" ;;
    spare\ *) for dir; do shift; [ "$dir" = "$what" ] || set -- "$@" "$dir"; done ;;
  esac
done
for group in $groups; do kill -TERM "-$group"; done
tries=50
while [ $tries -gt 0 ]; do
  alive=
  for group in $groups; do kill -0 "-$group" && alive=yes; done
  [ -n "$alive" ] || break
  tries=$((tries - 1))
  sleep 0.1
done
for group in $groups; do kill -KILL "-$group"; done
[ $# -eq 0 ] || rm -rf -- "$@"
"#;

static SHELL: Mutex<Option<Child>> = Mutex::new(None);

/// From now on, this process group ends with us.
pub(crate) fn watch(group: u32) -> Result<()> {
    tell(&format!("watch {group}"))
}

/// This group has ended, or is to outlive us.
pub(crate) fn forget(group: u32) -> Result<()> {
    tell(&format!("forget {group}"))
}

/// This directory is removed after us.
pub(crate) fn remove_after_us(directory: &Path) -> Result<()> {
    tell(&format!("remove {}", directory.display()))
}

/// This directory is to outlive us.
pub(crate) fn spare(directory: &Path) -> Result<()> {
    tell(&format!("spare {}", directory.display()))
}

fn tell(line: &str) -> Result<()> {
    let mut shell = SHELL.lock().unwrap_or_else(PoisonError::into_inner);
    let shell = match &mut *shell {
        Some(shell) => shell,
        none => none.insert(start()?),
    };
    let pipe = shell.stdin.as_mut().context("the reaper has no input")?;
    pipe.write_all(format!("{line}\n").as_bytes()).context("the reaper has gone")
}

/// In a group of its own, so that a Ctrl-C meant for us does not end it.
fn start() -> Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SCRIPT, "reaper"]).current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().context("cannot start /bin/sh")
}
