//! What each of us does while something is away: the rows of `docs/degraded.md`, on a real cluster with two deployments on
//! two chains; and half an hour without a watcher and a wallet.
//!
//! Time is warped: what the ledger remembers is made older, and the chains mine the blocks that belong to it.

mod half_hour;
mod rows;
mod town;
