use std::fs;

use anyhow::{Context, Result};
use testkit::anvil::Anvil;
use testkit::cluster::{Cluster, Contracts, Source};

/// Adds a deployment to the configuration of a cluster of which no program runs yet: contracts of its own on `chain`,
/// the cluster's or another one, and everything that the upstream has at `/{name}/…`, for one unit. `more` is TOML for its section.
///
/// # Errors
/// When the contracts cannot be deployed, or the configuration not be written.
pub async fn add_deployment(cluster: &Cluster, name: &str, chain: &Anvil, more: &str) -> Result<Contracts> {
    let contracts = Contracts::deploy(chain, Source::Ours).await?;
    let Contracts { token, channels, payee, challenge_period, from_block, .. } = &contracts;
    let mut text = fs::read_to_string(&cluster.config).context("the cluster has a configuration")?;
    if !text.contains("deployment = \"main\"") {
        text = text.replace("[[front.routes]]\n", "[[front.routes]]\ndeployment = \"main\"\n");
    }
    text += &format!(
        r#"
[deployments.{name}]
kind = "raiden"
chain_id = {chain_id}
rpc_url = "{rpc_url}"
contract = "{channels}"
token = "{token}"
payee = "{payee}"
challenge_period = {challenge_period}
from_block = {from_block}
{more}

[[front.routes]]
deployment = "{name}"
prefix = "/{name}"
upstream = "{upstream}"
strip_prefix = true
price = 1
"#,
        chain_id = chain.chain_id(),
        rpc_url = chain.url(),
        upstream = cluster.upstream.url(),
    );
    fs::write(&cluster.config, text).context("the configuration can be written")?;
    Ok(contracts)
}
