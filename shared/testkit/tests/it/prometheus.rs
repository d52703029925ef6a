use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::prometheus::{Prometheus, promtool};
use testkit::{scratch, wait};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_scrapes_what_it_is_told_to_and_evaluates_rules() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let page = "# HELP apples_total Eaten.\n# TYPE apples_total counter\napples_total 3\n";
    let router = axum::Router::new().route("/metrics", axum::routing::get(move || async move { page }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = scratch::Scratch::new("rules")?;
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, "groups: [{ name: g, rules: [{ record: 'apples:doubled', expr: 2 * apples_total }] }]\n")?;
    let (is_fine, said) = promtool(&["check", "rules", &rules.to_string_lossy()], None)?;
    ensure!(is_fine, "{said}");

    let prometheus = Prometheus::start(&[("tree", vec![address])], &[rules]).await?;
    let found = wait::until("the rule's value", PATIENCE, async || {
        let found = prometheus.query("apples:doubled").await?;
        ensure!(!found.is_empty(), "nothing yet");
        Ok(found)
    })
    .await?;
    assert_eq!((&found[0]["metric"]["job"], &found[0]["value"][1]), (&"tree".into(), &"6".into()));
    ensure!(prometheus.names().await?.contains(&"apples_total".to_owned()));
    ensure!(prometheus.query("sum(").await.is_err(), "nonsense is no expression");
    assert_eq!(prometheus.rules().await?["groups"][0]["rules"][0]["health"], "ok");
    Ok(())
}
