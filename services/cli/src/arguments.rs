use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::report::{self, Report};
use crate::{
    account, backup, channel, claim, close, config, contract, doctor, export, jobs, key, list, migrate, outbound, pay,
    quote, ready, resume, revenue, verify,
};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line makes no sense
  3  refused by one of your limits; nothing was paid
  4  refused by the server
  5  the chain (or its node) was not reached

A payer needs a node, a chain id, a key and limits, from options, the environment or a file:
  export SLUICE_RPC=http://127.0.0.1:8545 SLUICE_CHAIN_ID=61 SLUICE_KEY_FILE=payer.key
  sluice pay --max-price 10 --max-deposit 100 --contract 0x… http://127.0.0.1:8080/file.txt";

/// Pays for HTTP requests through payment channels, and looks after them.
#[derive(Parser)]
#[command(name = "sluice", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Arguments {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send a request and pay what it costs.
    Pay(Box<pay::Arguments>),
    /// Ask what a request costs, and pay nothing.
    Quote(quote::Arguments),
    /// For the payer: open, top up, close, settle and list payment channels.
    #[command(subcommand)]
    Channel(channel::Command),
    /// Show the payer's address and what it holds.
    Account(account::Arguments),
    /// Make keys.
    #[command(subcommand)]
    Key(key::Command),
    /// Deploy and check contracts.
    #[command(subcommand)]
    Contract(contract::Command),
    /// Check a cluster's configuration, and have fronts take it over.
    #[command(subcommand)]
    Config(config::Command),
    /// Find out why a channel is not accepted.
    Doctor(doctor::Arguments),
    /// For the payee: list the channels that pay it, and the claims from them.
    #[command(subcommand)]
    List(list::Command),
    /// For the payee: take what is owed on chain, and leave the channels open.
    Claim(claim::Arguments),
    /// For the payee: close a channel without its payer. (A payer closes with `sluice channel close`.)
    Close(close::Arguments),
    /// List the work of the background, and try again or give up some of it.
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Channels that we pay from, which the wallet keeps filled: list them, and say what was spent.
    #[command(subcommand)]
    Outbound(outbound::Command),
    /// Show what was sold, by day, route and payer.
    Revenue(revenue::Arguments),
    /// Write the audit trail: channels, vouchers, events, sales, transactions.
    Export(export::Arguments),
    /// Audit the ledger, or an export of it, against itself and the chain, to the unit.
    Verify(verify::Arguments),
    /// Back the ledger up: every voucher, as of one moment.
    Backup(backup::BackupArguments),
    /// Put a backup into an empty database.
    Restore(backup::RestoreArguments),
    /// Bring a cluster's database up to date.
    Migrate(migrate::Arguments),
    /// Ask a running process whether it is ready.
    Ready(ready::Arguments),
    /// Follow a halted deployment again.
    Resume(resume::Arguments),
}

/// Runs the command that the command line names.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    report::start_logging();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start")
        .and_then(|runtime| runtime.block_on(dispatch(arguments.command)));
    report::finish(result, arguments.json)
}

async fn dispatch(command: Command) -> anyhow::Result<Report> {
    match command {
        Command::Pay(arguments) => pay::run(*arguments).await,
        Command::Quote(arguments) => quote::run(arguments).await,
        Command::Channel(command) => channel::run(command).await,
        Command::Account(arguments) => account::run(arguments).await,
        Command::Key(command) => key::run(&command),
        Command::Contract(command) => contract::run(command).await,
        Command::Config(command) => config::run(command).await,
        Command::Doctor(arguments) => doctor::run(arguments).await,
        Command::List(command) => list::run(command).await,
        Command::Claim(arguments) => claim::run(arguments).await,
        Command::Close(arguments) => close::run(arguments).await,
        Command::Jobs(command) => jobs::run(command).await,
        Command::Outbound(command) => outbound::run(command).await,
        Command::Revenue(arguments) => revenue::run(arguments).await,
        Command::Export(arguments) => export::run(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Backup(arguments) => backup::backup(arguments).await,
        Command::Restore(arguments) => backup::restore(arguments).await,
        Command::Migrate(arguments) => migrate::run(arguments).await,
        Command::Ready(arguments) => ready::run(arguments).await,
        Command::Resume(arguments) => resume::run(arguments).await,
    }
}
