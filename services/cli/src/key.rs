use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{ArgGroup, Subcommand};
use serde_json::json;

use crate::report::{Report, Usage};

/// `sluice key`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a new key and store it, mode 0600. An existing file is never overwritten.
    #[command(group = ArgGroup::new("how").required(true).args(["password_file", "raw"]))]
    #[command(after_help = "\
Examples:
  sluice key new --password-file password payer.json     a keystore (version 3 JSON)
  sluice key new --raw payer.key                         32 bytes in hex: whoever reads it has it")]
    New {
        /// The file to make.
        file: PathBuf,
        /// Encrypt it with the first line of this file (mode 0600).
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Store it as hex, not encrypted.
        #[arg(long)]
        raw: bool,
    },
}

pub(crate) fn run(command: &Command) -> anyhow::Result<Report> {
    let Command::New { file, password_file, .. } = command;
    let password = match password_file {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let password = text.lines().next().unwrap_or_default().to_owned();
            ensure!(!password.is_empty(), Usage(format!("the first line of {} is empty", path.display())));
            Some(password)
        }
        None => None,
    };
    let key = evm::keyfile::create(file, password.as_deref())?;
    let address = key.address();
    let text = format!("{address}\nThe key is in {}. There is no other copy of it.", file.display());
    Ok(Report::new(text, json!({ "address": address, "file": file })))
}
