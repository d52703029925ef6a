//! Throw-away servers for tests and for the demo: the real programs, on free loopback ports, with their data under the
//! target directory, and gone when the test is over, however it ends.
//!
//! | module | what it starts |
//! |---|---|
//! | [`postgres`] | PostgreSQL; a migrated database per test; `kill -9` and back; a standby; a slow disk; TLS |
//! | [`anvil`] | the development chain; reorgs, restarts, a node that hangs |
//! | [`rabbit`] | RabbitMQ, one node or three; killed, wiped, out of memory |
//! | [`dup`] | a broker that doubles, delays, corrupts and loses messages |
//! | [`haproxy`] | the load balancer in front of the fronts |
//! | [`prometheus`] | a Prometheus that scrapes our programs, and its tool |
//! | [`upstream`] | an API worth paying for, with failing and slow pages |
//! | [`cut`] | a TCP proxy that cuts connections at chosen moments |
//! | [`liar`] | a JSON-RPC proxy that errs, lags and forgets |
//! | [`original`] | the original µRaiden clients |
//! | [`original_proxy`] | the original µRaiden proxy, with channels that can pay it |
//! | [`x402_express`] | the official x402 server for Express, with channels that can pay it |
//! | [`collector`] | a collector of traces, which refuses or hangs when it is told to |
//! | [`chromium`] | a web browser without a window |
//! | [`authority`] | certificates |
//! | [`cluster`] | all of it together, with our own programs |
//! | [`clear`] | what the wallet says while all is well, for tests without one |
//! | [`history`] | what clients were told, and whether the books agree with it |
//! | [`rounds`] | how long a test goes on, and from which seed |
//!
//! *Invariant:* nothing here is mocked, and nothing is ended by name: only process groups we started, by their id.

pub mod anvil;
pub mod authority;
pub mod chromium;
pub mod clear;
pub mod cluster;
pub mod collector;
pub mod cut;
pub mod demo;
pub mod dup;
pub mod haproxy;
pub mod history;
pub mod http;
pub mod liar;
pub mod original;
pub mod original_proxy;
pub mod paths;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod rabbit;
mod reaper;
pub mod rounds;
pub mod rpc;
pub mod scratch;
pub mod upstream;
pub mod wait;
pub mod x402_express;
