//! How the wire says it: one [`Protocol`] per dialect, one line each in [`ALL`].
//!
//! A protocol turns a request's head into a [`Payment`] or a [`Command`], and what became of it into an [`Answer`]. What a
//! payment is worth is none of its business: that is `channel`'s. How a voucher is signed is `contracts`'.
//!
//! *Absent by design:* `async`, clocks, randomness, environment, IO.

mod answer;
mod desk;
pub mod raiden;

use alloy_primitives::U256;
use bytes::Bytes;
use channel::{Amount, Refusal, View};
use contracts::{Deployment, Kind, Opening};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use answer::{Answer, Malformed};
pub use desk::{Command, Details, Listing, Operation, Page, Reply, Statistics};

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

    /// The paths at and below which the protocol itself answers, by a [`Command`]; no route may be there.
    fn roots(&self) -> &'static [&'static str];

    /// Whether a path is at or below one of its [roots](Protocol::roots).
    fn owns(&self, path: &str) -> bool {
        let is_at = |root: &&str| path.strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.roots().iter().any(is_at)
    }

    /// The payment that a request for something priced carries, if it carries one.
    ///
    /// # Errors
    /// [`Malformed`] when what it carries makes no sense, whatever the channel's state.
    fn payment(&self, head: &Parts) -> Result<Option<Payment>, Malformed>;

    /// What a request to a path that the protocol owns asks for.
    ///
    /// # Errors
    /// The answer, when nothing has to be looked up for it: there is no such thing to ask for, or it is asked for wrongly.
    fn command(&self, head: &Parts, body: &Bytes) -> Result<Command, Box<Answer>>;

    /// The answer to a [`Command`].
    fn reply(&self, reply: &Reply<'_>) -> Answer;

    /// The headers that requests may carry for it, which web pages of other origins must be allowed to set.
    fn request_headers(&self) -> &'static [HeaderName];

    /// The headers that its answers carry, which web pages of other origins must be allowed to read.
    fn answer_headers(&self) -> &'static [HeaderName];

    /// What every answer says of a deployment. It is asked for once, and goes along with each [`Offer`].
    fn letterhead(&self, deployment: &Deployment) -> HeaderMap;

    /// The answer to a payment that could not be understood.
    fn malformed(&self, malformed: &Malformed) -> Answer;

    /// The answer to a request that was not paid (`refused: None`) or whose payment was refused.
    fn challenge(&self, offer: &Offer<'_>, refused: Option<&Refused<'_>>) -> Answer;

    /// Whether who asks would rather see a page to pay on than an empty 402.
    fn wants_page(&self, head: &Parts) -> bool;

    /// What an answer's headers say once more, as `Set-Cookie`s: a page cannot see the headers that it came with.
    fn cookies(&self, answer: &HeaderMap) -> Vec<HeaderValue>;

    /// The headers that go with what was bought.
    fn receipt(&self, offer: &Offer<'_>, opening: &Opening, view: &View) -> HeaderMap;
}

/// What is asked for something, and where it is paid.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The protocol's [letterhead](Protocol::letterhead) of the deployment where it is paid.
    pub letterhead: &'a HeaderMap,
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
