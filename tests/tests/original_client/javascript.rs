//! `@raiden_network/microraiden` 0.2.0 from npm: `raiden-client/scenario.js`, with the wallet of docs/paying.md.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::original;

use crate::snippets::folder;
use crate::world::{self, PATIENCE, account, cluster};

#[tokio::test]
async fn it_finds_its_channel_learns_its_balance_pays_on_and_closes_alone() -> Result<()> {
    let cluster = cluster().await?;
    let (secret, payer) = account(cluster, "JavaScript that lost its state").await?;
    let folder = folder(&["wallet.js"], &secret.0)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("raiden-client/scenario.js");
    std::fs::copy(script, folder.path().join("scenario.js"))?;
    let mut node = original::node()?;
    node.current_dir(folder.path()).args(["scenario.js", &cluster.chain.url(), "payer.key"]);
    let printed = original::run(node.arg(format!("{}/file.txt", cluster.url())), PATIENCE).await?;
    let said: Value = serde_json::from_str(&printed).with_context(|| format!("it printed {printed}"))?;

    assert_eq!((&said["stored"], &said["found"]), (&json!(false), &json!(true)), "{said}");
    assert_eq!(said["refused"], json!([402, true, "20"]), "{said}");
    assert_eq!((&said["lie"], &said["verified"]), (&json!(false), &json!(true)), "{said}");
    assert_eq!(said["closed"], json!(["closed", 50, 30]), "{said}");
    let statuses = said["statuses"].as_array().context("statuses")?;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{said}");
    let (_, epoch) = world::ledger(cluster, payer, |channel| channel.facts.status != channel::Status::Open).await?;
    assert_eq!(epoch.spent.units(), 30);
    Ok(())
}
