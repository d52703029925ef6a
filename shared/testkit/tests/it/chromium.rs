use std::time::Duration;

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use testkit::chromium::Chromium;
use testkit::wait;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_browser_is_gone_when_it_is_dropped() -> Result<()> {
    let chromium = Chromium::start().await?;
    let (port, group) = (chromium.port(), Pid::from_raw(i32::try_from(chromium.process().pid())?));
    assert!(chromium.socket().starts_with(&format!("ws://127.0.0.1:{port}/")));
    drop(chromium);
    wait::until("all its processes to end", Duration::from_secs(5), async || {
        ensure!(killpg(group, None) == Err(Errno::ESRCH), "some are left");
        ensure!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "somebody still listens");
        Ok(())
    })
    .await
}
