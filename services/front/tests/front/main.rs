//! A real front on a real PostgreSQL, before a real upstream. The chain is told to the ledger as a watcher would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod close;
mod drain;
mod faults;
mod forwarded;
mod identity;
mod limits;
mod payments;
mod program;
mod world;
