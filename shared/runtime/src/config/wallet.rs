use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::front::millis;
use super::{Deployment, Gas};

const GWEI: u128 = 1_000_000_000;
/// With an eighth more it is still below what is urgent may pay, and that with an eighth more below what a no-op may.
const MAX_NORMAL_FEE_PERCENT: u8 = 75;
/// Nodes that are no archives know the state of the last 128 blocks.
const MAX_CONFIRMATIONS: u64 = 100;

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
    /// How much gas its accounts are to have, by chain id.
    pub gas: BTreeMap<String, Gas>,
    /// How long one call to a node may take; then the next node is asked.
    #[serde(with = "millis", rename = "rpc_timeout_ms")]
    pub rpc_timeout: Duration,
    /// The most we pay for a unit of gas, in gwei: for a no-op that frees a nonce. What is urgent pays up to seven eighths of
    /// it, so that a no-op can always take its place,
    pub max_fee_gwei: u64,
    /// and what can wait up to so many hundredths of it, for the like reason at most 75.
    pub normal_fee_percent: u8,
    /// How long a transaction waits to be mined before it is replaced by one that offers an eighth more.
    #[serde(with = "millis", rename = "bump_ms")]
    pub bump: Duration,
    /// How long a transaction is left to the network before it is handed in again.
    #[serde(with = "millis", rename = "resend_ms")]
    pub resend: Duration,
    /// How many blocks must follow on a transaction before it is settled.
    pub confirmations: u64,
    /// The most transactions of an account that wait to be mined.
    pub unmined_max: usize,
    /// How often due jobs are looked for when nobody rings.
    #[serde(with = "millis", rename = "poll_ms")]
    pub poll: Duration,
    /// How often we look what is left of gas, and of channels that we pay from.
    #[serde(with = "millis", rename = "refill_poll_ms")]
    pub refill_poll: Duration,
    /// How many dishonest closes its account must be able to pay answers to; with gas for fewer, fronts stop selling.
    pub all_clear_challenges: u32,
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
            gas: BTreeMap::new(),
            rpc_timeout: Duration::from_secs(5),
            max_fee_gwei: 500,
            normal_fee_percent: MAX_NORMAL_FEE_PERCENT,
            bump: Duration::from_secs(30),
            resend: Duration::from_secs(15),
            confirmations: 12,
            unmined_max: 4,
            poll: Duration::from_secs(1),
            refill_poll: Duration::from_secs(15),
            all_clear_challenges: 10,
            lease: Duration::from_secs(6),
        }
    }
}

impl Wallet {
    /// Where the key of a deployment's payee is: its own, or the one for all.
    pub fn key_of(&self, deployment: &str) -> Option<KeyFile> {
        let for_all = || Some(KeyFile { key_file: self.key_file.clone()?, password_file: self.password_file.clone() });
        self.keys.get(deployment).cloned().or_else(for_all)
    }

    /// The most we pay for a unit of gas, in wei,
    pub fn max_fee(&self) -> u128 {
        u128::from(self.max_fee_gwei).saturating_mul(GWEI)
    }

    /// the most for what is urgent,
    pub fn max_urgent_fee(&self) -> u128 {
        self.max_fee() / 8 * 7
    }

    /// and the most for what can wait.
    pub fn max_normal_fee(&self) -> u128 {
        self.max_fee() / 100 * u128::from(self.normal_fee_percent)
    }

    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let own = self.keys.values_mut().flat_map(|key| [Some(&mut key.key_file), key.password_file.as_mut()]);
        for path in [self.key_file.as_mut(), self.password_file.as_mut()].into_iter().chain(own).flatten() {
            *path = folder.join(&*path);
        }
        self.gas.values_mut().for_each(|gas| gas.resolve_paths(folder));
    }

    /// How much gas our accounts on a chain are to have, if that is said.
    pub fn gas_on(&self, chain_id: u64) -> Option<&Gas> {
        self.gas.get(&chain_id.to_string())
    }

    pub(super) fn problems(&self, deployments: &BTreeMap<String, Deployment>, problems: &mut Vec<String>) {
        for name in self.keys.keys().filter(|name| !deployments.contains_key(*name)) {
            problems.push(format!("wallet.keys.{name}: there is no such deployment"));
        }
        for (chain, gas) in &self.gas {
            gas.problems(&format!("wallet.gas.{chain}"), problems);
            if !deployments.values().any(|deployment| deployment.chain_id.to_string() == *chain) {
                problems.push(format!("wallet.gas.{chain}: there is no deployment on a chain with this id"));
            }
        }
        if self.max_fee_gwei == 0 {
            problems.push("wallet.max_fee_gwei: must be at least 1".to_owned());
        }
        if !(1..=MAX_NORMAL_FEE_PERCENT).contains(&self.normal_fee_percent) {
            problems.push(format!(
                "wallet.normal_fee_percent: must be between 1 and {MAX_NORMAL_FEE_PERCENT}: what is urgent has to be able \
                 to take the place of what is not"
            ));
        }
        if self.confirmations > MAX_CONFIRMATIONS {
            problems.push(format!("wallet.confirmations: at most {MAX_CONFIRMATIONS}, as far as nodes remember"));
        }
        if self.unmined_max == 0 {
            problems.push("wallet.unmined_max: must be at least 1".to_owned());
        }
    }
}
