//! The watcher's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::process::run("Follows chains and keeps the ledger true", watcher::run)
}
