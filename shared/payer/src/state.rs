//! What a payer remembers: its channels, what it was quoted, what it spent today, what it sent to the chain.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes};
use channel::Amount;
use serde::{Deserialize, Serialize};

use crate::limits::Spending;

/// How many quotes are remembered, to sign ahead with.
const OFFERS_MAX: usize = 256;

/// Which channel: the payer is the holder of the key, the chain that of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelKey {
    /// The channel contract.
    pub contract: Address,
    /// Who is paid.
    pub receiver: Address,
    /// The block it was opened in.
    pub open_block: u32,
}

impl fmt::Display for ChannelKey {
    /// `CONTRACT/RECEIVER/BLOCK`, which [`ChannelKey::from_str`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.contract, self.receiver, self.open_block)
    }
}

impl FromStr for ChannelKey {
    type Err = String;

    fn from_str(text: &str) -> Result<ChannelKey, String> {
        let parse = || {
            let (contract, rest) = text.split_once('/')?;
            let (receiver, block) = rest.split_once('/')?;
            let (contract, receiver) = (contract.parse().ok()?, receiver.parse().ok()?);
            Some(ChannelKey { contract, receiver, open_block: block.parse().ok()? })
        };
        parse().ok_or_else(|| format!("{text:?} is no channel: CONTRACT/RECEIVER/OPEN_BLOCK"))
    }
}

/// A channel as its payer knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name.
    pub key: ChannelKey,
    /// The token it holds.
    pub token: Address,
    /// Deposited, as the chain said last.
    pub deposit: Amount,
    /// The highest cumulative amount signed: stored before the voucher leaves, so it is never lower than what left.
    pub balance: Amount,
    /// What the server was last seen to hold.
    pub acknowledged: Amount,
    /// True from the moment a voucher is stored until an answer shows whether the server took it.
    pub in_doubt: bool,
    /// Paid for requests that were never answered. The server is asked to give it back when the channel closes.
    pub unserved: Amount,
    /// The host that the last voucher was counted for.
    pub host: Option<String>,
    /// Where to ask for a closing signature, as the server told us.
    pub api: Option<String>,
    /// Set once a close was asked for. Nothing is paid from then on.
    pub closing: Option<Closing>,
    /// Top-ups ahead of need that failed since the last one that did not.
    #[serde(default)]
    pub top_ups_failed: Failures,
}

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last one was: seconds since 1970, by this machine's clock.
    pub last_s: u64,
}

/// A close that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// The final amount.
    pub balance: Amount,
    /// The receiver's consent; without it the payer closes alone.
    pub signature: Option<Bytes>,
}

impl Channel {
    /// A channel that was just opened, with nothing paid yet.
    pub fn opened(key: ChannelKey, token: Address, deposit: Amount) -> Channel {
        Channel {
            key,
            token,
            deposit,
            balance: Amount::ZERO,
            acknowledged: Amount::ZERO,
            in_doubt: false,
            unserved: Amount::ZERO,
            host: None,
            api: None,
            closing: None,
            top_ups_failed: Failures::default(),
        }
    }

    /// A channel found on chain, of which nobody remembers what was paid: the server is asked before anything is signed.
    pub fn found(key: ChannelKey, token: Address, deposit: Amount) -> Channel {
        Channel { in_doubt: true, ..Channel::opened(key, token, deposit) }
    }

    /// True when it can pay for this offer.
    pub fn pays(&self, offer: &Offer) -> bool {
        self.key.contract == offer.contract && self.key.receiver == offer.receiver && self.closing.is_none()
    }

    /// What can still be signed away.
    pub fn room(&self) -> Amount {
        self.deposit.saturating_sub(self.balance)
    }
}

/// What a resource costs, and whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The contract the channel must be in.
    pub contract: Address,
    /// Who is paid.
    pub receiver: Address,
    /// The contract's token, by the server's word; the chain is asked before a deposit.
    pub token: Option<Address>,
    /// For one request.
    pub price: Amount,
    /// The path of the server's channel API.
    pub api_path: Option<String>,
}

/// A transaction that was signed and may not be mined yet. Stored before it is broadcast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentTransaction {
    /// Its place among the account's transactions.
    pub nonce: u64,
    /// Its name.
    pub hash: B256,
    /// The signed bytes, to send again.
    pub raw: Bytes,
}

/// Everything that is remembered, of one payer on one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The chain.
    pub chain_id: u64,
    /// The payer.
    pub payer: Address,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// What was quoted last, by method and address without query.
    pub offers: BTreeMap<String, Offer>,
    /// What was spent today.
    pub spending: Spending,
    /// What was sent to the chain and not yet seen mined.
    pub transactions: Vec<SentTransaction>,
}

impl State {
    /// Nothing remembered.
    pub fn new(chain_id: u64, payer: Address) -> State {
        State {
            chain_id,
            payer,
            channels: Vec::new(),
            offers: BTreeMap::new(),
            spending: Spending::default(),
            transactions: Vec::new(),
        }
    }

    /// A channel by its name.
    pub fn channel(&self, key: &ChannelKey) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.key == *key)
    }

    /// A channel by its name, to be changed.
    pub fn channel_mut(&mut self, key: &ChannelKey) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.key == *key)
    }

    /// The channel to pay `offer` from: of those that can be paid from, the one with the most room.
    pub fn usable(&self, offer: &Offer) -> Option<&Channel> {
        self.channels.iter().filter(|channel| channel.pays(offer)).max_by_key(|channel| channel.room())
    }

    /// Adds a channel, or replaces what was known of it.
    pub fn put(&mut self, channel: Channel) {
        self.forget(&channel.key);
        self.channels.push(channel);
    }

    /// Drops a channel that is no more.
    pub fn forget(&mut self, key: &ChannelKey) {
        self.channels.retain(|channel| channel.key != *key);
    }

    /// Remembers a quote. When too many are remembered, some other one is forgotten.
    pub fn quote(&mut self, resource: &str, offer: Offer) {
        if self.offers.len() >= OFFERS_MAX && !self.offers.contains_key(resource) {
            self.offers.pop_first();
        }
        self.offers.insert(resource.to_owned(), offer);
    }
}
