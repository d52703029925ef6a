//! The program `wallet`: see the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::process::run(
        "sluice-wallet",
        "Signs closings and answers dishonest closes: the only holder of the payee's key.",
        wallet::run,
    )
}
