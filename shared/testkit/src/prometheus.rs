//! Prometheus of one's own: scrapes what it is told to, every second, and answers in its own language.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::Process;
use crate::scratch::Scratch;
use crate::{http, paths, ports};

const START: Duration = Duration::from_secs(20);

/// A running server. Dropped, it and its data are gone.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    port: u16,
    _scratch: Scratch,
}

impl Prometheus {
    /// Scrapes these ports, each set of them under its name as `job`, and evaluates the rules in these files.
    pub async fn start(jobs: &[(&str, Vec<SocketAddr>)], rules: &[PathBuf]) -> Result<Prometheus> {
        let (scratch, port) = (Scratch::new("prometheus")?, ports::free()?);
        let config = scratch.path().join("prometheus.yml");
        fs::write(&config, configuration(jobs, rules))?;
        let mut command = Command::new(paths::prometheus("prometheus")?);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", scratch.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::spawn("Prometheus", &mut command, &scratch.path().join("log"))?;
        let mut process = process.ends_with(Signal::SIGTERM);
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        process.answers(START, async || Ok(http::client()?.get(&ready).send().await?.error_for_status()?)).await?;
        Ok(Prometheus { _process: process, port, _scratch: scratch })
    }

    /// What an expression comes to now: a list of series, each with its labels (`metric`) and `value`.
    ///
    /// # Errors
    /// When the expression makes no sense, in Prometheus's words.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let answer = self.get("query", &[("query", expression)]).await?;
        // A scalar is a series of its own.
        match answer["resultType"].as_str() {
            Some("vector") => Ok(answer["result"].as_array().context("a list of series")?.clone()),
            _ => Ok(vec![answer]),
        }
    }

    /// The names of all metrics that were ever scraped.
    pub async fn names(&self) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.get("label/__name__/values", &[]).await?)?)
    }

    /// The groups of rules, with how each of them does.
    pub async fn rules(&self) -> Result<Value> {
        self.get("rules", &[]).await
    }

    async fn get(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let mut url = reqwest::Url::parse(&format!("http://127.0.0.1:{}/api/v1/{what}", self.port))?;
        url.query_pairs_mut().extend_pairs(parameters);
        let mut answer: Value = http::client()?.get(url).send().await?.json().await?;
        ensure!(answer["status"] == "success", "{parameters:?}: {}", answer["error"]);
        Ok(answer["data"].take())
    }
}

/// Runs `promtool`, Prometheus's own tool; `input` goes to its standard input. Says how it ended and what it said.
pub fn promtool(arguments: &[&str], input: Option<&Path>) -> Result<(bool, String)> {
    let mut command = Command::new(paths::prometheus("promtool")?);
    command.args(arguments);
    if let Some(input) = input {
        command.stdin(fs::File::open(input)?);
    }
    let Output { status, stdout, stderr } = command.output().context("promtool can be started")?;
    Ok((status.success(), String::from_utf8([stdout, stderr].concat())?))
}

fn configuration(jobs: &[(&str, Vec<SocketAddr>)], rules: &[PathBuf]) -> String {
    let mut text = "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n".to_owned();
    let rules: Vec<String> = rules.iter().map(|file| format!("{file:?}")).collect();
    let _ = writeln!(text, "rule_files: [{}]\nscrape_configs:", rules.join(", "));
    for (name, targets) in jobs {
        let targets: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let _ = writeln!(text, "  - job_name: {name}\n    static_configs: [{{ targets: [{}] }}]", targets.join(", "));
    }
    text
}
