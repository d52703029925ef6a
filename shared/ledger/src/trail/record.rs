use alloy_primitives::{Address, B256, Bytes};
use channel::{Amount, BlockRef, ChannelId, Event, Facts};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A line of the audit trail. As JSON, amounts are decimal text, bytes are hex with 0x, and times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// The first line.
    Trail(Head),
    /// A deployment. All of them come before the channels.
    Deployment(DeploymentRecord),
    /// A channel, by key. Its events follow it.
    Channel(Box<ChannelRecord>),
    /// An event of the channel above it, in the order of the chain.
    Event(EventRecord),
    /// What was sold. Lines of the same day, deployment, route and payer add up.
    Sale(SaleRecord),
    /// A transaction that was signed, by chain, account, nonce and number.
    Transaction(Box<TransactionRecord>),
    /// The last line: without it, the trail was cut off.
    End(Counts),
}

/// What a trail is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Of this format.
    pub version: u32,
    /// When: all lines are of one moment.
    pub taken_at: Timestamp,
    /// Without what had ended by then; `None`: everything.
    pub since: Option<Timestamp>,
}

/// A deployment, and how far its chain was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// Its name in the configuration.
    pub name: String,
    /// The chain.
    pub chain_id: u64,
    /// The contract.
    pub contract: Address,
    /// Its token.
    pub token: Address,
    /// Who is paid.
    pub payee: Address,
    /// The last block read; `None`: nothing was.
    pub read_to: Option<BlockRef>,
    /// The newest block that counts as deep enough for incoming money.
    pub confirmed: Option<u64>,
}

/// A channel with all that is ours of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// Its key.
    pub id: ChannelId,
    /// Its deployment.
    pub deployment: String,
    /// Who pays from it.
    pub payer: Address,
    /// What the contract needs beside the payer to name it.
    pub params: Bytes,
    /// When we first heard of it.
    pub created_at: Timestamp,
    /// What the chain says.
    pub facts: Facts,
    /// The final amount that we agreed to.
    pub agreed_close: Option<Amount>,
    /// Its counters.
    pub epochs: Vec<EpochRecord>,
    /// The closing signature that we gave.
    pub closing: Option<SignedAmount>,
}

/// The counters of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch's number.
    pub number: u64,
    /// The highest cumulative amount that we may count on.
    pub authorised: Amount,
    /// Charged so far.
    pub spent: Amount,
    /// Reserved for calls in flight.
    pub held: Amount,
    /// The highest amount ever seen in calldata.
    pub published: Amount,
    /// The best voucher: the money itself.
    pub voucher: Option<SignedAmount>,
}

/// An amount, and the signature under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAmount {
    /// Cumulative.
    pub amount: Amount,
    /// r ‖ s ‖ v.
    pub signature: Bytes,
}

/// Something the contract said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// What, and where it stands.
    #[serde(flatten)]
    pub event: Event,
    /// Its block is no longer part of the chain.
    pub orphaned: bool,
    /// When we heard of it.
    pub seen_at: Timestamp,
}

/// What was sold on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleRecord {
    /// The day, of UTC.
    pub day: Date,
    /// The deployment.
    pub deployment: String,
    /// The route's name; empty for what was not sold on any.
    pub route: String,
    /// Who paid.
    pub payer: Address,
    /// What was charged.
    pub amount: Amount,
    /// How many calls.
    pub calls: u64,
}

/// A transaction of the journal, and what became of what it was for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRecord {
    /// The chain.
    pub chain_id: u64,
    /// Who signed it.
    pub account: Address,
    /// Its nonce.
    pub nonce: u64,
    /// How many were signed for this nonce before it.
    pub number: u32,
    /// Its hash.
    pub hash: B256,
    /// What was broadcast.
    pub raw: Bytes,
    /// Whether it does nothing but use the nonce up.
    pub noop: bool,
    /// When it was stored.
    pub created_at: Timestamp,
    /// What it is for.
    pub intent: i64,
    /// Why.
    pub job: Option<i64>,
    /// The channel it is about.
    pub channel: Option<ChannelId>,
    /// What became of the intent: `prepared`, `broadcast`, `mined`, `reverted`, `replaced` or `cancelled`.
    pub state: String,
    /// The block that used its nonce up.
    pub block: Option<u64>,
    /// Whether that block is so deep that this stays.
    pub confirmed: bool,
    /// Why it reverted.
    pub reason: Option<String>,
}

/// How many lines of each kind there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Channels.
    pub channels: u64,
    /// Events.
    pub events: u64,
    /// Sales.
    pub sales: u64,
    /// Transactions.
    pub transactions: u64,
}

impl Counts {
    /// Counts a line.
    pub fn count(&mut self, record: &Record) {
        let count = match record {
            Record::Channel(_) => &mut self.channels,
            Record::Event(_) => &mut self.events,
            Record::Sale(_) => &mut self.sales,
            Record::Transaction(_) => &mut self.transactions,
            Record::Trail(_) | Record::Deployment(_) | Record::End(_) => return,
        };
        *count = count.saturating_add(1);
    }
}
