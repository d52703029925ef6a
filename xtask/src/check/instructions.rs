//! What a payment costs, in instructions. Times differ from machine to machine and from run to run; with one compiler this
//! number does not, so a change that makes payments dearer is seen before anybody measures anything.
//!
//! callgrind counts in `one_payment` (loadtest/payment). What libsecp256k1 takes is a figure of its own: it is most of it,
//! and would hide what becomes of ours. Both are compared with `loadtest/instructions.toml`, for this toolchain.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{paths, run, setup};

const RECORD: &str = "loadtest/instructions.toml";
/// Enough for an average over signatures, and done within a second.
const PAYMENTS: u64 = 200;
/// The function of `one_payment` that pays and does nothing else.
const COUNTED: &str = "--toggle-collect=*pay_all*";
/// Hundredths that a figure may move by without a word.
const TOLERANCE: u64 = 5;

pub(super) fn check() -> Result<()> {
    if let Err(error) = setup::run(&setup::COUNT) {
        println!("    instructions not counted: {error:#}");
        return Ok(());
    }
    let figures = count()?;
    println!("    {figures}");
    let toolchain = toolchain()?;
    let record = fs::read_to_string(paths::root().join(RECORD)).with_context(|| format!("cannot read {RECORD}"))?;
    let Some(before) = recorded(&record, &toolchain)? else {
        println!("    not compared: {RECORD} knows no {toolchain}; to have it compared, write there");
        println!("        [\"{toolchain}\"]");
        figures.pair().iter().for_each(|(name, now)| println!("        {name} = {now}"));
        return Ok(());
    };
    let notes = compare(figures.pair(), before).with_context(|| {
        let profile = profile().unwrap_or_default();
        format!(
            "a payment takes more instructions (`callgrind_annotate --inclusive=yes {}` says where)",
            profile.display()
        )
    })?;
    notes.iter().for_each(|note| println!("    {note}"));
    Ok(())
}

/// Instructions for one payment.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    libsecp256k1: u64,
    keccak: u64,
    others: u64,
}

impl Figures {
    /// What is compared, by its names in the record.
    fn pair(&self) -> [(&'static str, u64); 2] {
        [("libsecp256k1", self.libsecp256k1), ("rest", self.keccak + self.others)]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { libsecp256k1, keccak, others } = self;
        let all = libsecp256k1 + keccak + others;
        write!(f, "{all} instructions per payment: libsecp256k1 {libsecp256k1}, keccak {keccak}, others {others}")
    }
}

/// Where callgrind writes.
fn profile() -> Result<PathBuf> {
    Ok(paths::target()?.join("one_payment.callgrind"))
}

fn count() -> Result<Figures> {
    run::shown(run::cargo()?.args(["build", "--release", "--quiet", "-p", "payment", "--bin", "one_payment"]))?;
    let profile = profile()?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind", COUNTED]).arg(format!("--callgrind-out-file={}", profile.display()));
    run::read(valgrind.arg(paths::target()?.join("release/one_payment")).arg(PAYMENTS.to_string()))?;
    let annotate = ["--threshold=100", "--auto=no", "--show-percs=no"];
    let by_function = run::read(Command::new("callgrind_annotate").args(annotate).arg(&profile))?;
    let figures = split(&by_function, PAYMENTS);
    ensure!(figures.libsecp256k1 > 0 && figures.others > 0, "callgrind saw no payments in {}", profile.display());
    Ok(figures)
}

/// Reads callgrind_annotate's list: `1,234  ???:rustsecp256k1_v0_14_fe_sqrt [/target/release/one_payment]`.
fn split(by_function: &str, payments: u64) -> Figures {
    let mut figures = Figures::default();
    for line in by_function.lines() {
        let Some((count, place)) = line.trim_start().split_once("  ") else { continue };
        let Ok(count) = count.replace(',', "").parse::<u64>() else { continue };
        let function = place.split(" [").next().unwrap_or_default();
        match function {
            "PROGRAM TOTALS" => {}
            _ if function.contains("secp256k1") => figures.libsecp256k1 += count,
            _ if function.contains("keccak") => figures.keccak += count,
            _ => figures.others += count,
        }
    }
    let Figures { libsecp256k1, keccak, others } = figures;
    Figures { libsecp256k1: libsecp256k1 / payments, keccak: keccak / payments, others: others / payments }
}

/// As rustup names it: `1.95.0-x86_64-unknown-linux-gnu`.
fn toolchain() -> Result<String> {
    let said = run::read(run::at_home("rustc").arg("-vV"))?;
    let line = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).context("rustc -vV says no version");
    Ok(format!("{}-{}", line("release: ")?, line("host: ")?))
}

