//! What every process of the cluster has: configuration, telemetry, shutdown, and a second port for health and metrics.
//!
//! A process is a function from these to a result; [`process::run`] is its `main`.

pub mod config;
mod lease;
pub mod ops;
pub mod process;
pub mod shutdown;
pub mod telemetry;
pub mod trace;

pub use config::Config;
pub use lease::Lease;
pub use ops::{Check, Ops};
pub use shutdown::Shutdown;
