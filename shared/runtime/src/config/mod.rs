//! One TOML file for the whole cluster; each process reads it whole and uses its part.
//!
//! `SLUICE_SECTION__KEY` in the environment overrides `key` of `[section]`, also deeper (`SLUICE_DEPLOYMENTS__MAIN__RPC_URL`).
//! Unknown keys are refused. Everything is checked before a port is bound.

mod claim;
mod deployment;
mod front;
mod queue;
mod refills;
mod route;
mod secret;
mod telemetry;
mod wallet;
mod watcher;
mod wei;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use serde::Deserialize;

pub use claim::Claim;
pub use deployment::{Deployment, TermsName, TokenStandard};
pub use front::{Access, Admin, Budget, Cors, Front, Limits, Paywall, Rates, Timeouts, Tls};
pub use queue::Queue;
pub use refills::{Gas, Outbound};
pub use route::{Charge, FreeQuota, Goods, Matcher, Pattern, Price, Route};
pub use secret::Secret;
pub use telemetry::Telemetry;
pub use wallet::{KeyFile, Wallet};
pub use watcher::Watcher;
pub use wei::Wei;
use written::Written;

/// The configuration of a cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The ledger.
    pub database: ledger::Settings,
    /// Where we take payments, by name: chain + contract + token + payee.
    pub deployments: BTreeMap<String, Deployment>,
    /// What the fronts sell, and how.
    #[serde(default)]
    pub front: Front,
    /// The message broker, if there is one.
    #[serde(default)]
    pub queue: Option<Queue>,
    /// How the watcher follows chains.
    #[serde(default)]
    pub watcher: Watcher,
    /// How the wallet acts on them.
    #[serde(default)]
    pub wallet: Wallet,
    /// What is traced, and where traces go.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Channels that we pay from, by name: the wallet keeps them filled.
    #[serde(default)]
    pub outbound: BTreeMap<String, Outbound>,
    #[serde(skip)]
    written: Written,
}

/// Why a configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file, or it cannot be read.
    #[error("cannot read the configuration {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("{}", .0.join("\n"))]
    Syntax(Vec<String>),
    /// Each value is fine, but together they make no sense.
    #[error("{path}: {}", .problems.join("\n"))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// One sentence each, beginning with the key.
        problems: Vec<String>,
    },
}

/// Reads and checks a configuration. Relative paths in it are relative to its folder.
///
/// # Errors
/// [`ConfigError`], naming the file (or variable) and the key of everything that is wrong.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// Reads and checks a configuration that stands at `path`, or would; see [`load`].
///
/// # Errors
/// As [`load`]'s.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let environment = Env::prefixed("SLUICE_").filter(|key| key.as_str().contains("__")).split("__");
    let settings = Figment::new().merge(Toml::string(text)).merge(environment);
    let unusable =
        |error: figment::Error| ConfigError::Syntax(error.into_iter().map(|error| describe(path, &error)).collect());
    let mut config: Config = settings.extract().map_err(unusable)?;
    config.written = Written::new(&settings.extract().map_err(unusable)?);
    config.resolve_paths(path.parent().unwrap_or(Path::new(".")));
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid { path: path.to_owned(), problems }) }
}

fn describe(file: &Path, error: &figment::Error) -> String {
    let from_environment = error.metadata.as_ref().is_some_and(|m| m.name.contains("environment"));
    let key = error.path.join(".");
    match (from_environment, key.is_empty()) {
        (true, _) => {
            let variable = error.path.join("__").to_uppercase();
            format!("SLUICE_{variable}: {}", error.kind)
        }
        (false, true) => format!("{}: {}", file.display(), error.kind),
        (false, false) => format!("{}: {key}: {}", file.display(), error.kind),
    }
}

impl Config {
    fn resolve_paths(&mut self, folder: &Path) {
        self.front.resolve_paths(folder);
        self.wallet.resolve_paths(folder);
        self.outbound.values_mut().for_each(|outbound| outbound.resolve_paths(folder));
        if let Some(queue) = &mut self.queue {
            queue.resolve_paths(folder);
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.deployments.is_empty() {
            problems.push("deployments: at least one is needed".to_owned());
        }
        let mut places = BTreeMap::new();
        for (name, deployment) in &self.deployments {
            deployment.problems(&format!("deployments.{name}"), &mut problems);
            // A channel of both would be one channel in the ledger, and belong to one of them.
            if let Some(first) = places.insert((deployment.chain_id, deployment.contract, deployment.payee), name) {
                problems.push(format!("deployments.{name}: the same chain, contract and payee as deployments.{first}"));
            }
        }
        route::problems(&self.front.routes, &self.deployments, &mut problems);
        self.front.problems(&mut problems);
        self.wallet.problems(&self.deployments, &mut problems);
        for (name, outbound) in &self.outbound {
            outbound.problems(&format!("outbound.{name}"), &self.deployments, &mut problems);
        }
        if let Some(queue) = &self.queue {
            queue.problems(&mut problems);
        }
        self.telemetry.problems(&mut problems);
        problems
    }

    /// The keys that were written differently in `newer`, such as `front.listen` or `front.routes[/reports].price`. A key
    /// that is written out in one of them alone counts, even if it says what the default is.
    pub fn changed_keys(&self, newer: &Config) -> Vec<String> {
        self.written.differences(&newer.written)
    }

    /// The addresses of a chain's nodes, from all deployments on it, the most trusted one first.
    pub fn nodes_of(&self, chain_id: u64) -> Vec<&str> {
        let mut nodes = Vec::new();
        for deployment in self.deployments.values().filter(|deployment| deployment.chain_id == chain_id) {
            for node in deployment.nodes() {
                if !nodes.contains(&node) {
                    nodes.push(node);
                }
            }
        }
        nodes
    }

    /// The deployments as the contracts know them.
    pub fn contract_deployments(&self) -> Vec<contracts::Deployment> {
        self.deployments.iter().map(|(name, deployment)| deployment.to_contract(name)).collect()
    }
}