/// What the record says about a toolchain, if anything.
fn recorded(record: &str, toolchain: &str) -> Result<Option<[u64; 2]>> {
    let record: toml::Table = record.parse().with_context(|| format!("{RECORD} is no TOML"))?;
    let Some(figures) = record.get(toolchain) else { return Ok(None) };
    let figure = |name: &str| {
        let figure = figures.get(name).and_then(|figure| figure.as_integer()).and_then(|n| u64::try_from(n).ok());
        figure.with_context(|| format!("{RECORD} has no {name} for {toolchain}"))
    };
    Ok(Some([figure("libsecp256k1")?, figure("rest")?]))
}

/// Notes on what got cheaper.
///
/// # Errors
/// What got dearer, and what to do about it.
fn compare(now: [(&str, u64); 2], before: [u64; 2]) -> Result<Vec<String>> {
    let (mut dearer, mut cheaper) = (Vec::new(), Vec::new());
    for ((name, now), before) in now.into_iter().zip(before) {
        if now * 100 > before * (100 + TOLERANCE) {
            dearer.push(format!("{name} went from {before} to {now}"));
        } else if now * 100 < before * (100 - TOLERANCE) {
            cheaper.push(format!(
                "{name} went from {before} to {now}: write `{name} = {now}` into {RECORD}, so that it stays"
            ));
        }
    }
    let dearer = dearer.join(", ");
    ensure!(dearer.is_empty(), "{dearer}; if it has to be so, write that into {RECORD}");
    Ok(cheaper)
}

#[cfg(test)]
mod tests {
    use super::{Figures, compare, recorded, split};

    const RECORD: &str = "[\"1.95.0-x86_64-unknown-linux-gnu\"]\nlibsecp256k1 = 1_000\nrest = 200\n";

    fn now(libsecp256k1: u64, rest: u64) -> [(&'static str, u64); 2] {
        [("libsecp256k1", libsecp256k1), ("rest", rest)]
    }

    #[test]
    fn a_payment_that_got_dearer_by_more_than_a_twentieth_fails() {
        let error = compare(now(1_000, 211), [1_000, 200]).expect_err("5.5 % more").to_string();
        assert!(error.contains("rest went from 200 to 211") && !error.contains("libsecp256k1"), "{error}");
        assert!(compare(now(1_051, 200), [1_000, 200]).is_err());
        assert_eq!(compare(now(1_050, 210), [1_000, 200]).expect("just within"), [""; 0]);
    }

    #[test]
    fn a_payment_that_got_cheaper_is_to_be_recorded() {
        let notes = compare(now(1_000, 189), [1_000, 200]).expect("less is never wrong");
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("`rest = 189`"), "{notes:?}");
    }

    #[test]
    fn an_unknown_toolchain_has_no_figures_and_a_known_one_has_both() {
        let known = |toolchain| recorded(RECORD, toolchain).expect("well formed");
        assert_eq!(known("1.95.0-x86_64-unknown-linux-gnu"), Some([1_000, 200]));
        assert_eq!(known("1.96.0-x86_64-unknown-linux-gnu"), None);
        assert!(recorded("[a]\nrest = 200\n", "a").is_err());
    }

    #[test]
    fn functions_are_counted_where_they_belong() {
        let list = "Ir          file:function\n--------\n\
                    1,000  PROGRAM TOTALS\n\
                    \x20 600  ???:rustsecp256k1_v0_14_fe_sqrt [/keccak/release/one_payment]\n\
                    \x20 260  ???:keccak::backends::soft::keccak_p [/keccak/release/one_payment]\n\
                    \x20 140  ./malloc/./malloc/malloc.c:_int_free [/usr/lib/libc.so.6]\n";
        assert_eq!(split(list, 2), Figures { libsecp256k1: 300, keccak: 130, others: 70 });
    }
}
