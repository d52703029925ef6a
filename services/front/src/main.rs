//! The process: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::process::run("sluice-front", "Takes paid requests, lets paid ones through.", front::run)
}
