use alloy_primitives::Address;
use channel::{Amount, Freshness, Policy, Step, Terms};
use serde::Deserialize;

use super::{Claim, Secret};

/// A contract on a chain, a token and a payee: where payments are taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Which contract this is.
    pub kind: contracts::Kind,
    /// The chain's id; checked against the node.
    pub chain_id: u64,
    /// A JSON-RPC node of the chain. Only the watcher and the wallet use it.
    pub rpc_url: Secret,
    /// Further nodes, which stand in for the first when it fails or lags, or is on another fork than most.
    #[serde(default)]
    pub rpc_urls: Vec<Secret>,
    /// How many blocks a node may be behind the others before it is avoided.
    #[serde(default = "five")]
    pub max_node_lag: u64,
    /// The contract that holds the channels.
    pub contract: Address,
    /// The token that is paid in.
    pub token: Address,
    /// What people call the token. For display alone, as `token_decimals`: the wire and this file count base units.
    #[serde(default = "units")]
    pub token_symbol: String,
    /// How many of the token's base units, as a power of ten, people call one.
    #[serde(default)]
    pub token_decimals: u8,
    /// What the token can do; browsers are told.
    #[serde(default)]
    pub token_standard: TokenStandard,
    /// Whom the channels pay.
    pub payee: Address,
    /// The contract's challenge period, in blocks; checked against the contract.
    pub challenge_period: u32,
    /// The block from which to look for channels: the one that deployed the contract will do.
    #[serde(default)]
    pub from_block: u64,
    /// How many blocks must follow on a deposit before it counts.
    #[serde(default = "one")]
    pub confirmations: u64,
    /// Seconds between blocks when the chain is at its fastest.
    #[serde(default = "one")]
    pub fastest_block_s: u64,
    /// Seconds of the challenge period kept for noticing a close and having the answer mined.
    #[serde(default = "two_minutes")]
    pub safety_budget_s: u64,
    /// How vouchers may step.
    #[serde(default)]
    pub terms: TermsName,
    /// The least a voucher must add (`terms = "credit"`).
    #[serde(default)]
    pub min_delta: Amount,
    /// The least that must be deposited and confirmed in a channel.
    #[serde(default)]
    pub min_deposit: Amount,
    /// The most that may be owed and not yet claimed on one channel.
    #[serde(default = "unlimited")]
    pub max_exposure: Amount,
    /// The same, over all channels of one payer.
    #[serde(default = "unlimited")]
    pub max_exposure_per_payer: Amount,
    /// The same, over all channels, give or take what several fronts sell at once.
    #[serde(default = "unlimited")]
    pub max_exposure_total: Amount,
    /// The most that calls in flight may reserve on one channel.
    #[serde(default = "unlimited")]
    pub max_held: Amount,
    /// When money is taken on chain.
    #[serde(default)]
    pub claim: Claim,
}

/// What a token can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenStandard {
    /// Transfers that carry data: a channel is opened by one. The original Python client needs them.
    #[default]
    Erc223,
    /// Plain transfers: a channel is opened after an approval.
    Erc20,
}

/// How vouchers may step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TermsName {
    /// Each voucher is exactly the last plus the price; what the original µRaiden clients do.
    #[default]
    Exact,
    /// Any voucher that leaves enough credit: payers may sign ahead and call in parallel.
    Credit,
}

fn units() -> String {
    "units".to_owned()
}

fn one() -> u64 {
    1
}

fn five() -> u64 {
    5
}

fn two_minutes() -> u64 {
    120
}

fn unlimited() -> Amount {
    Amount::MAX
}

impl Deployment {
    /// As the contracts know it.
    pub fn to_contract(&self, name: &str) -> contracts::Deployment {
        contracts::Deployment {
            name: name.to_owned(),
            kind: self.kind,
            chain_id: self.chain_id,
            contract: self.contract,
            token: self.token,
            payee: self.payee,
            challenge_period: self.challenge_period,
            from_block: self.from_block,
            confirmations: self.confirmations,
        }
    }

    /// As the rules know it.
    pub fn terms(&self) -> Terms {
        let step = match self.terms {
            TermsName::Exact => Step::FromAuthorised,
            TermsName::Credit => Step::Any,
        };
        Terms {
            step,
            min_delta: self.min_delta,
            min_deposit: self.min_deposit,
            max_exposure: self.max_exposure,
            max_payer_exposure: self.max_exposure_per_payer,
            max_total_exposure: self.max_exposure_total,
            max_held: self.max_held,
        }
    }

    /// When money is taken on chain, as the rules know it.
    pub fn policy(&self) -> Policy {
        self.claim.policy(self.max_exposure, self.fastest_block_s)
    }

    /// The addresses of its chain's nodes, the most trusted one first.
    pub fn nodes(&self) -> Vec<&str> {
        std::iter::once(&self.rpc_url).chain(&self.rpc_urls).map(Secret::expose).collect()
    }

    /// How long we may sell without hearing from the chain.
    pub fn freshness(&self) -> Freshness {
        let window = u64::from(self.challenge_period).saturating_mul(self.fastest_block_s);
        Freshness { window, budget: self.safety_budget_s }
    }

    pub(super) fn problems(&self, key: &str, problems: &mut Vec<String>) {
        if self.chain_id == 0 || i64::try_from(self.chain_id).is_err() {
            problems.push(format!("{key}.chain_id: must be between 1 and 2^63 - 1"));
        }
        if self.token_decimals > 36 {
            problems.push(format!("{key}.token_decimals: must be at most 36"));
        }
        self.claim.problems(&format!("{key}.claim"), problems);
        let Freshness { window, budget } = self.freshness();
        if budget >= window {
            problems.push(format!(
                "{key}.safety_budget_s: {budget} s leave nothing of the {window} s challenge period \
                 (challenge_period x fastest_block_s)"
            ));
        }
    }
}
