//! The dialect of µRaiden 0.2: `RDN-*` headers and cookies, as its unmodified clients speak it.
//!
//! ```text
//! no signature ─────────────────────────────► 402, the base headers
//! a header that cannot be read ─────────────► 409, the reason as a JSON string
//! unknown, closing or closed channel ───────► 402 + RDN-Nonexisting-Channel
//! opening not deep enough ──────────────────► 402 + RDN-Insufficient-Confirmations
//! not signed by the payer ──────────────────► 402 + RDN-Invalid-Balance-Proof
//! ─ ─ ─ ─ ─ ─ ─ ─ from here the payer is known: + RDN-Sender-Address, RDN-Sender-Balance, RDN-Balance-Signature
//! not the last balance (plus the price) ────► 402 + RDN-Invalid-Amount
//! the last balance again ───────────────────► 402, nothing more: the client opens with it, and pays then
//! more than is deposited ───────────────────► 402 + RDN-Invalid-Balance-Proof: the client waits, and asks again
//! ```
//! A client tests the failure headers in an order of its own, so there is never more than one.
//!
//! Where we differ from the original, which answers 500 or accepts what it cannot claim: a signature that is not 65 bytes
//! of hex, or that comes without sender, block or balance, is 409, and so is a balance above 192 bits; a signature that the
//! contract would not accept (v of 29 and more, r or s zero) is `RDN-Invalid-Balance-Proof`, and so is a balance above
//! 128 bits, which no deposit of ours covers; the answer to a paid request shows the balance *after* it.

mod answer;
mod close;
mod page;
mod read;
mod reply;
mod rest;

use bytes::Bytes;
use channel::View;
use contracts::{Deployment, Kind, Opening};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{Answer, Command, Malformed, Offer, Payment, Protocol, Refused, Reply};

/// Names the REST interface to the client's closing of channels.
pub const GATEWAY_PATH: &str = "/api/1";

/// Where the REST interface is, in answers.
pub const GATEWAY: HeaderName = HeaderName::from_static("rdn-gateway-path");
/// The channel contract's address.
pub const CONTRACT: HeaderName = HeaderName::from_static("rdn-contract-address");
/// The payee's address.
pub const RECEIVER: HeaderName = HeaderName::from_static("rdn-receiver-address");
/// The token's address, in answers.
pub const TOKEN: HeaderName = HeaderName::from_static("rdn-token-address");
/// What one request costs, in base units, in answers.
pub const PRICE: HeaderName = HeaderName::from_static("rdn-price");
/// Never sent by clients; refused.
pub const PAYMENT: HeaderName = HeaderName::from_static("rdn-payment");
/// The payer's address.
pub const SENDER: HeaderName = HeaderName::from_static("rdn-sender-address");
/// The block the channel was opened in.
pub const OPEN_BLOCK: HeaderName = HeaderName::from_static("rdn-open-block");
/// The new cumulative balance, in requests.
pub const BALANCE: HeaderName = HeaderName::from_static("rdn-balance");
/// The cumulative balance the payee holds, in answers.
pub const SENDER_BALANCE: HeaderName = HeaderName::from_static("rdn-sender-balance");
/// The signature of a balance: 65 bytes of hex.
pub const SIGNATURE: HeaderName = HeaderName::from_static("rdn-balance-signature");

/// The channel is unknown, closing or closed.
pub const NONEXISTING_CHANNEL: HeaderName = HeaderName::from_static("rdn-nonexisting-channel");
/// The opening is not deep enough.
pub const UNCONFIRMED: HeaderName = HeaderName::from_static("rdn-insufficient-confirmations");
/// Not signed by the payer, or above what is deposited and confirmed.
pub const INVALID_PROOF: HeaderName = HeaderName::from_static("rdn-invalid-balance-proof");
/// Not the last balance plus the price.
pub const INVALID_AMOUNT: HeaderName = HeaderName::from_static("rdn-invalid-amount");

static REQUEST_HEADERS: [HeaderName; 8] = [CONTRACT, RECEIVER, PAYMENT, PRICE, SENDER, OPEN_BLOCK, BALANCE, SIGNATURE];
static ANSWER_HEADERS: [HeaderName; 12] = [
    GATEWAY,
    CONTRACT,
    RECEIVER,
    TOKEN,
    PRICE,
    SENDER,
    SENDER_BALANCE,
    SIGNATURE,
    NONEXISTING_CHANNEL,
    UNCONFIRMED,
    INVALID_PROOF,
    INVALID_AMOUNT,
];

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Raiden;

impl Protocol for Raiden {
    fn name(&self) -> &'static str {
        "raiden"
    }

    fn fits(&self, kind: Kind) -> bool {
        kind == Kind::Raiden
    }

    fn prefix(&self) -> &'static str {
        "rdn-"
    }

    fn roots(&self) -> &'static [&'static str] {
        &rest::ROOTS
    }

    fn payment(&self, head: &Parts) -> Result<Option<Payment>, Malformed> {
        read::payment(&head.headers)
    }

    fn command(&self, head: &Parts, body: &Bytes) -> Result<Command, Box<Answer>> {
        rest::command(head, body)
    }

    fn reply(&self, reply: &Reply<'_>) -> Answer {
        reply::answer(reply)
    }

    fn request_headers(&self) -> &'static [HeaderName] {
        &REQUEST_HEADERS
    }

    fn answer_headers(&self) -> &'static [HeaderName] {
        &ANSWER_HEADERS
    }

    fn letterhead(&self, deployment: &Deployment) -> HeaderMap {
        answer::letterhead(deployment)
    }

    fn malformed(&self, malformed: &Malformed) -> Answer {
        Answer::json(malformed.status, &malformed.reason)
    }

    fn challenge(&self, offer: &Offer<'_>, refused: Option<&Refused<'_>>) -> Answer {
        answer::challenge(offer, refused)
    }

    fn wants_page(&self, head: &Parts) -> bool {
        page::is_wanted(&head.headers)
    }

    fn cookies(&self, answer: &HeaderMap) -> Vec<HeaderValue> {
        page::cookies(answer)
    }

    fn receipt(&self, offer: &Offer<'_>, opening: &Opening, view: &View) -> HeaderMap {
        answer::receipt(offer, opening, view)
    }
}
