//! How the wire says it: one [`Protocol`] per dialect, one line each in [`ALL`].
//!
//! A protocol turns a request's head into a [`Payment`] or a [`Command`], and what became of it into an [`Answer`]. What a
//! payment is worth is none of its business: that is `channel`'s. How a voucher is signed is `contracts`'.
//!
//! *Absent by design:* `async`, clocks, randomness, environment, IO.

mod answer;
pub mod raiden;

use alloy_primitives::U256;
use bytes::Bytes;
use channel::{Amount, CloseRefusal, Refusal, Signature, View};
use contracts::{Deployment, Kind, Opening};
use http::HeaderMap;
use http::request::Parts;

pub use answer::{Answer, Malformed};

/// Every protocol we speak.
pub static ALL: &[&dyn Protocol] = &[&raiden::Raiden];

/// A dialect in which payments are asked for and made over HTTP.
pub trait Protocol: Send + Sync {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// Whether it knows how to name and pay channels of this contract.
    fn fits(&self, kind: Kind) -> bool;

    /// How the names of its headers and cookies begin, in lower case. Nobody but the protocol may set these.
    fn prefix(&self) -> &'static str;

    /// Whether the protocol itself answers requests to this path, by a [`Command`]; no route may be there.
    fn owns(&self, path: &str) -> bool;

    /// The payment that a request for something priced carries, if it carries one.
    ///
    /// # Errors
    /// [`Malformed`] when what it carries makes no sense, whatever the channel's state.
    fn payment(&self, head: &Parts) -> Result<Option<Payment>, Malformed>;

    /// What a request to a path that the protocol owns asks for.
    ///
    /// # Errors
    /// [`Malformed`] when there is no such thing to ask for, or it is asked for wrongly.
    fn command(&self, head: &Parts, body: &Bytes) -> Result<Command, Malformed>;

    /// The answer to what could not be understood.
    fn malformed(&self, malformed: &Malformed) -> Answer;

    /// The answer to a request that was not paid (`refused: None`) or whose payment was refused.
    fn challenge(&self, offer: &Offer<'_>, refused: Option<&Refused<'_>>) -> Answer;

    /// The headers that go with what was bought.
    fn receipt(&self, offer: &Offer<'_>, opening: &Opening, view: &View) -> HeaderMap;

    /// The answer to [`Command::Close`].
    fn closed(&self, outcome: Result<&Signature, &CloseRefusal>) -> Answer;
}

/// What is asked for something, and where it is paid.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Chain, contract, token and payee.
    pub deployment: &'a Deployment,
    /// The price of one request.
    pub price: Amount,
}

/// A voucher as a request carries it: nothing of it is checked yet but its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The channel it names.
    pub opening: Opening,
    /// Cumulative, in base units. As wide as the contract's integers; the ledger's are narrower.
    pub amount: U256,
    /// 65 bytes that claim to be a signature.
    pub signature: [u8; 65],
}

/// What a payer can ask for beside what is for sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To countersign the end of a channel.
    Close {
        /// The channel.
        opening: Opening,
        /// What the payee gets in all.
        amount: U256,
    },
}

/// A payment that bought nothing, and why.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// What was offered.
    pub payment: &'a Payment,
    /// Why it was refused.
    pub reason: Reason<'a>,
    /// The channel, for who proved to be its payer.
    pub view: Option<&'a View>,
}

/// Why a payment was refused.
#[derive(Clone, Copy, Debug)]
pub enum Reason<'a> {
    /// The channel's payer did not sign it in a form that the contract accepts.
    Signature,
    /// The rules say no.
    Rules(&'a Refusal),
}
