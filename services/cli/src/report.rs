//! How a command ends: what it prints, and its exit code.

use std::io::Write;
use std::process::ExitCode;

use evm::EvmError;
use ledger::LedgerError;
use payer::PayerError;
use serde_json::{Value, json};

/// What a command prints when it is done.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// For people; nothing is printed when it is empty.
    pub(crate) text: String,
    /// For programs.
    pub(crate) json: Value,
    /// Printed beside the results of others, so on stderr.
    pub(crate) aside: bool,
    /// The exit code, which may tell of a result that is no failure of ours.
    pub(crate) code: Code,
}

/// The exit codes, as `--help` explains them. 2 is clap's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Code {
    #[default]
    Done = 0,
    Failed = 1,
    Usage = 2,
    OverLimit = 3,
    Refused = 4,
    NoChain = 5,
}

/// A command line that is well-formed and still makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// A failure whose next step is known where it happens.
#[derive(Debug, thiserror::Error)]
#[error("{says}")]
pub(crate) struct Failure {
    says: String,
    next: String,
}

impl Failure {
    pub(crate) fn new(says: impl Into<String>, next: impl Into<String>) -> Failure {
        Failure { says: says.into(), next: next.into() }
    }
}

impl Report {
    pub(crate) fn new(text: impl Into<String>, json: Value) -> Report {
        Report { text: text.into(), json, aside: false, code: Code::Done }
    }
}

/// Logs go to stderr; `RUST_LOG` says which, warnings by default.
pub(crate) fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::builder().with_default_directive(tracing::Level::WARN.into());
    tracing_subscriber::fmt().with_env_filter(filter.from_env_lossy()).with_writer(std::io::stderr).init();
}

/// Prints how it ended.
pub(crate) fn finish(result: anyhow::Result<Report>, as_json: bool) -> ExitCode {
    let (text, to_stderr, code) = match result {
        Ok(report) => {
            let text = if as_json { report.json.to_string() } else { report.text };
            (text, report.aside, report.code)
        }
        Err(error) => {
            let code = code(&error);
            let text = if as_json { failure_json(&error, code).to_string() } else { failure_text(&error) };
            (text, true, code)
        }
    };
    if !text.is_empty() {
        let text = format!("{}\n", text.trim_end());
        // When nobody listens any more there is nobody to tell.
        let _ = match to_stderr {
            true => std::io::stderr().write_all(text.as_bytes()),
            false => std::io::stdout().write_all(text.as_bytes()),
        };
    }
    ExitCode::from(code as u8)
}

fn failure_text(error: &anyhow::Error) -> String {
    match next_step(error) {
        Some(next) => format!("error: {error:#}\nnext: {next}"),
        None => format!("error: {error:#}"),
    }
}

fn failure_json(error: &anyhow::Error, code: Code) -> Value {
    let limit = match error.downcast_ref() {
        Some(PayerError::Limit(over)) => Some(over.limit()),
        _ => None,
    };
    json!({ "error": format!("{error:#}"), "next": next_step(error), "limit": limit, "exit_code": code as u8 })
}

fn code(error: &anyhow::Error) -> Code {
    if error.is::<Usage>() {
        return Code::Usage;
    }
    if let Some(error) = error.downcast_ref() {
        return payer_code(error);
    }
    chain_code(error.chain().find_map(|cause| cause.downcast_ref()))
}

/// The exit code for what a payer could not do.
pub(crate) fn payer_code(error: &PayerError) -> Code {
    match error {
        PayerError::Limit(_) => Code::OverLimit,
        PayerError::Refused { .. } | PayerError::Lied { .. } | PayerError::TakenNotServed { .. } => Code::Refused,
        PayerError::Chain { source, .. } => chain_code(Some(source)),
        _ => Code::Failed,
    }
}

fn chain_code(error: Option<&EvmError>) -> Code {
    let away = |error: &EvmError| error.is_transient() || matches!(error, EvmError::WrongChain { .. });
    if error.is_some_and(away) { Code::NoChain } else { Code::Failed }
}

/// What to do about it, where that is not in the error's own words.
fn next_step(error: &anyhow::Error) -> Option<String> {
    if let Some(failure) = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()) {
        return Some(failure.next.clone());
    }
    if let Some(error) = error.chain().find_map(|cause| cause.downcast_ref()) {
        return ledger_step(error).map(str::to_owned);
    }
    let step = match error.downcast_ref()? {
        PayerError::Limit(over) if over.limit() == "chains" => "add it to `chains` in your payer file".to_owned(),
        PayerError::Limit(over) => {
            let name = over.limit();
            format!("if that is what you want, raise `{name}` (option --{} or your payer file)", option_of(name))
        }
        PayerError::TooFewTokens { .. } => "send tokens to the address that `sluice account` shows".to_owned(),
        PayerError::Unreachable { .. } => "check the address, and that the server runs".to_owned(),
        PayerError::AnswerLost { .. } => "look at the result of the request before you repeat it".to_owned(),
        PayerError::TakenNotServed { .. } => {
            "repeat it if it may be paid again; what is never served is asked back by `sluice channel close`".to_owned()
        }
        PayerError::Chain { source: EvmError::WrongChain { .. }, .. } => {
            "make --rpc and --chain-id name the same chain".to_owned()
        }
        PayerError::Chain { source, .. } if source.is_transient() => {
            "check --rpc, and that the node runs; then repeat: what was begun is finished first".to_owned()
        }
        PayerError::Chain { source: EvmError::Rejected { .. }, .. } => {
            "see `sluice account`: the account may lack coins for gas".to_owned()
        }
        PayerError::NoContract(_) => "check the address with `sluice contract check`".to_owned(),
        _ => return None,
    };
    Some(step)
}

/// What to do when the ledger does not go along.
fn ledger_step(error: &LedgerError) -> Option<&'static str> {
    Some(match error {
        LedgerError::Schema { .. } => "run `sluice migrate`, or use the `sluice` of the cluster's version",
        LedgerError::Unavailable(_) => "check that the database runs, and its address; then repeat",
        LedgerError::OutcomeUnknown => "look at what is there, and repeat if it did not happen",
        LedgerError::Overloaded => "wait until some of the work is done, and repeat",
        LedgerError::Tool(_) => {
            "backup and restore need pg_dump, pg_restore and psql of the server's version or newer on the PATH; a restore \
             needs a database that holds nothing"
        }
        _ => return None,
    })
}

fn option_of(limit: &str) -> String {
    // Lists are plural in a file and singular as a repeated option.
    limit.strip_suffix('s').unwrap_or(limit).replace('_', "-")
}
