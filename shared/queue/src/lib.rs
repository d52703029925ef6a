//! Rings for the ledger's jobs, over RabbitMQ.
//!
//! A job is a row of the ledger; a message carries its number and says no more than "look". So a broker may be away, lose
//! everything, deliver twice or in any order: what is to be done is done, at most a little later.
//!
//! ```text
//! jobs ── due? ─▶ relay ── confirmed ─▶ broker ── ring ─▶ worker: the job's row: open, due, ours? ─▶ attempt ─▶ commit ─▶ ack
//!   └───────────────────── a look every now and then ──────▶
//! ```
//! The [`relay()`] publishes what is due; of several processes with one, the holder of the lease `relay` does. A worker takes
//! its [`Rings`], and looks for itself when nothing rings. Without a broker it looks more often, and hears the ledger's NOTIFY.
//!
//! *Invariants:* a ring is acknowledged after the commit, never before. Fronts do not use this crate.

mod backlog;
mod broker;
mod error;
mod link;
mod message;
mod metric;
mod publisher;
mod relay;
mod rings;
mod topology;

pub use backlog::show_backlog;
pub use broker::Broker;
pub use error::QueueError;
pub use publisher::Publisher;
pub use relay::{relay, ring_what_is_due};
pub use rings::{Call, Rings, Rung};
pub use topology::Line;
