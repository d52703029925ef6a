//! Everything below PostgreSQL goes away, breaks or lies, while payers pay: the broker, the nodes, the chain itself, the
//! watcher and the wallet.
//!
//! The tests run one after the other, because they measure. `SLUICE_SOAK=1` makes them long, `SLUICE_SEED=n` repeats one.

mod absent;
mod broker;
mod closes;
mod errands;
mod finality;
mod nodes;
mod world;
