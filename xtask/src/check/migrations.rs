//! Migrations run on databases we never see: once committed, a file is never edited, renamed or deleted.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::{paths, run};

pub(super) fn check() -> Result<()> {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(paths::root()).args(args);
        command
    };
    if !run::succeeds(&mut git(&["rev-parse", "HEAD"])) {
        println!("    no history here to compare with");
        return Ok(());
    }
    const TOUCHED: [&str; 4] = ["--diff-filter=MDR", "--no-renames", "--name-only", "--format="];
    let committed = run::read(git(&["log"]).args(TOUCHED).args(["--", "migrations"]))?;
    let uncommitted =
        run::read(&mut git(&["diff", "HEAD", "--diff-filter=MDR", "--no-renames", "--name-only", "--", "migrations"]))?;
    let mut files: Vec<&str> = committed.lines().chain(uncommitted.lines()).filter(|line| !line.is_empty()).collect();
    files.sort_unstable();
    files.dedup();
    ensure!(files.is_empty(), "changed after they were committed: {}; add a new migration instead", files.join(", "));
    Ok(())
}
