//! One of our own programs, on ports of its own: it can be killed, stopped and started again on the same ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::Process;
use crate::{http, paths, ports, wait};

const READY: Duration = Duration::from_secs(30);
/// Longer than a front's drain delay and grace together.
const STOP: Duration = Duration::from_secs(10);

/// A running program of ours, or one that was stopped.
#[derive(Debug)]
pub struct Service {
    /// `front-0` and the like; its log is in a file of that name.
    pub name: String,
    /// Where it takes requests; for what takes none, the same as `health`.
    pub listen: SocketAddr,
    /// Where it says whether it is ready, and its metrics.
    pub health: SocketAddr,
    program: PathBuf,
    arguments: Vec<String>,
    env: Vec<(String, String)>,
    log: PathBuf,
    process: Option<Process>,
}

impl Service {
    /// Starts `front`, `watcher` or `wallet`.
    pub fn program(name: &str, number: usize, config: &Path, env: &[(&str, &str)]) -> Result<Service> {
        let health = loopback()?;
        let section = name.to_uppercase();
        let mut env: Vec<(String, String)> =
            env.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        env.push((format!("SLUICE_{section}__OPS_LISTEN"), format!("{health:?}")));
        let mut listen = health;
        if name == "front" {
            listen = loopback()?;
            env.push((format!("SLUICE_{section}__LISTEN"), listen.to_string()));
        }
        let dir = config.parent().context("a configuration is in a directory")?;
        let arguments = vec!["--config".to_owned(), config.to_string_lossy().into_owned()];
        let name_and_number = format!("{name}-{number}");
        Self { listen, health, arguments, env, ..Self::new(&name_and_number, paths::program(name)?, dir) }.started()
    }

    /// Starts the upstream, as a process of its own that a kept cluster can leave behind.
    pub(super) fn upstream(dir: &Path) -> Result<Service> {
        let listen = loopback()?;
        let calls = dir.join("upstream.calls");
        let arguments = ["upstream", "--listen", &listen.to_string(), "--calls", &calls.to_string_lossy()];
        let arguments = arguments.map(str::to_owned).to_vec();
        let service = Self::new("upstream", paths::program("cluster")?, dir);
        Self { listen, health: listen, arguments, ..service }.started()
    }

    fn new(name: &str, program: PathBuf, dir: &Path) -> Service {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let log = dir.join(format!("{name}.log"));
        let (arguments, env, process) = (Vec::new(), Vec::new(), None);
        Service { name: name.to_owned(), listen: nowhere, health: nowhere, program, arguments, env, log, process }
    }

    fn started(mut self) -> Result<Service> {
        self.start_again()?;
        Ok(self)
    }

    /// Its address for HTTP.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// The process, while it runs: to pause it and let it go on.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} is not running", self.name))
    }

    /// Whether it was neither stopped nor killed, and did not end by itself.
    pub fn is_running(&mut self) -> bool {
        self.check_running().is_ok()
    }

    /// Fails, with the end of its log, when it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        self.process.as_mut().with_context(|| format!("{} is not running", self.name))?.check_running()
    }

    /// Waits until it says that it is ready; fails at once, with the end of its log, when it has ended.
    pub async fn ready(&mut self) -> Result<()> {
        let url = format!("http://{}/readyz", self.health);
        let process = self.process.as_mut().with_context(|| format!("{} is not running", self.name))?;
        let client = http::client()?;
        let ask = async || Ok(client.get(&url).send().await?.error_for_status()?);
        process.answers(READY, ask).await.map(drop)
    }

    /// Waits until it, a front, says that it sells on every deployment.
    pub async fn sells(&self) -> Result<()> {
        let (url, client) = (format!("http://{}/readyz?verbose", self.health), http::client()?);
        wait::until("every deployment to be for sale", READY, async || {
            let said: Value = client.get(&url).send().await?.json().await?;
            let checks = said["checks"].as_object().context("it lists its checks")?;
            let stale = checks.iter().find(|(name, state)| {
                name.starts_with("deployment ") && !state.as_str().is_some_and(|state| state.starts_with("ok"))
            });
            ensure!(stale.is_none(), "{stale:?}");
            Ok(())
        })
        .await
    }

    /// Kills it, as a machine that dies.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.take().with_context(|| format!("{} is not running", self.name))?.kill9()
    }

    /// Stops it as an operator does; says how long it took.
    pub async fn stop(&mut self) -> Result<Duration> {
        let mut process = self.process.take().with_context(|| format!("{} is not running", self.name))?;
        process.stop(STOP).await
    }

    /// Likewise, with as much time as it is given; fails unless it ended as asked, with status 0.
    pub async fn ends(&mut self, within: Duration) -> Result<()> {
        let mut process = self.process.take().with_context(|| format!("{} is not running", self.name))?;
        let status = process.terminate(within).await?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }

    /// Starts it on the same ports. It is not waited for: see [`Service::ready`].
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} is running already", self.name);
        let mut command = Command::new(&self.program);
        // What configures a cluster of the user's must not configure this one.
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("SLUICE_")) {
            command.env_remove(key);
        }
        command.args(&self.arguments).envs(self.env.iter().map(|(key, value)| (key, value)));
        command.current_dir(self.log.parent().unwrap_or(Path::new("/")));
        self.process = Some(Process::spawn(&self.name, &mut command, &self.log)?.ends_with(Signal::SIGKILL));
        Ok(())
    }

    /// Lets it outlive us; gives its process id.
    pub fn keep(mut self) -> Result<u32> {
        self.process.take().with_context(|| format!("{} is not running", self.name))?.keep()
    }
}

fn loopback() -> Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], ports::free()?)))
}
