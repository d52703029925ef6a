//! The layers of the house: below the shells there is no async, no clock, no network, no database.

use anyhow::{Result, ensure};

use crate::run;

/// What says what a payment is, how the EVM says it, how the wire says it, and all of that at once.
const PURE: [&str; 4] = ["channel", "contracts", "protocols", "payment"];

/// What they must not reach, even through others, and why.
const BANNED: [(&str, &str); 12] = [
    ("tokio", "async belongs to the shells"),
    ("async-std", "async belongs to the shells"),
    ("mio", "I/O belongs to the shells"),
    ("hyper", "HTTP belongs to front and payer"),
    ("reqwest", "HTTP belongs to front and payer"),
    ("axum", "HTTP belongs to front"),
    ("sqlx", "the database belongs to ledger"),
    ("tokio-postgres", "the database belongs to ledger"),
    ("deadpool-postgres", "the database belongs to ledger"),
    ("alloy-provider", "the chain belongs to evm"),
    ("alloy-transport", "the chain belongs to evm"),
    ("chrono", "time is an argument"),
];

/// The fronts keep serving while the chain and the broker are away, because they cannot even reach for them.
const FRONT_NEVER: [(&str, &str); 4] = [
    ("evm", "fronts make no RPC call"),
    ("payer", "fronts pay nobody"),
    ("queue", "fronts leave jobs to the ledger"),
    ("lapin", "fronts leave jobs to the ledger"),
];

pub(super) fn check() -> Result<()> {
    let mut found = Vec::new();
    for package in PURE {
        found.extend(edges(package, &BANNED)?);
    }
    found.extend(edges("front", &FRONT_NEVER)?);
    ensure!(found.is_empty(), "the layers of ARCHITECTURE.md are broken:\n    {}", found.join("\n    "));
    Ok(())
}

/// Who among `banned` is in the normal dependencies of `package`.
fn edges(package: &str, banned: &[(&str, &str)]) -> Result<Vec<String>> {
    let tree =
        run::read(run::cargo()?.args(["tree", "-p", package, "-e", "normal", "--prefix", "none", "--format", "{p}"]))?;
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let reached = banned.iter().filter(|(name, _)| names.contains(name));
    Ok(reached
        .map(|(name, why)| {
            format!("{package} reaches {name} ({why}); see `cargo tree -p {package} -e normal -i {name}`")
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{BANNED, edges};

    #[test]
    fn a_crate_that_reaches_the_network_is_found_out() {
        let found = edges("evm", &BANNED).expect("cargo tree knows the crate");
        assert!(found.iter().any(|edge| edge.contains("tokio")), "{found:?}");
    }
}
