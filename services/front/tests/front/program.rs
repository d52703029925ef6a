//! A front as operators run it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use testkit::process::Process;
use testkit::wait;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::world::World;

/// A front that is a process.
pub struct Program {
    pub process: Process,
    pub listen: SocketAddr,
    pub ops: SocketAddr,
    pub client: Client,
}

impl Program {
    pub fn start(world: &World) -> Program {
        Program::start_with(world, &[])
    }

    /// With settings from the environment.
    pub fn start_with(world: &World, settings: &[(&str, &str)]) -> Program {
        let port = || SocketAddr::from(([127, 0, 0, 1], testkit::ports::free().unwrap()));
        let (listen, ops) = (port(), port());
        let config = world.config_file(listen, ops);
        let mut command = Command::new(env!("CARGO_BIN_EXE_front"));
        let process = Process::spawn(
            "front",
            command.arg("--config").arg(config).envs(settings.iter().copied()),
            &world.folder().join("log"),
        )
        .unwrap();
        Program { process, listen, ops, client: Client::builder().no_proxy().build().unwrap() }
    }

    pub async fn probe(&self, path: &str) -> Option<StatusCode> {
        Some(self.client.get(format!("http://{}{path}", self.ops)).send().await.ok()?.status())
    }

    pub async fn becomes(&self, path: &str, status: StatusCode) {
        wait::until(path, Duration::from_secs(15), async || {
            anyhow::ensure!(self.probe(path).await == Some(status), "not {status} yet");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// A request on a connection of its own, which stays open.
    pub async fn ask(&self, path: &str, headers: &reqwest::header::HeaderMap) -> TcpStream {
        let mut stream = TcpStream::connect(self.listen).await.unwrap();
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        stream
    }
}
