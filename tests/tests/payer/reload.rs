//! The operator and a front that takes over its configuration.

use std::fs;
use std::process::Output;

use anyhow::{Context, Result};
use testkit::cluster::{self, Cluster};
use testkit::paths;

/// `sluice config reload` of the front with this second port.
async fn reload(ops: &str) -> Result<(Option<i32>, String)> {
    let mut command = std::process::Command::new(paths::program("sluice")?);
    command.args(["config", "reload", ops]);
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok((status.code(), String::from_utf8([stdout, stderr].concat())?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_has_a_front_take_over_its_configuration_or_says_why_it_does_not() -> Result<()> {
    let cluster = Cluster::start(cluster::Options { fronts: 1, ..cluster::Options::default() }).await?;
    let front = cluster.fronts.first().context("a front")?;
    let ops = format!("http://{:?}", front.health);
    assert_eq!(reload(&ops).await?, (Some(0), "nothing changed\n".to_owned()));

    let text = fs::read_to_string(&cluster.config)?;
    let file = "path = \"/free\"";
    assert!(text.contains(file), "{text}");
    fs::write(&cluster.config, text.replace(file, &format!("{file}\nmaintenance = \"back at noon\"")))?;
    assert_eq!(reload(&ops).await?, (Some(0), "front.routes[/free].maintenance\n".to_owned()));
    let answer = reqwest::get(format!("{}/free", cluster.url())).await?;
    assert_eq!(answer.status().as_u16(), 503);

    fs::write(&cluster.config, text.replace("single_node = true", "single_node = true\npool_size = 9"))?;
    let (code, said) = reload(&ops).await?;
    assert_eq!((code, said.trim()), (Some(1), "needs a restart: database.pool_size"));
    let (code, said) = reload(&format!("http://{}", front.listen)).await?;
    assert!(code == Some(1) && said.contains("is this the second port of a front"), "{said}");
    Ok(())
}
