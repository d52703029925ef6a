use std::path::PathBuf;
use std::time::Duration;

use channel::Amount;
use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// How a payer behaves. [`Settings::new`] fills in what is seldom changed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A JSON-RPC node of the chain. Only asked when something is opened, topped up, closed or looked for.
    pub rpc_url: String,
    /// The chain it must serve.
    pub chain_id: u64,
    /// Where the payer remembers its channels; one directory may serve many payers and chains.
    pub state_dir: PathBuf,
    /// The block from which to look for channels of this payer.
    pub from_block: u64,
    /// How deposits get into the contract.
    pub funding: Funding,
    /// How much to deposit.
    pub deposits: Deposits,
    /// What may happen without asking.
    pub limits: Limits,
    /// How long to wait for what.
    pub patience: Patience,
    /// The certificates (PEM) that servers' must be signed by; without it, those that the system trusts.
    pub ca_file: Option<PathBuf>,
}

impl Settings {
    /// Settings with no limits raised: such a payer can look at channels and close them, and pays nothing.
    pub fn new(rpc_url: impl Into<String>, chain_id: u64, state_dir: impl Into<PathBuf>) -> Settings {
        Settings {
            rpc_url: rpc_url.into(),
            chain_id,
            state_dir: state_dir.into(),
            from_block: 0,
            funding: Funding::default(),
            deposits: Deposits::default(),
            limits: Limits::default(),
            patience: Patience::default(),
            ca_file: None,
        }
    }
}

/// How a deposit gets into the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Funding {
    /// `approve` of exactly the deposit, then `createChannel` or `topUp`. Works with every ERC-20.
    #[default]
    Erc20,
    /// One `transfer` with data, where the token has it.
    Erc223,
}

/// How much is deposited without asking: an amount, or else a number of requests at the price that is asked. Never more
/// than [`Limits::max_deposit`] leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deposits {
    /// When a channel is opened; 10 requests' worth by default.
    pub open: Option<Amount>,
    /// When a channel has not enough left; 5 requests' worth by default.
    pub top_up: Option<Amount>,
    /// When a channel has less left than this, it is topped up before that is needed, so that no request waits for the
    /// server to see it; without it, when it is needed.
    pub threshold: Option<Amount>,
}

impl Deposits {
    /// What to open a channel with, so that one request can be paid.
    pub(crate) fn to_open(self, price: Amount, limits: &Limits) -> Amount {
        self.open.unwrap_or_else(|| times(price, 10)).min(limits.max_deposit).max(price)
    }

    /// What to add to a channel that lacks `missing` for one request and holds `deposit`.
    pub(crate) fn to_add(self, price: Amount, missing: Amount, deposit: Amount, limits: &Limits) -> Amount {
        let room = limits.max_deposit.saturating_sub(deposit);
        self.top_up.unwrap_or_else(|| times(price, 5)).min(room).max(missing)
    }
}

fn times(price: Amount, n: u32) -> Amount {
    (0..n).fold(Amount::ZERO, |sum, _| sum.saturating_add(price))
}

/// How long to wait for what. Every wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the head of an answer.
    pub answer: Duration,
    /// For one call to the node.
    pub rpc: Duration,
    /// For a transaction to be mined.
    pub mined: Duration,
    /// For the server to see what is on chain: an opening, a top-up.
    pub confirmed: Duration,
    /// Between two looks at whether the server sees it.
    pub poll: Duration,
    /// For a server that asks to come back later, in all.
    pub busy: Duration,
    /// For another process to be done with the state.
    pub lock: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            answer: Duration::from_secs(60),
            rpc: Duration::from_secs(10),
            mined: Duration::from_secs(180),
            confirmed: Duration::from_secs(180),
            poll: Duration::from_secs(1),
            busy: Duration::from_secs(30),
            lock: Duration::from_secs(10),
        }
    }
}
