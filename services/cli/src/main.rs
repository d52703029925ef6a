//! `sluice`: pays for requests, looks after channels and accounts, and helps who runs a cluster.

use std::process::ExitCode;

mod account;
mod arguments;
mod backup;
mod channel;
mod claim;
mod close;
mod config;
mod contract;
mod database;
mod doctor;
mod export;
mod jobs;
mod key;
mod list;
mod migrate;
mod outbound;
mod pay;
mod payer_arguments;
mod private;
mod quote;
mod ready;
mod report;
mod resume;
mod revenue;
mod table;
mod verify;
mod waiting;

fn main() -> ExitCode {
    arguments::run()
}
