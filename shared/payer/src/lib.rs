//! The paying side: opens channels, tops them up, signs, pays for HTTP requests, closes.
//!
//! ```no_run
//! # async fn example(key: channel::Key) -> Result<(), Box<dyn std::error::Error>> {
//! use payer::{Allowed, Limits, Payer, Settings};
//!
//! let mut settings = Settings::new("http://127.0.0.1:8545", 1337, "/var/lib/payer");
//! settings.limits = Limits {
//!     max_price: channel::Amount::new(10),
//!     max_deposit: channel::Amount::new(1_000),
//!     contracts: Allowed::These(vec!["0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512".parse()?]),
//!     ..Limits::default()
//! };
//! let payer = Payer::new(settings, key).await?;
//! let request = http::Request::get("http://127.0.0.1:8080/file.txt").body(bytes::Bytes::new())?;
//! let answer = payer.pay(request, payer::Options::default()).await?;
//! println!("{} for {}", answer.response.status(), answer.receipt.cost);
//! # Ok(())
//! # }
//! ```
//!
//! # What is remembered, and when
//!
//! A voucher's cumulative amount is on disk before the voucher leaves, marked as *in doubt* until an answer shows whether
//! the server took it. While it is in doubt the payer signs nothing else on that channel: it sends the same voucher again,
//! with whatever is asked next. Either the server takes it as payment for that, or it shows that it holds it already. So a
//! crash, a lost answer or a full disk never makes two vouchers out of one payment.
//!
//! A payer that lost its state finds its channels in the contract's logs, and asks the server by sending a voucher of 0: the
//! server answers with the balance it holds and the payer's own signature of it. A balance without that signature is believed
//! only where it is lower than what the payer knows it signed, which costs nothing.
//!
//! In the steady state a paid request is one HTTP exchange: price and balance are known from the last answer. A 402 corrects.
//!
//! # When an answer is lost
//!
//! µRaiden's dialect names payments, not requests. After [`PayerError::AnswerLost`] nobody but the server knows whether the
//! payment was taken and the request was done. Asking again:
//! * the voucher was not taken: it pays for the repetition, nothing is paid twice;
//! * it was taken and the call failed behind the server: the same request is served from the credit that is left;
//! * it was taken and the request was done: **the repetition is paid again**, unless the first one carried an
//!   `Idempotency-Key` and the repetition carries the same one. [`Options::retries`] sees to that.
//!
//! What was paid and never answered is asked back when the channel is closed with the receiver's consent.
//!
//! # Redirects
//!
//! They are followed where [`Options::redirects`] says so, by the rules of browsers. Each request on the way is a request of
//! its own, which may cost; [`Limits::max_price`] holds for all of them together. A redirect never makes the payer pay
//! somebody else: a server other than the one that was asked is paid only if [`Limits::hosts`] names it.
//!
//! # Limits
//!
//! Nothing happens by itself beyond [`Limits`]; a payer that was told nothing pays nothing. One request is never paid twice
//! over: what a server takes without serving is an error, not another payment.

mod answer;
mod call;
mod chain;
mod client;
mod close;
mod dispute;
mod error;
mod follow;
mod fund;
mod limits;
mod log;
mod outbox;
mod pay;
mod presign;
mod probe;
mod rdn;
mod refill;
mod refusal;
mod settings;
mod state;
mod store;

pub use answer::{Answer, Receipt, Redirect};
pub use call::Options;
pub use chain::OnChain;
pub use client::Payer;
pub use close::Ended;
pub use error::PayerError;
pub use limits::{Allowed, Limits, OverLimit, Spending};
pub use presign::presign;
pub use probe::{Probe, Verdict};
pub use refusal::ServerRefusal;
pub use settings::{Deposits, Funding, Patience, Settings};
pub use state::{Channel, ChannelKey, Closing, Failures, Offer};
