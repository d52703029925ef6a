//! A web browser without a window, to be driven over its debugging protocol.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::process::Process;
use crate::scratch::Scratch;
use crate::{http, paths, ports};

const START: Duration = Duration::from_secs(20);
/// Each is a handful of processes; a small machine runs few at a time.
const AT_A_TIME: usize = 2;
static PLACES: Semaphore = Semaphore::const_new(AT_A_TIME);

/// A running Chromium with a profile of its own. Dropped, it and its profile are gone.
#[derive(Debug)]
pub struct Chromium {
    process: Process,
    port: u16,
    socket: String,
    _scratch: Scratch,
    _place: SemaphorePermit<'static>,
}

impl Chromium {
    /// Starts one, once there is a place for it.
    pub async fn start() -> Result<Chromium> {
        let place = PLACES.acquire().await?;
        let (scratch, port) = (Scratch::new("chromium")?, ports::free()?);
        let mut command = Command::new(paths::chromium()?);
        command.arg(format!("--user-data-dir={}", scratch.path().join("profile").display()));
        command.arg(format!("--remote-debugging-port={port}"));
        // What tests serve is on this machine; nothing else is to be reached, and nothing kept in memory disks.
        command.args(["--headless", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-proxy-server"]);
        command.args(["--no-first-run", "--disable-background-networking", "--disable-component-update"]);
        command.args(["--disable-sync", "--disable-default-apps", "--hide-scrollbars", "--mute-audio"]);
        if paths::is_root() {
            command.arg("--no-sandbox");
        }
        command.arg("about:blank").env("HOME", scratch.path());
        let mut process = Process::spawn("Chromium", &mut command, &scratch.path().join("log"))?;
        let (client, url) = (http::client()?, format!("http://127.0.0.1:{port}/json/version"));
        let version =
            process.answers(START, async || Ok(client.get(&url).send().await?.json::<Value>().await?)).await?;
        let socket = version["webSocketDebuggerUrl"].as_str().context("Chromium names no socket")?.to_owned();
        Ok(Chromium { process, port, socket, _scratch: scratch, _place: place })
    }

    /// Where its debugging protocol is spoken (`ws://…`).
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// The port of its debugging protocol.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
