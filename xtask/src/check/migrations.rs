//! Migrations run on databases we never see: once committed, a file stays as it is.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::{paths, run};

/// Compares each migration with what it was when it was added.
pub(super) fn check() -> Result<()> {
    if !run::succeeds(git().args(["rev-parse", "HEAD"])) {
        println!("    no history here to compare with");
        return Ok(());
    }
    let log = ["log", "--diff-filter=A", "--no-renames", "--name-only", "--format=commit %H", "--", "migrations"];
    let log = run::read(git().args(log))?;
    let mut changed = Vec::new();
    for (file, commit) in added(&log) {
        if !run::succeeds(git().args(["diff", "--quiet", commit, "--", file])) {
            changed.push(file);
        }
    }
    ensure!(changed.is_empty(), "changed after they were committed: {}; add a new migration", changed.join(", "));
    Ok(())
}

/// Each file and the commit that added it, the first one if it was added again; the log is newest first.
fn added(log: &str) -> BTreeMap<&str, &str> {
    let mut commit = "";
    let mut files = BTreeMap::new();
    for line in log.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("commit ") {
            Some(hash) => commit = hash,
            None => _ = files.insert(line, commit),
        }
    }
    files
}

fn git() -> Command {
    let mut command = Command::new("git");
    command.current_dir(paths::root());
    command
}

#[cfg(test)]
mod tests {
    use super::added;

    #[test]
    fn a_file_is_compared_with_its_first_version() {
        let log = "commit c\n\nmigrations/2.sql\nmigrations/1.sql\ncommit a\n\nmigrations/1.sql\n";
        let files: Vec<_> = added(log).into_iter().collect();
        assert_eq!(files, [("migrations/1.sql", "a"), ("migrations/2.sql", "c")]);
    }
}
