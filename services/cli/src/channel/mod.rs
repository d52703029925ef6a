//! `sluice channel`: a file per command.

use clap::Subcommand;

use crate::report::Report;

mod close;
mod list;
mod open;
mod pick;
mod settle;
mod show;
mod top_up;

pub(crate) use pick::pick;

/// `sluice channel`. A channel is named `CONTRACT/RECEIVER/OPEN_BLOCK`, or by its open block where that is enough.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Open a channel to whom a URL asks to pay, or to a named receiver.
    Open(open::Arguments),
    /// Add to a channel's deposit.
    TopUp(top_up::Arguments),
    /// Close a channel, with the receiver's consent or alone.
    Close(close::Arguments),
    /// Take back what is left of a channel that was closed alone.
    Settle(settle::Arguments),
    /// List the channels that are remembered; with --contract, look for more on chain.
    List(list::Arguments),
    /// Show what is remembered of a channel, and what the chain says.
    Show(show::Arguments),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Report> {
    match command {
        Command::Open(arguments) => open::run(arguments).await,
        Command::TopUp(arguments) => top_up::run(arguments).await,
        Command::Close(arguments) => close::run(arguments).await,
        Command::Settle(arguments) => settle::run(arguments).await,
        Command::List(arguments) => list::run(arguments).await,
        Command::Show(arguments) => show::run(arguments).await,
    }
}
