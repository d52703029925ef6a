//! `sluice list`: what the ledger has, a page at a time.

use clap::Subcommand;

use crate::report::Report;

mod channels;
mod claims;

pub(crate) use channels::{claimable, some};

/// `sluice list`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Channels with all their counters, by key.
    Channels(channels::Arguments),
    /// Claims that were made, the newest first, and those that are under way.
    Claims(claims::Arguments),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Report> {
    match command {
        Command::Channels(arguments) => channels::run(arguments).await,
        Command::Claims(arguments) => claims::run(arguments).await,
    }
}
