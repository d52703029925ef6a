//! HAProxy in front of the fronts, as the README tells operators to run it.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tokio::net::TcpStream;

use crate::process::Process;
use crate::scratch::Scratch;
use crate::{paths, ports};

const START: Duration = Duration::from_secs(10);

/// One front.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Where it takes requests.
    pub listen: SocketAddr,
    /// Where it says whether it is ready, under `/readyz`.
    pub health: SocketAddr,
}

/// How the fronts learn the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// From the header `X-Forwarded-For`.
    ForwardedFor,
    /// From a PROXY v2 header at the beginning of each connection.
    ProxyV2,
}

/// A running load balancer. Dropped, it is gone.
#[derive(Debug)]
pub struct Haproxy {
    process: Process,
    port: u16,
    scratch: Scratch,
}

impl Haproxy {
    /// Balances over these fronts; a front that is not ready gets nothing.
    pub async fn start(backends: &[Backend], client: Client) -> Result<Haproxy> {
        Self::start_in(Scratch::new("haproxy")?, ports::free()?, backends, client).await
    }

    /// Likewise, in a given directory and on a given port.
    pub async fn start_in(scratch: Scratch, port: u16, backends: &[Backend], client: Client) -> Result<Haproxy> {
        Self::configured(scratch, port, &configuration(port, backends, client)).await
    }

    /// With a configuration of the caller's, which takes connections on `port`.
    pub async fn configured(scratch: Scratch, port: u16, text: &str) -> Result<Haproxy> {
        let config = scratch.path().join("haproxy.cfg");
        fs::write(&config, text)?;
        let mut command = Command::new(paths::haproxy()?);
        command.arg("-db").arg("-f").arg(&config);
        let mut process = Process::spawn("HAProxy", &mut command, &scratch.path().join("log"))?;
        process.answers(START, async || Ok(TcpStream::connect(("127.0.0.1", port)).await?)).await?;
        Ok(Haproxy { process, port, scratch })
    }

    /// Its address for HTTP.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process, to find it in /proc.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Lets it outlive us; gives its process id.
    pub fn keep(mut self) -> Result<u32> {
        self.scratch.keep();
        self.process.keep()
    }
}

/// A request is tried again on another front only when its connection was never made: anything later may have been
/// paid for.
fn configuration(port: u16, backends: &[Backend], client: Client) -> String {
    let (header, proxy) = match client {
        Client::ForwardedFor => ("    option forwardfor\n", ""),
        Client::ProxyV2 => ("", " send-proxy-v2"),
    };
    let mut text = format!(
        "global
    log stdout format raw local0 info
    maxconn 8192

defaults
    mode http
    log global
    option httplog
    option redispatch 1
    retries 3
    retry-on conn-failure
    timeout connect 1s
    timeout client 70s
    timeout server 70s
{header}
frontend public
    bind 127.0.0.1:{port}
    default_backend fronts

backend fronts
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 300ms fastinter 100ms fall 2 rise 1 observe layer4 error-limit 2 on-error mark-down
"
    );
    for (number, Backend { listen, health }) in backends.iter().enumerate() {
        let _ = writeln!(text, "    server front-{number} {listen}{proxy} addr {} port {}", health.ip(), health.port());
    }
    text
}
