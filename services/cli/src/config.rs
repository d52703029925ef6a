use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Subcommand;
use reqwest::StatusCode;
use serde::Deserialize;
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
    /// Have a running front take over its configuration, as far as that needs no restart.
    #[command(after_help = "Example:\n  sluice config reload http://127.0.0.1:9080")]
    Reload {
        /// The address of the front's second port (front.ops_listen).
        ops: String,
    },
}

/// For a front to read its configuration and answer.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What a front says about a reload.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reloaded {
    Changed(Vec<String>),
    Problems(Vec<String>),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Report> {
    match command {
        Command::Check { file } => Ok(check(&file)),
        Command::Reload { ops } => reload(&ops).await,
    }
}

async fn reload(ops: &str) -> anyhow::Result<Report> {
    let client = reqwest::Client::builder().no_proxy().timeout(RELOAD_TIMEOUT).build()?;
    let answer = client.post(format!("{}/reload", ops.trim_end_matches('/'))).send().await?;
    let status = answer.status();
    ensure!(
        matches!(status, StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY),
        "{ops} answers {status}: is this the second port of a front that is up?"
    );
    Ok(match answer.json().await.context("the answer makes no sense")? {
        Reloaded::Changed(keys) => {
            let text = if keys.is_empty() { "nothing changed".to_owned() } else { keys.join("\n") };
            Report::new(text, json!({ "changed": keys }))
        }
        Reloaded::Problems(problems) => {
            let json = json!({ "problems": problems });
            Report { code: Code::Failed, ..Report::new(problems.join("\n"), json) }
        }
    })
}

fn check(file: &Path) -> Report {
    let checked = runtime::config::load(file).map_err(|error| lines(&error.into())).and_then(|config| {
        let checked = config.database.check().and_then(|()| config.database.protection());
        checked.map_err(|error| vec![format!("{}: database: {error}", file.display())])
    });
    let problems = match checked {
        Ok(protection) => {
            let text = format!("{}: fine; connections to the database are {protection}", file.display());
            return Report::new(text, json!({ "file": file, "problems": [], "database": protection }));
        }
        Err(problems) => problems,
    };
    let json = json!({ "file": file, "problems": problems });
    Report { code: Code::Failed, ..Report::new(problems.join("\n"), json) }
}

fn lines(error: &anyhow::Error) -> Vec<String> {
    format!("{error:#}").lines().map(str::to_owned).collect()
}
