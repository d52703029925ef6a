//! Throw-away servers for tests and for the demo: the real programs, on free loopback ports, with their data under the
//! target directory, and gone when the test is over, however it ends.
//!
//! | module | what it starts |
//! |---|---|
//! | [`postgres`] | PostgreSQL; a migrated database per test; `kill -9` and back |
//! | [`anvil`] | the development chain; reorgs, restarts, a node that hangs |
//! | [`haproxy`] | the load balancer in front of the fronts |
//! | [`upstream`] | an API worth paying for, with failing and slow pages |
//! | [`cut`] | a TCP proxy that cuts connections at chosen moments |
//! | [`liar`] | a JSON-RPC proxy that errs, lags and forgets |
//! | [`original`] | the original µRaiden clients |
//! | [`chromium`] | a web browser without a window |
//! | [`cluster`] | all of it together, with our own programs |
//!
//! *Invariant:* nothing here is mocked, and nothing is ended by name: only process groups we started, by their id.

pub mod anvil;
pub mod chromium;
pub mod cluster;
pub mod cut;
pub mod demo;
pub mod haproxy;
pub mod http;
pub mod liar;
pub mod original;
pub mod paths;
pub mod ports;
pub mod postgres;
pub mod process;
mod reaper;
pub mod rpc;
pub mod scratch;
pub mod upstream;
pub mod wait;
