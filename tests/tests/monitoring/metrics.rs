//! What each program shows on its second port.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::cluster::{self, Cluster};
use testkit::prometheus::promtool;
use testkit::{http, paths, ports, wait};

use crate::world::{PATIENCE, World, listed, ready};

/// Longer than a watcher or wallet of the test kit's stays the active one without saying so.
const LEASES: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn every_program_describes_its_metrics_as_prometheus_wants_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for program in World::shared().await?.programs() {
        let answer = http::client()?.get(format!("http://{}/metrics", program.health)).send().await?;
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        assert_eq!(kind.as_deref(), Some("text/plain; version=0.0.4"));
        let page = folder.path().join(&program.name);
        fs::write(&page, answer.text().await?)?;
        let (is_fine, said) = promtool(&["check", "metrics"], Some(&page))?;
        ensure!(is_fine, "{}: {said}", program.name);
    }
    Ok(())
}

#[test]
fn every_metric_in_the_code_is_described_shown_to_operators_and_explained() -> Result<()> {
    let code = ["services", "shared"].map(sources).into_iter().collect::<Result<Vec<_>>>()?.concat();
    let made = ["counter!(", "gauge!(", "histogram!("].map(|what| named(&code, what)).concat();
    let described = ["describe_counter!(", "describe_gauge!(", "describe_histogram!("];
    let described = described.map(|what| named(&code, what)).concat();
    ensure!(described.len() > 70, "{} metrics", described.len());
    let shown = [listed("helm/sluice/dashboards", "json")?, listed("helm/sluice/rules", "yaml")?].concat();
    let shown = shown.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?.concat();
    let explained = fs::read_to_string(paths::root().join("docs/operating.md"))?;
    for name in made.iter().chain(&described) {
        ensure!(described.contains(name), "{name} is not described");
        ensure!(shown.contains(name.as_str()), "{name} is on no board and in no rule");
        ensure!(explained.contains(name.as_str()), "{name} is not in docs/operating.md");
    }
    Ok(())
}

/// What our programs are made of, without their tests.
fn sources(folder: &str) -> Result<String> {
    let mut text = String::new();
    let mut folders = vec![paths::root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            match path.file_name().and_then(|name| name.to_str()) {
                Some("tests" | "testkit") => {}
                _ if path.is_dir() => folders.push(path),
                Some(name) if name.ends_with(".rs") => text += &fs::read_to_string(&path)?,
                _ => {}
            }
        }
    }
    Ok(text)
}

/// The names that stand first in calls of this macro.
fn named(code: &str, call: &str) -> Vec<String> {
    let after = code.split(call).skip(1).filter_map(|text| text.trim_start().strip_prefix('"'));
    after.filter_map(|text| Some(text.split_once('"')?.0.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_metric_tells_whose_channel_or_payer_it_is_about() -> Result<()> {
    let world = World::shared().await?;
    let found = wait::until("all series", PATIENCE, async || {
        let found = world.prometheus.query(r#"{job=~".+"}"#).await?;
        ensure!(found.len() > 500, "{} series", found.len());
        Ok(found)
    })
    .await?;
    for series in &found {
        let labels = series["metric"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let ours = labels.filter(|name| !["__name__", "instance", "job"].contains(name));
        let strange: Vec<&str> = ours.filter(|name| !LABELS.split_whitespace().any(|known| known == *name)).collect();
        ensure!(strange.is_empty(), "{series}");
    }
    Ok(())
}

/// Each has few values, whoever comes: none of them is of a client's making.
const LABELS: &str = "account bound chain code connection decision deployment kind le method mode node outcome reason \
                      route state tx version";

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_whether_a_process_is_ready() -> Result<()> {
    let world = World::shared().await?;
    for program in world.programs() {
        let (code, said) = ready(&format!("http://{}", program.health)).await?;
        let lists = said.starts_with("ready\n") && (said.contains("postgresql: ok") || said.contains("database: ok"));
        ensure!(code == Some(0) && lists, "{}: {code:?} {said}", program.name);
    }
    let nobody = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
    let (code, said) = ready(&format!("http://{nobody}")).await?;
    assert!(code == Some(1) && said.contains("nothing answers"), "{code:?} {said}");
    let (code, said) = ready(&world.cluster.url()).await?;
    assert!(code == Some(1) && said.contains("is this the second port"), "{code:?} {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_one_is_active_and_the_other_says_that_it_is_not() -> Result<()> {
    let world = World::shared().await?;
    for name in ["watcher_active", "wallet_active"] {
        world.until_there_is(&format!("count({name}) == 2 and sum({name}) == 1")).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_no_longer_is_the_active_one_shows_nothing_of_what_it_knew() -> Result<()> {
    let options = cluster::Options { fronts: 1, watchers: 2, wallets: 2, ..cluster::Options::default() };
    let mut cluster = Cluster::start(options).await?;
    let names = [cluster.active_watcher().await?.name.clone(), cluster.active_wallet().await?.name.clone()];
    let of = |cluster: &Cluster, name: &str| {
        let mut all = cluster.watchers.iter().chain(&cluster.wallets);
        let found = all.find(|service| service.name == name);
        found.map(|service| service.health).context("it is one of them")
    };
    let known = ["claimable_base_units", "wallet_balance_wei"];
    for (name, metric) in names.iter().zip(known) {
        let page = metrics_of(of(&cluster, name)?).await?;
        ensure!(page.contains(&format!("{metric}{{")) && !page.contains("NaN"), "{page}");
    }
    // They hang for longer than their leases last.
    let hang = cluster.watchers.iter().chain(&cluster.wallets).filter(|service| names.contains(&service.name));
    for service in hang.clone() {
        service.process()?.pause()?;
    }
    tokio::time::sleep(LEASES).await;
    for service in hang {
        service.process()?.resume()?;
    }
    for (name, metric) in names.iter().zip(known) {
        let health = of(&cluster, name)?;
        wait::until("it to see that its time is over", PATIENCE, async || {
            let page = metrics_of(health).await?;
            let line = page.lines().find(|line| line.starts_with(&format!("{metric}{{")));
            ensure!(line.is_some_and(|line| line.ends_with(" NaN")), "{line:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// What a second port shows.
async fn metrics_of(health: SocketAddr) -> Result<String> {
    Ok(http::client()?.get(format!("http://{health}/metrics")).send().await?.text().await?)
}
