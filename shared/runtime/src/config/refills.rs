use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use channel::{Amount, Portion, RefillPolicy};
use serde::Deserialize;

use super::wei::Wei;
use super::{Deployment, KeyFile, TokenStandard};

/// How much of a chain's coin the accounts that the wallet sends from are to have, to pay for gas.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gas {
    /// Below this much operators are told, and an account is refilled
    pub low: Wei,
    /// so that it has this much,
    pub high: Wei,
    /// from the account of this key: a keystore (version 3) or 32 bytes in hex, mode 0600. Without it nothing is refilled.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The keystore's password, mode 0600.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The most that one account is given in a day (UTC).
    #[serde(default)]
    pub cap_per_day: Option<Wei>,
}

/// A channel that we pay from, and keep filled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// The deployment on whose chain it is, and whose contract and token it has unless they are named here.
    pub deployment: String,
    /// The contract that holds it.
    #[serde(default)]
    pub contract: Option<Address>,
    /// The token that is paid in.
    #[serde(default)]
    pub token: Option<Address>,
    /// What the token can do.
    #[serde(default)]
    pub token_standard: Option<TokenStandard>,
    /// Whom it pays.
    pub receiver: Address,
    /// The block it was opened in.
    pub open_block: u32,
    /// The key of the payer, which is ours: a keystore (version 3) or 32 bytes in hex, mode 0600.
    pub key_file: PathBuf,
    /// The keystore's password, mode 0600.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// With less than this left it is topped up,
    pub threshold: Amount,
    /// by this much,
    pub amount: Amount,
    /// and by no more than this in a day (UTC).
    pub cap_per_day: Amount,
}

impl Gas {
    /// Where the key of the account is that refills the others.
    pub fn funding(&self) -> Option<KeyFile> {
        Some(KeyFile { key_file: self.key_file.clone()?, password_file: self.password_file.clone() })
    }

    /// As the rules know it.
    pub fn policy(&self) -> RefillPolicy {
        let cap_per_day = self.cap_per_day.map_or(Amount::ZERO, |cap| cap.0);
        RefillPolicy { threshold: self.low.0, portion: Portion::UpTo(self.high.0), cap_per_day }
    }

    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        for path in [self.key_file.as_mut(), self.password_file.as_mut()].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    pub(super) fn problems(&self, key: &str, problems: &mut Vec<String>) {
        if self.low.0.is_zero() || self.high.0 <= self.low.0 {
            problems.push(format!("{key}: low must be above 0, and high above low"));
        }
        if self.key_file.is_some() != self.cap_per_day.is_some() {
            problems.push(format!("{key}: key_file and cap_per_day go together"));
        }
    }
}

impl Outbound {
    /// Where the payer's key is.
    pub fn key(&self) -> KeyFile {
        KeyFile { key_file: self.key_file.clone(), password_file: self.password_file.clone() }
    }

    /// As the rules know it.
    pub fn policy(&self) -> RefillPolicy {
        let Outbound { threshold, amount, cap_per_day, .. } = *self;
        RefillPolicy { threshold, portion: Portion::By(amount), cap_per_day }
    }

    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        for path in [Some(&mut self.key_file), self.password_file.as_mut()].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    pub(super) fn problems(&self, key: &str, deployments: &BTreeMap<String, Deployment>, problems: &mut Vec<String>) {
        if !deployments.contains_key(&self.deployment) {
            problems.push(format!("{key}.deployment: there is no deployment `{}`", self.deployment));
        }
        let amounts = [("threshold", self.threshold), ("amount", self.amount), ("cap_per_day", self.cap_per_day)];
        for (name, _) in amounts.iter().filter(|(_, amount)| amount.is_zero()) {
            problems.push(format!("{key}.{name}: must be above 0"));
        }
    }
}
