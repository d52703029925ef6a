use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::rabbit::{Options, Rabbit};
use testkit::wait;

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a node sees so many others and itself.
async fn sees(rabbit: &Rabbit, node: usize, running: usize) -> Result<()> {
    wait::until("the nodes to see it", PATIENCE, async || {
        let said = rabbit.node(node).control(&["eval", "length(rabbit_nodes:all_running())."]).await?;
        let seen = said.lines().last().unwrap_or_default(); // warnings come before
        ensure!(seen == running.to_string(), "node {node} sees {said}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_that_was_parted_from_the_others_comes_back_to_them() -> Result<()> {
    let more = "cluster_partition_handling = pause_minority\n".to_owned();
    let rabbit = Rabbit::start(Options { nodes: 3, more }).await?;
    sees(&rabbit, 1, 3).await?;
    rabbit.isolate(0, true).await?;
    sees(&rabbit, 1, 2).await?;
    sees(&rabbit, 2, 2).await?;
    rabbit.isolate(0, false).await?;
    for node in 0..3 {
        sees(&rabbit, node, 3).await?;
    }
    Ok(())
}
