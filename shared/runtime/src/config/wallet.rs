use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::Deployment;
use super::front::millis;

/// How the wallet acts on chains. The key file is its alone: no other process needs to be able to read it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wallet {
    /// Health and metrics.
    pub ops_listen: SocketAddr,
    /// The payee's key: a keystore (version 3) or 32 bytes in hex, mode 0600.
    pub key_file: Option<PathBuf>,
    /// The keystore's password, mode 0600.
    pub password_file: Option<PathBuf>,
    /// Deployments whose payee has another key, by name.
    pub keys: BTreeMap<String, KeyFile>,
    /// How long one call to a node may take.
    #[serde(with = "millis", rename = "rpc_timeout_ms")]
    pub rpc_timeout: Duration,
    /// The most we pay for a unit of gas, in gwei.
    pub max_fee_gwei: u64,
    /// How often due jobs are looked for when nobody rings.
    #[serde(with = "millis", rename = "poll_ms")]
    pub poll: Duration,
    /// How long a wallet stays the active one without renewing it.
    #[serde(with = "millis", rename = "lease_ms")]
    pub lease: Duration,
}

/// Where a key is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// A keystore (version 3) or 32 bytes in hex, mode 0600.
    pub key_file: PathBuf,
    /// The keystore's password, mode 0600.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

impl Default for Wallet {
    fn default() -> Wallet {
        Wallet {
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 9082)),
            key_file: None,
            password_file: None,
            keys: BTreeMap::new(),
            rpc_timeout: Duration::from_secs(10),
            max_fee_gwei: 500,
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(10),
        }
    }
}

impl Wallet {
    /// Where the key of a deployment's payee is: its own, or the one for all.
    pub fn key_of(&self, deployment: &str) -> Option<KeyFile> {
        let for_all = || Some(KeyFile { key_file: self.key_file.clone()?, password_file: self.password_file.clone() });
        self.keys.get(deployment).cloned().or_else(for_all)
    }

    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let own = self.keys.values_mut().flat_map(|key| [Some(&mut key.key_file), key.password_file.as_mut()]);
        for path in [self.key_file.as_mut(), self.password_file.as_mut()].into_iter().chain(own).flatten() {
            *path = folder.join(&*path);
        }
    }

    pub(super) fn problems(&self, deployments: &BTreeMap<String, Deployment>, problems: &mut Vec<String>) {
        for name in self.keys.keys().filter(|name| !deployments.contains_key(*name)) {
            problems.push(format!("wallet.keys.{name}: there is no such deployment"));
        }
    }
}
