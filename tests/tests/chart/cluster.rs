//! A cluster of processes, started as Kubernetes would start what the chart renders.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, Options, PAYEE, PAYER, Service};
use testkit::paths;

use crate::helm::{Rendering, rendered};

/// What stands in Secrets, by their names and items.
type Secrets = BTreeMap<(&'static str, &'static str), String>;

/// One machine with the volumes of all Pods.
struct Node {
    rendering: Rendering,
    secrets: Secrets,
    volumes: TempDir,
}

impl Node {
    /// What a Pod reads at `/secrets` and `/state` is in our folder instead.
    fn local(&self, text: &str) -> String {
        let folder = self.volumes.path().display();
        text.replace("/secrets/", &format!("{folder}/")).replace("/state", &format!("{folder}/state"))
    }

    /// Mounts the Secrets of a Pod: lent by root, if that is who we are.
    fn mount(&self, pod: &Value) -> Result<()> {
        for volume in pod["volumes"].as_array().into_iter().flatten() {
            let Some(secret) = volume["secret"]["secretName"].as_str() else { continue };
            let folder = self.volumes.path().join(volume["name"].as_str().context("a volume has a name")?);
            fs::create_dir_all(&folder)?;
            let mode = if nix::unistd::geteuid().is_root() { 0o440 } else { 0o400 };
            for ((_, item), text) in self.secrets.iter().filter(|((name, _), _)| *name == secret) {
                fs::write(folder.join(item), text)?;
                fs::set_permissions(folder.join(item), Permissions::from_mode(mode))?;
            }
        }
        Ok(())
    }

    fn variables(&self, container: &Value) -> Result<Vec<(String, String)>> {
        let variables = container["env"].as_array().into_iter().flatten();
        let value = |variable: &Value| {
            let of = &variable["valueFrom"]["secretKeyRef"];
            let item = (of["name"].as_str().unwrap_or_default(), of["key"].as_str().unwrap_or_default());
            let text = variable["value"].as_str().or_else(|| self.secrets.get(&item).map(String::as_str));
            let text = text.with_context(|| format!("no Secret for {variable}"))?;
            Ok((variable["name"].as_str().context("no name")?.to_owned(), self.local(text)))
        };
        variables.map(value).collect()
    }

    /// Starts the only container of a Deployment's Pods.
    async fn start(&self, component: &str) -> Result<Service> {
        let deployment = self.rendering.find("Deployment", component).context("no Deployment")?;
        let pod = &deployment["spec"]["template"]["spec"];
        self.mount(pod)?;
        let map = pod["volumes"][0]["configMap"]["name"].as_str().context("no configuration")?;
        let text = self.rendering.object("ConfigMap", map)["data"]["sluice.toml"].as_str().context("an empty one")?;
        let config = self.volumes.path().join(component).with_extension("toml");
        fs::write(&config, self.local(text))?;
        let variables = self.variables(&pod["containers"][0])?;
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let program = pod["containers"][0]["command"][0].as_str().context("no command")?;
        let mut service = Service::program(program, 0, &config, &variables)?;
        service.ready().await?;
        Ok(service)
    }

    /// Runs a container that ends; what it calls `http://sluice-front:80` is this front.
    async fn run(&self, container: &Value, front: &str) -> Result<Output> {
        let mut command = Command::new(paths::program(container["command"][0].as_str().context("no command")?)?);
        for argument in container["args"].as_array().into_iter().flatten() {
            let argument = argument.as_str().context("an argument is text")?;
            command.arg(argument.replace("http://sluice-front:80", front));
        }
        command.env_clear().envs(self.variables(container)?);
        Ok(tokio::task::spawn_blocking(move || command.output()).await??)
    }
}

fn values(cluster: &Cluster) -> Value {
    let contracts = &cluster.contracts;
    json!({
        "config": {
            "database": { "single_node": true },
            "deployments": [{
                "name": "main", "kind": "raiden", "chain_id": cluster.chain.chain_id(), "rpc_url": cluster.chain.url(),
                "contract": contracts.channels.to_string(), "token": contracts.token.to_string(),
                "payee": contracts.payee.to_string(), "challenge_period": contracts.challenge_period,
                "from_block": contracts.from_block,
            }],
            "front": {
                "routes": [{ "path": "/page", "upstream": cluster.upstream.url(), "price": 10 }],
                "timeouts": { "drain_delay_ms": 100, "grace_ms": 2_000 },
            },
        },
        "queue": { "enabled": false },
        "wallet": { "key": { "passwordKey": "" } },
        "helmTest": { "paid": { "enabled": true, "existingSecret": "payer", "maxPrice": 10, "maxDeposit": 50, "deposit": 50 } },
    })
}

fn secrets(cluster: &Cluster) -> Secrets {
    let address = |item| (("sluice-database", item), cluster.database.clone());
    let keys = [(("sluice-wallet", "key.json"), PAYEE), (("payer", "key"), PAYER)];
    let keys = keys.map(|(item, index)| (item, format!("{}\n", KEYS[index])));
    ["front-url", "background-url", "migration-url"].map(address).into_iter().chain(keys).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chart_renders_sells_and_its_test_buys_something() -> Result<()> {
    let cluster = Cluster::prepare(Options::default()).await?;
    let rendering = rendered(&values(&cluster).to_string())?;
    let node = Node { rendering, secrets: secrets(&cluster), volumes: TempDir::new()? };

    let migration = node.rendering.find("Job", "migration").context("no migration")?;
    let migrated = node.run(&migration["spec"]["template"]["spec"]["containers"][0], "").await?;
    assert!(migrated.status.success(), "{}", said(&migrated));
    let _background = (node.start("watcher").await?, node.start("wallet").await?);
    let mut front = node.start("front").await?;
    front.sells().await?;

    let test = node.rendering.find("Pod", "test").context("no test")?;
    node.mount(&test["spec"])?;
    assert!(Path::new(&node.local("/secrets/payer/key")).is_file());
    let paid =
        [("paid", "200 OK: paid 10; 10 of 50 used, 40 left"), ("paid", "200 OK: paid 10; 20 of 50 used, 30 left")];
    for (container, expected) in [("unpaid", "price     10")].into_iter().chain(paid) {
        // The next test's Pod remembers nothing, and finds the channel on chain.
        let _ = fs::remove_dir_all(node.local("/state"));
        let mut containers = test["spec"]["containers"].as_array().into_iter().flatten();
        let container = containers.find(|it| it["name"] == container).context("no container")?;
        let ran = node.run(container, &front.url()).await?;
        assert!(ran.status.success() && said(&ran).contains(expected), "{}", said(&ran));
    }
    front.stop().await?;
    Ok(())
}

fn said(ran: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}
