//! `cargo xtask check`: everything about the code that needs no server. Each step counts as one.

mod chart;
mod deny;
mod instructions;
mod layers;
mod migrations;

use std::process::Command;

use anyhow::Result;

use crate::tally::Tally;
use crate::{paths, run, setup};

type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 9] = [
    ("check: format", format),
    ("check: lints (clippy, warnings are errors)", clippy),
    ("check: documentation builds without warnings", docs),
    ("check: licences, bans and sources (cargo-deny)", deny::check),
    ("check: the pure crates stay pure", layers::check),
    ("check: the contract artefacts come from the sources", artefacts),
    ("check: migrations are only ever added", migrations::check),
    ("check: a payment takes no more instructions than it did", instructions::check),
    ("check: the chart has no faults, and what is made from it is up to date", chart::check),
];

/// Runs every step, also after one has failed.
pub(crate) fn run() -> Result<Tally> {
    setup::run(&setup::CHECK)?;
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for (what, step) in STEPS {
        match run::step(what, step) {
            Ok(()) => tally += Tally::success(),
            Err(error) => {
                eprintln!("    {error:#}");
                tally += Tally::failure();
                failed.push(what);
            }
        }
    }
    for what in failed {
        println!("FAILED  {what}");
    }
    Ok(tally)
}

fn format() -> Result<()> {
    run::shown(run::cargo()?.args(["fmt", "--all", "--check"]))
}

/// Everything, and the rules without libsecp256k1.
fn clippy() -> Result<()> {
    for scope in [["--workspace", "--all-targets"], ["--package=channel", "--no-default-features"]] {
        run::shown(run::cargo()?.arg("clippy").args(scope).args(["--quiet", "--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// With the private items, because the docs are for those who work here; so docs may link to them.
fn docs() -> Result<()> {
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"];
    run::shown(run::cargo()?.args(doc).env("RUSTDOCFLAGS", flags))
}

/// Compiles the Solidity sources with the pinned compiler and compares with what is committed.
fn artefacts() -> Result<()> {
    let modules = paths::tools()?.join("contracts/node_modules");
    let mut node = Command::new("node");
    run::shown(node.args(["contracts/build.mjs", "--check"]).env("NODE_PATH", modules).current_dir(paths::root()))
}
