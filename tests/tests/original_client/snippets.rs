//! What docs/paying.md tells users of the original clients to write, run as it stands there.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use alloy_primitives::{Address, hex};
use anyhow::{Context, Result};
use channel::Status;
use testkit::cluster::Cluster;
use testkit::{original, paths};

use crate::world::{self, CLOSES, PATIENCE, account, balances, cluster};

/// The fenced text that follows this comment in docs/paying.md.
fn snippet(comment: &str) -> Result<String> {
    let doc = fs::read_to_string(paths::root().join("docs/paying.md"))?;
    let after = doc.split_once(&format!("<!-- {comment} -->\n```")).map(|(_, after)| after);
    let (_, text) = after.and_then(|after| after.split_once('\n')).with_context(|| format!("no {comment}"))?;
    Ok(text.split_once("```\n").context("a fence without end")?.0.to_owned())
}

/// A folder with these snippets, and a key file.
pub fn folder(files: &[&str], secret: &[u8; 32]) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for file in files {
        fs::write(folder.path().join(file), snippet(&format!("file: {file}"))?)?;
    }
    let key = folder.path().join("payer.key");
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?;
    fs::write(&key, hex::encode_prefixed(secret))?;
    Ok(folder)
}

/// Three files were paid, and the channel is settled to the unit.
async fn assert_paid_and_closed(cluster: &Cluster, payer: Address, before: (i128, i128)) -> Result<()> {
    let (channel, epoch) = world::ledger(cluster, payer, |channel| channel.facts.status == Status::Closed).await?;
    assert_eq!((channel.facts.claimed.units(), epoch.spent.units()), (30, 30));
    let after = balances(cluster, payer).await?;
    assert_eq!((before.0 - after.0, after.1 - before.1), (30, 30));
    Ok(())
}

#[tokio::test]
async fn the_python_of_the_documentation_pays_and_prints_what_it_says() -> Result<()> {
    let _turn = CLOSES.lock().await;
    let cluster = cluster().await?;
    let (secret, payer) = account(cluster, "the documentation's Python").await?;
    let (folder, before) = (folder(&["pay.py"], &secret.0)?, balances(cluster, payer).await?);
    let mut python = original::python()?;
    python.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("raiden-client")).current_dir(folder.path());
    python.args(["pay.py", &cluster.chain.url(), "payer.key", &cluster.contracts.channels.to_string()]);
    let printed = original::run(python.arg(format!("{}/file.txt", cluster.url())), PATIENCE).await?;
    assert_eq!(printed, snippet("prints: pay.py")?);
    assert_paid_and_closed(cluster, payer, before).await
}

#[tokio::test]
async fn the_javascript_of_the_documentation_pays_and_prints_what_it_says() -> Result<()> {
    let _turn = CLOSES.lock().await;
    let cluster = cluster().await?;
    let (secret, payer) = account(cluster, "the documentation's JavaScript").await?;
    let (folder, before) = (folder(&["wallet.js", "pay.js"], &secret.0)?, balances(cluster, payer).await?);
    let mut node = original::node()?;
    node.current_dir(folder.path()).args(["pay.js", &cluster.chain.url(), "payer.key"]);
    let printed = original::run(node.arg(format!("{}/file.txt", cluster.url())), PATIENCE).await?;
    assert_eq!(printed, snippet("prints: pay.js")?);
    assert_paid_and_closed(cluster, payer, before).await
}

#[test]
fn the_package_json_of_the_documentation_is_what_is_tested() -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("raiden-client/package.json");
    assert_eq!(snippet("file: package.json")?, fs::read_to_string(file)?);
    Ok(())
}
