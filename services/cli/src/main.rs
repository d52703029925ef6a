//! `sluice`: pays for requests, looks after channels and accounts, and helps who runs a cluster.

use std::process::ExitCode;

mod account;
mod arguments;
mod channel;
mod config;
mod contract;
mod database;
mod doctor;
mod key;
mod migrate;
mod pay;
mod payer_arguments;
mod report;
mod resume;
mod revenue;

fn main() -> ExitCode {
    arguments::run()
}
