//! A cluster of processes, started as Kubernetes would start what the chart renders.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result};
use serde_json::json;
use testkit::cluster::{Cluster, Options};

use crate::helm::rendered;
use crate::kubernetes::{Node, values};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chart_renders_sells_and_its_test_buys_something() -> Result<()> {
    let cluster = Cluster::prepare(Options::default()).await?;
    let mut values = values(&cluster, &json!([{ "path": "/page", "upstream": cluster.upstream.url(), "price": 10 }]));
    values["config"]["front"]["timeouts"] = json!({ "drain_delay_ms": 100, "grace_ms": 2_000 });
    values["helmTest"]["paid"] =
        json!({ "enabled": true, "existingSecret": "payer", "maxPrice": 10, "maxDeposit": 50, "deposit": 50 });
    let node = Node::new(rendered(&values.to_string())?, &cluster)?;

    let migrated = node.migrate().await?;
    assert!(migrated.status.success(), "{}", said(&migrated));
    let (mut watcher, mut wallet, mut front) =
        (node.start("watcher", 0)?, node.start("wallet", 0)?, node.start("front", 0)?);
    for service in [&mut watcher, &mut wallet, &mut front] {
        service.ready().await?;
    }
    front.sells().await?;

    let test = &node.rendering.find("Pod", "test").context("no test")?["spec"];
    let volumes = node.volumes("test", test)?;
    assert!(Path::new(&volumes.local("/secrets/payer/key")).is_file());
    let paid =
        [("paid", "200 OK: paid 10; 10 of 50 used, 40 left"), ("paid", "200 OK: paid 10; 20 of 50 used, 30 left")];
    for (container, expected) in [("unpaid", "price     10")].into_iter().chain(paid) {
        // The next test's Pod remembers nothing, and finds the channel on chain.
        let _ = fs::remove_dir_all(volumes.local("/state"));
        let mut containers = test["containers"].as_array().into_iter().flatten();
        let container = containers.find(|it| it["name"] == container).context("no container")?;
        let ran = volumes.run(container, &front.url()).await?;
        assert!(ran.status.success() && said(&ran).contains(expected), "{}", said(&ran));
    }
    front.stop().await?;
    Ok(())
}

fn said(ran: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}
