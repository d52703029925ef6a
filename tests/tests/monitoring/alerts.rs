//! The alerts of `helm/sluice/rules`: Prometheus understands them, they fire when they should (`tests/alerts`), a healthy
//! cluster is silent, and `docs/runbooks.md` says what to do.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::prometheus::{Prometheus, promtool};
use testkit::{paths, wait};

use crate::boards::all_are_known;
use crate::expression::metrics;
use crate::world::{PATIENCE, World, listed, rules};

/// The lines of all these files that begin so, without it.
fn lines_after(files: &[std::path::PathBuf], start: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        found.extend(text.lines().filter_map(|line| Some(line.trim().strip_prefix(start)?.to_owned())));
    }
    Ok(found)
}

/// The names of all alerts.
fn alerts() -> Result<BTreeSet<String>> {
    let names = lines_after(&rules()?, "- alert: ")?;
    let all: BTreeSet<String> = names.iter().cloned().collect();
    ensure!(all.len() == names.len() && all.len() > 40, "{} names of {} alerts", all.len(), names.len());
    Ok(all)
}

#[test]
fn prometheus_understands_every_rule() -> Result<()> {
    for file in rules()? {
        let (is_fine, said) = promtool(&["check", "rules", "--lint-fatal", &file.to_string_lossy()], None)?;
        ensure!(is_fine, "{said}");
    }
    Ok(())
}

#[test]
fn every_alert_fires_when_it_should_and_is_silent_when_it_should_be() -> Result<()> {
    let files = listed("tests/alerts", "yaml")?;
    for file in &files {
        let (is_fine, said) = promtool(&["test", "rules", &file.to_string_lossy()], None)?;
        ensure!(is_fine, "{said}");
    }
    let cases: BTreeSet<String> = lines_after(&files, "- name: ")?.into_iter().collect();
    for alert in alerts()? {
        for case in ["fires", "is silent"] {
            ensure!(cases.contains(&format!("{alert} {case}")), "there is no case in which {alert} {case}");
        }
    }
    Ok(())
}

#[test]
fn every_alert_has_a_section_in_the_runbooks_and_every_section_an_alert() -> Result<()> {
    let sections = lines_after(&[paths::root().join("docs/runbooks.md")], "### ")?;
    assert_eq!(sections.into_iter().collect::<BTreeSet<_>>(), alerts()?);
    Ok(())
}

/// All rules, with how each of them does.
async fn rules_of(prometheus: &Prometheus) -> Result<Vec<Value>> {
    let groups = prometheus.rules().await?;
    let groups = groups["groups"].as_array().context("a list of groups")?;
    Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_ask_for_what_there_is_and_a_healthy_cluster_is_silent() -> Result<()> {
    let world = World::shared().await?;
    // Some have waited for something while the cluster started.
    let rules = wait::until("all alerts to be silent", PATIENCE, async || {
        let rules = rules_of(&world.prometheus).await?;
        let loud = rules.iter().find(|rule| rule["type"] == "alerting" && rule["state"] != "inactive");
        ensure!(loud.is_none(), "{loud:?}");
        Ok(rules)
    })
    .await?;
    let mut named = BTreeSet::new();
    for rule in &rules {
        let text = |key: &str| rule[key].as_str().with_context(|| format!("no {key}: {rule}"));
        assert_eq!(text("health")?, "ok", "{rule}");
        named.extend(metrics(text("query")?));
        if text("type")? == "recording" {
            world.until_there_is(text("name")?).await?;
            continue;
        }
        let (severity, annotations) = (&rule["labels"]["severity"], &rule["annotations"]);
        ensure!(severity == "page" || severity == "ticket", "{rule}");
        ensure!(annotations["summary"].as_str().is_some_and(|summary| summary.len() > 10), "{rule}");
        let runbook = format!("docs/runbooks.md#{}", text("name")?.to_lowercase());
        assert_eq!(annotations["runbook_url"], runbook, "{rule}");
    }
    ensure!(rules.len() > 50, "{} rules", rules.len());
    all_are_known(world, &named).await
}
