//! What a payment is: the rules of a payment channel, and nothing else.
//!
//! A payer signs cumulative [`Voucher`]s; a sale reserves ([`hold()`]) part of what was authorised, the call settles it
//! ([`capture()`] or [`release()`]), and what the chain says arrives as [`Facts`], folded from [`Event`]s.
//!
//! *Invariant:* `spent + held ≤ authorised` for every [`Epoch`], whatever happens, and applying chain facts never fails.
//! *Absent by design:* `async`, clocks, randomness, environment, SQL, HTTP. Time is an argument.

mod amount;
mod chain;
mod close;
mod closure;
mod freshness;
mod hold;
mod plan;
mod policy;
mod refill;
mod refusal;
mod signature;
mod state;
mod terms;
mod totals;
mod voucher;

pub use amount::{Amount, AmountError};
pub use chain::{BlockRef, Deadline, Event, EventKind, Facts, Status, absorb_claims, facts};
pub use close::{CloseRefusal, agree_close};
pub use closure::{Closure, closure};
pub use freshness::{Freshness, Horizon, Means, Mode, NotClear, Outlook, all_clear, safe_until};
pub use hold::{
    Capture, Hold, HoldId, HoldState, Request, RequestHash, Sale, Sold, capture, charge, hold, must_be_open, release,
};
pub use plan::{Action, Reason, challenge, plan};
pub use policy::{Coin, Moment, Policy};
pub use refill::{Balance, Portion, Refill, RefillPolicy, Today, refill};
pub use refusal::Refusal;
pub use signature::{BadSignature, Key, Signature};
pub use state::{Channel, ChannelId, Epoch, View};
pub use terms::{Step, Terms};
pub use totals::Totals;
pub use voucher::{VerifiedVoucher, Voucher};
