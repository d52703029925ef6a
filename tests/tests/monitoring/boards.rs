//! The dashboards of `helm/sluice/dashboards`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::{paths, wait};

use crate::expression::{filled_in, metrics};
use crate::world::{PATIENCE, World, listed};

/// Metrics that a cluster like ours does not have, and where they come from.
pub const ELSEWHERE: [(&str, &str); 7] = [
    // Without [front.tls] there are no certificates,
    ("front_tls_handshakes_total", "services/front/src/metrics.rs"),
    ("front_tls_certificates_total", "services/front/src/metrics.rs"),
    ("front_tls_certificate_expiry_timestamp_seconds", "services/front/src/metrics.rs"),
    // without a callback nobody is asked for prices,
    ("front_price_questions_total", "services/front/src/metrics.rs"),
    // without [outbound] we pay nobody,
    ("wallet_outbound_low", "services/wallet/src/refill/watch.rs"),
    ("wallet_outbound_left", "services/wallet/src/refill/outbound.rs"),
    // and as long as all goes well no round comes to nothing.
    ("watcher_failed_rounds_total", "services/watcher/src/gauges.rs"),
];
/// Panels that show nothing as long as nobody closes dishonestly.
const EMPTY: [&str; 1] = ["Left to answer"];

/// The dashboards, by the names of their files.
fn boards() -> Result<BTreeMap<String, Value>> {
    let read = |file: &std::path::PathBuf| {
        let name = file.file_stem().and_then(|name| name.to_str()).context("a name")?;
        let board = serde_json::from_str(&fs::read_to_string(file)?).with_context(|| format!("{}", file.display()))?;
        Ok((name.to_owned(), board))
    };
    listed("helm/sluice/dashboards", "json")?.iter().map(read).collect()
}

fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    list(&board["panels"]).filter(|panel| panel["type"] != "row")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_something_and_asks_for_no_metric_that_nobody_has() -> Result<()> {
    let world = World::shared().await?;
    let (mut asked, mut named) = (0, BTreeSet::new());
    for (name, board) in &boards()? {
        for panel in panels(board) {
            let title = panel["title"].as_str().context("a title")?;
            for target in list(&panel["targets"]) {
                let expression = filled_in(target["expr"].as_str().context("an expression")?);
                let (metrics, place) = (metrics(&expression), format!("{name}: {title}: {expression}"));
                ensure!(!metrics.is_empty(), "{place}: it names no metric");
                let is_elsewhere = metrics.iter().any(|metric| ELSEWHERE.iter().any(|(name, _)| name == metric));
                if is_elsewhere || EMPTY.contains(&title) {
                    world.prometheus.query(&expression).await.context(place)?;
                } else {
                    world.until_there_is(&expression).await.context(place)?;
                }
                (asked, named) = (asked + 1, &named | &metrics);
            }
        }
    }
    ensure!(asked > 100, "{asked} expressions");
    all_are_known(world, &named).await
}

/// Each of these metrics was scraped, or is one of those that are [`ELSEWHERE`].
pub async fn all_are_known(world: &World, named: &BTreeSet<String>) -> Result<()> {
    let elsewhere = |name: &str| ELSEWHERE.iter().any(|(there, _)| *there == name);
    wait::until("all metrics", PATIENCE, async || {
        let known: BTreeSet<String> = world.prometheus.names().await?.into_iter().collect();
        let unknown: Vec<_> = named.iter().filter(|name| !known.contains(*name) && !elsewhere(name)).collect();
        ensure!(unknown.is_empty(), "nobody has {unknown:?}");
        Ok(())
    })
    .await
}

#[test]
fn the_metrics_that_are_elsewhere_are_in_the_code() -> Result<()> {
    for (name, file) in ELSEWHERE {
        let text = fs::read_to_string(paths::root().join(file))?;
        ensure!(text.contains(&format!("\"{name}\"")), "{name} is not in {file}");
    }
    Ok(())
}

#[test]
fn dashboards_have_names_of_their_own_and_leave_the_data_source_to_grafana() -> Result<()> {
    let boards = boards()?;
    assert_eq!(boards.keys().map(String::as_str).collect::<Vec<_>>(), ["chain", "jobs", "money", "service", "wallet"]);
    for (name, board) in &boards {
        assert_eq!(board["uid"], format!("sluice-{name}"));
        assert_eq!(board["templating"]["list"][0]["type"], "datasource", "{name}");
        let mut ids = BTreeSet::new();
        for panel in list(&board["panels"]) {
            ensure!(ids.insert(panel["id"].as_u64()), "{name}: two panels are number {}", panel["id"]);
            for of in list(&panel["targets"]).chain([panel]).filter(|_| panel["type"] != "row") {
                assert_eq!(of["datasource"]["uid"], "${datasource}", "{name}: {}", panel["title"]);
            }
        }
        for variable in list(&board["templating"]["list"]).skip(1) {
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{name}: {}", variable["name"]);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_variable_of_a_dashboard_has_something_to_choose_from() -> Result<()> {
    let world = World::shared().await?;
    let mut checked = 0;
    for (name, board) in &boards()? {
        for variable in list(&board["templating"]["list"]).skip(1) {
            let question = variable["query"]["query"].as_str().context("a question")?;
            let values = question.strip_prefix("label_values(").and_then(|text| text.strip_suffix(')'));
            let (metric, label) = values.and_then(|text| text.split_once(", ")).with_context(|| question.to_owned())?;
            let found = world.until_there_is(metric).await?;
            ensure!(found.iter().all(|series| series["metric"][label].is_string()), "{name}: {question}");
            checked += 1;
        }
    }
    ensure!(checked >= 5, "{checked} variables");
    Ok(())
}
