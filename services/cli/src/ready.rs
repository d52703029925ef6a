use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::report::{Code, Report};

/// `sluice ready`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sluice ready http://127.0.0.1:9080       a front; 9081: a watcher; 9082: a wallet

For the health check of a container without a shell. Exit code 0 if the process is ready, 1 if it is not or does not answer.")]
pub(crate) struct Arguments {
    /// The address of the process's second port (ops_listen).
    ops: String,
}

/// Shorter than container runtimes wait for a check.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let ops = arguments.ops.trim_end_matches('/');
    let client = Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let answer = client.get(format!("{ops}/readyz?verbose")).send().await;
    let answer = answer.with_context(|| format!("nothing answers at {ops}"))?;
    let status = answer.status();
    ensure!(
        matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE),
        "{ops} answers {status}: is this the second port of a process of ours?"
    );
    let said: Value = answer.json().await.context("the answer makes no sense")?;
    let checks = said["checks"].as_object().into_iter().flatten();
    let mut lines = vec![if status == StatusCode::OK { "ready" } else { "not ready" }.to_owned()];
    lines.extend(checks.map(|(name, state)| format!("{name}: {}", state.as_str().unwrap_or_default())));
    let code = if status == StatusCode::OK { Code::Done } else { Code::Failed };
    Ok(Report { code, ..Report::new(lines.join("\n"), json!(said)) })
}
