//! The watcher's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::process::run("sluice-watcher", "Follows chains and keeps the ledger true", watcher::run)
}
