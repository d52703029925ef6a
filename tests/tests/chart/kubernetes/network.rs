//! Service and Ingress, played by HAProxy: it looks after nobody's health, and knows the endpoints that it is told, late.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::haproxy::Haproxy;
use testkit::ports;
use testkit::scratch::Scratch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

/// From what becomes of a Pod until the last machine routes accordingly. Nothing that ends waits for it.
const LATE: Duration = Duration::from_millis(1_500);

pub struct Network {
    _haproxy: Haproxy,
    service: u16,
    ingress: u16,
    admin: u16,
}

impl Network {
    /// Without endpoints.
    pub async fn start() -> Result<Arc<Network>> {
        let [service, ingress, admin] = [ports::free()?, ports::free()?, ports::free()?];
        let text = configuration(service, ingress, admin);
        let haproxy = Haproxy::configured(Scratch::new("haproxy")?, service, &text).await?;
        Ok(Arc::new(Network { _haproxy: haproxy, service, ingress, admin }))
    }

    /// Hands each connection to a Pod, which keeps it as long as it lives.
    pub fn service(&self) -> String {
        format!("http://127.0.0.1:{}", self.service)
    }

    /// Hands each request to a Pod, over connections of its own.
    pub fn ingress(&self) -> String {
        format!("http://127.0.0.1:{}", self.ingress)
    }

    /// Routes to a Pod while it is ready.
    pub async fn follow(
        self: Arc<Self>,
        pod: String,
        listen: SocketAddr,
        mut ready: watch::Receiver<bool>,
    ) -> Result<()> {
        for backend in ["service", "ingress"] {
            self.tell(&format!("add server {backend}/{pod} {listen}")).await?;
        }
        while ready.changed().await.is_ok() {
            sleep(LATE).await;
            let state = if *ready.borrow_and_update() { "ready" } else { "maint" };
            for backend in ["service", "ingress"] {
                self.tell(&format!("set server {backend}/{pod} state {state}")).await?;
            }
        }
        Ok(())
    }

    async fn tell(&self, command: &str) -> Result<()> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.admin)).await?;
        socket.write_all(format!("{command}\n").as_bytes()).await?;
        let mut said = String::new();
        socket.read_to_string(&mut said).await?;
        let said = said.trim();
        ensure!(said.is_empty() || said == "New server registered.", "{command}: {said}");
        Ok(())
    }
}

/// Neither asks again on another Pod: whatever a Pod does not answer is a request that failed.
fn configuration(service: u16, ingress: u16, admin: u16) -> String {
    format!(
        "global
    log stdout format raw local0 info
    maxconn 8192
    stats socket ipv4@127.0.0.1:{admin} level admin

defaults
    log global
    option dontlog-normal
    retries 0
    timeout connect 1s
    timeout client 70s
    timeout server 70s

listen service
    mode tcp
    option tcplog
    bind 127.0.0.1:{service}
    balance roundrobin

frontend public
    mode http
    option httplog
    option forwardfor
    bind 127.0.0.1:{ingress}
    default_backend ingress

backend ingress
    mode http
    balance roundrobin
"
    )
}
