//! A real front on a real PostgreSQL, before a real upstream. The chain is told to the ledger as a watcher would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod access_log;
mod admin;
mod bad_input;
mod calls;
mod close;
mod connections;
mod cors;
mod drain;
mod faults;
mod flood;
mod forwarded;
mod goods;
mod identity;
mod layer;
mod limits;
mod microraiden;
mod modes;
mod page;
mod payments;
mod prices;
mod program;
mod quota;
mod refusals;
mod reload;
mod rest;
mod sales;
mod tls;
mod world;
