//! What the documents say about the tests is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testkit::paths;

/// The names of the tests in each file, by the file's name without its ending.
type Tests = BTreeMap<String, BTreeSet<String>>;

fn collect(folder: &Path, tests: &mut Tests) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, tests)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).context("a name of bytes")?;
            tests.entry(stem.to_owned()).or_default().extend(names(&fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// The functions that follow a `#[test]` or `#[tokio::test]`.
fn names(source: &str) -> impl Iterator<Item = String> {
    let after = source.split("#[test]").skip(1).chain(source.split("#[tokio::test").skip(1));
    after.filter_map(|text| Some(text.split_once("fn ")?.1.split_once('(')?.0.to_owned()))
}

/// What stands in backticks and names a test: `file::test`.
fn named(document: &str) -> BTreeSet<(&str, &str)> {
    let quoted = document.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split_once("::")).filter(|(file, _)| *file != "file").collect()
}

fn tests_in(folders: &[&str]) -> Result<Tests> {
    let mut tests = Tests::new();
    folders.iter().try_for_each(|folder| collect(&paths::root().join(folder), &mut tests))?;
    Ok(tests)
}

#[test]
fn every_test_that_the_page_on_microraiden_names_is_there() -> Result<()> {
    let document = fs::read_to_string(paths::root().join("docs/microraiden.md"))?;
    let (named, tests) = (named(&document), tests_in(&["services", "shared", "tests/tests"])?);
    assert!(named.len() > 80, "{} tests are named", named.len());
    let is_there = |(file, test): &(&str, &str)| tests.get(*file).is_some_and(|tests| tests.contains(*test));
    let missing: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "not there: {missing:#?}");
    Ok(())
}

#[test]
fn every_test_that_was_written_for_the_page_on_microraiden_is_named_on_it() -> Result<()> {
    let document = fs::read_to_string(paths::root().join("docs/microraiden.md"))?;
    let named = named(&document);
    let tests = tests_in(&["services/front/tests/front/microraiden", "tests/tests/original_client"])?;
    let all = tests.iter().flat_map(|(file, tests)| tests.iter().map(move |test| (file.as_str(), test.as_str())));
    let unnamed: Vec<_> = all.filter(|name| !named.contains(name)).collect();
    assert!(unnamed.is_empty(), "not named: {unnamed:#?}");
    Ok(())
}

#[test]
fn every_row_of_what_is_away_names_a_test_that_is_there() -> Result<()> {
    let document = fs::read_to_string(paths::root().join("docs/degraded.md"))?;
    let tests = tests_in(&["tests/tests"])?;
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 8, "{} rows", rows.len());
    for row in rows {
        let named = named(row);
        assert!(!named.is_empty(), "shown by nothing: {row}");
        let missing = named.iter().find(|(file, test)| !tests.get(*file).is_some_and(|tests| tests.contains(*test)));
        assert_eq!(missing, None, "not there");
    }
    Ok(())
}

#[test]
fn every_test_of_a_row_is_named_by_one() -> Result<()> {
    let document = fs::read_to_string(paths::root().join("docs/degraded.md"))?;
    let (named, tests) = (named(&document), tests_in(&["tests/tests/degraded"])?);
    let all = tests.iter().flat_map(|(file, tests)| tests.iter().map(move |test| (file.as_str(), test.as_str())));
    let unnamed: Vec<_> = all.filter(|name| !named.contains(name)).collect();
    assert!(unnamed.is_empty(), "not named: {unnamed:#?}");
    Ok(())
}
