use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::report::{Code, Report};

/// `sluice config`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check a cluster's configuration: every error with its file (or variable) and key.
    #[command(after_help = "Example:\n  sluice config check sluice.toml")]
    Check {
        /// The configuration.
        file: PathBuf,
    },
}

pub(crate) fn run(command: &Command) -> anyhow::Result<Report> {
    let Command::Check { file } = command;
    let mut problems = Vec::new();
    match runtime::config::load(file) {
        Ok(config) => {
            if let Err(error) = config.database.check() {
                problems.push(format!("{}: database: {error}", file.display()));
            }
        }
        Err(error) => problems.extend(lines(&error.into())),
    }
    if problems.is_empty() {
        return Ok(Report::new(format!("{}: fine", file.display()), json!({ "file": file, "problems": [] })));
    }
    let json = json!({ "file": file, "problems": problems });
    Ok(Report { code: Code::Failed, ..Report::new(problems.join("\n"), json) })
}

fn lines(error: &anyhow::Error) -> Vec<String> {
    format!("{error:#}").lines().map(str::to_owned).collect()
}
