//! The load test itself, for a moment and unoptimised: it measures, its books agree, and it writes what it found.

use std::fs;
use std::process::Command;

use serde_json::Value;

/// One of each kind: charged at once, over HTTP/2, without commits, without a front, called and captured, streamed, one channel for all.
const SOME: [&str; 8] =
    ["static", "HTTP/2", "no commit", "ledger", "ledger, held", "proxied", "streamed", "hot channel"];

#[test]
fn a_short_run_sells_everything_it_asks_for_and_says_what_it_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["bench", "--rounds", "1", "--seconds", "0.5", "--out"]).arg(folder.path());
    for name in SOME {
        command.args(["--only", name]);
    }
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));

    let results = fs::read_to_string(folder.path().join("results.json")).expect("results");
    let results: Value = serde_json::from_str(&results).expect("JSON");
    let medians = results["medians"].as_array().expect("medians");
    assert_eq!(medians.len(), SOME.len(), "{said}");
    for figure in medians {
        let statuses = figure["statuses"].as_object().expect("statuses");
        assert!(statuses.keys().eq(["200"]), "{figure}");
        assert!(figure["per_second"].as_f64().is_some_and(|rate| rate > 100.0), "{figure}");
    }
    let page = fs::read_to_string(folder.path().join("README.md")).expect("a page");
    assert!(SOME.iter().all(|name| page.contains(&format!("| {name} |"))), "{page}");
}

#[test]
fn a_scenario_that_is_not_there_is_refused_and_those_that_are_are_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let output = command.args(["bench", "--only", "nothing like it"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("`hot channel`"), "{said}");
}
