//! A machine: what Pods read from Secrets, ConfigMaps and their environment.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::anvil::KEYS;
use testkit::cluster::{Cluster, PAYEE, PAYER, Service};
use testkit::paths;

use crate::helm::Rendering;

/// What stands in Secrets, by their names and items.
type Secrets = BTreeMap<(&'static str, &'static str), String>;

/// One machine for all Pods of a rendering.
pub struct Node {
    pub rendering: Rendering,
    secrets: Secrets,
    volumes: TempDir,
}

/// The volumes of one Pod.
pub struct Volumes<'a> {
    node: &'a Node,
    folder: PathBuf,
}

impl Node {
    /// Its Secrets lead to what is in this cluster beside our own programs.
    pub fn new(rendering: Rendering, cluster: &Cluster) -> Result<Node> {
        Ok(Node { rendering, secrets: secrets(cluster), volumes: TempDir::new()? })
    }

    /// Mounts what a Pod of this name and specification wants.
    pub fn volumes(&self, name: &str, pod: &Value) -> Result<Volumes<'_>> {
        let volumes = Volumes { node: self, folder: self.volumes.path().join(name) };
        fs::create_dir_all(&volumes.folder)?;
        volumes.mount(pod)?;
        Ok(volumes)
    }

    /// The specification of a Deployment's Pods.
    pub fn template(&self, component: &str) -> Result<&Value> {
        let deployment = self.rendering.find("Deployment", component).context("no Deployment")?;
        Ok(&deployment["spec"]["template"]["spec"])
    }

    /// Starts the only container of a Deployment's Pod. It is not waited for.
    pub fn start(&self, component: &str, number: usize) -> Result<Service> {
        let pod = self.template(component)?;
        let volumes = self.volumes(&format!("{component}-{number}"), pod)?;
        let map = pod["volumes"][0]["configMap"]["name"].as_str().context("no configuration")?;
        let text = self.rendering.object("ConfigMap", map)["data"]["sluice.toml"].as_str().context("an empty one")?;
        let config = volumes.folder.join("sluice.toml");
        fs::write(&config, volumes.local(text))?;
        let variables = volumes.variables(&pod["containers"][0])?;
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let program = pod["containers"][0]["command"][0].as_str().context("no command")?;
        Service::program(program, number, &config, &variables)
    }

    /// Brings the schema up to date, as the chart's Job does.
    pub async fn migrate(&self) -> Result<Output> {
        let job = self.rendering.find("Job", "migration").context("no migration")?;
        let pod = &job["spec"]["template"]["spec"];
        self.volumes("migration", pod)?.run(&pod["containers"][0], "").await
    }
}

impl Volumes<'_> {
    /// What a Pod reads at `/secrets` and `/state` is in our folder instead.
    pub fn local(&self, text: &str) -> String {
        let folder = self.folder.display();
        text.replace("/secrets/", &format!("{folder}/")).replace("/state", &format!("{folder}/state"))
    }

    /// Secrets are lent by root, if that is who we are.
    fn mount(&self, pod: &Value) -> Result<()> {
        for volume in pod["volumes"].as_array().into_iter().flatten() {
            let Some(secret) = volume["secret"]["secretName"].as_str() else { continue };
            let folder = self.folder.join(volume["name"].as_str().context("a volume has a name")?);
            fs::create_dir_all(&folder)?;
            let mode = if nix::unistd::geteuid().is_root() { 0o440 } else { 0o400 };
            for ((_, item), text) in self.node.secrets.iter().filter(|((name, _), _)| *name == secret) {
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
            let text = variable["value"].as_str().or_else(|| self.node.secrets.get(&item).map(String::as_str));
            let text = text.with_context(|| format!("no Secret for {variable}"))?;
            Ok((variable["name"].as_str().context("no name")?.to_owned(), self.local(text)))
        };
        variables.map(value).collect()
    }

    /// Runs a container that ends; what it calls `http://sluice-front:80` is this front.
    pub async fn run(&self, container: &Value, front: &str) -> Result<Output> {
        let mut command = Command::new(paths::program(container["command"][0].as_str().context("no command")?)?);
        for argument in container["args"].as_array().into_iter().flatten() {
            let argument = argument.as_str().context("an argument is text")?;
            command.arg(argument.replace("http://sluice-front:80", front));
        }
        command.env_clear().envs(self.variables(container)?);
        Ok(tokio::task::spawn_blocking(move || command.output()).await??)
    }
}

/// Values that differ from the chart's own in what this cluster consists of, and in nothing else.
pub fn values(cluster: &Cluster, routes: &Value) -> Value {
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
            "front": { "routes": routes },
        },
        "queue": { "enabled": false },
        "wallet": { "key": { "passwordKey": "" } },
    })
}

fn secrets(cluster: &Cluster) -> Secrets {
    let address = |item| (("sluice-database", item), cluster.database.clone());
    let keys = [(("sluice-wallet", "key.json"), PAYEE), (("payer", "key"), PAYER)];
    let keys = keys.map(|(item, index)| (item, format!("{}\n", KEYS[index])));
    ["front-url", "background-url", "migration-url"].map(address).into_iter().chain(keys).collect()
}
