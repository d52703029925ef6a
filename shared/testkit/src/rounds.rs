//! How long a test that could go on for ever goes on: short by default, long with `SLUICE_SOAK=1`; and which dice it
//! rolls: new ones each time, the printed ones again with `SLUICE_SEED`.

use std::env;

use anyhow::{Context, Result};

/// Whether the long forms are asked for.
pub fn is_soak() -> bool {
    env::var("SLUICE_SOAK").is_ok_and(|value| value == "1")
}

/// So many, by the form that is asked for.
pub fn rounds<T>(short: T, long: T) -> T {
    if is_soak() { long } else { short }
}

/// The seed of this run, printed.
pub fn seed() -> Result<u64> {
    let seed = match env::var("SLUICE_SEED") {
        Ok(seed) => seed.parse().context("SLUICE_SEED is a number")?,
        Err(_) => rand::random(),
    };
    println!("SLUICE_SEED={seed}");
    Ok(seed)
}
