use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::process::{Process, is_alive};
use testkit::scratch::Scratch;
use testkit::wait;

fn sleeper(log: &Path) -> Result<Process> {
    Process::spawn("a shell", Command::new("/bin/sh").args(["-c", "sleep 1000 & echo $!; wait"]), log)
}

/// The shell's own child, which it prints.
async fn childs_child(log: &Path) -> Result<u32> {
    wait::until("the shell to say its child", Duration::from_secs(5), async || {
        std::fs::read_to_string(log)?.trim().parse().context("no number yet")
    })
    .await
}

#[tokio::test]
async fn dropping_a_process_ends_its_children_too() -> Result<()> {
    let scratch = Scratch::new("process")?;
    let log = scratch.path().join("log");
    let process = sleeper(&log)?;
    let pids = [process.pid(), childs_child(&log).await?];
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    drop(process);
    gone(&pids).await
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_within_the_bound() -> Result<()> {
    let scratch = Scratch::new("process")?;
    let log = scratch.path().join("log");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' TERM; echo $$; while :; do sleep 1; done"]);
    let mut process = Process::spawn("a stubborn shell", &mut command, &log)?;
    childs_child(&log).await?;
    let error = process.stop(Duration::from_millis(200)).await.expect_err("it ignores SIGTERM");
    assert!(error.to_string().contains("was killed"), "{error}");
    gone(&[process.pid()]).await
}

#[tokio::test]
async fn what_we_start_ends_with_us_even_when_we_are_killed() -> Result<()> {
    let mut us = Command::new(std::env::current_exe()?)
        .args(["process::stand_in", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(us.stdout.take().context("no output")?).lines();
    let said = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("started ").map(str::to_owned));
    let said = said.context("the other process of ours says nothing")?;
    let (pids, dir) = said.split_once(" in ").context("it says no directory")?;
    let pids: Vec<u32> = pids.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    assert!(pids.len() == 2 && pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    assert!(Path::new(dir).exists(), "{dir}");
    us.kill()?; // SIGKILL: no destructor runs
    us.wait()?;
    gone(&pids).await?;
    wait::until("the directory to be gone", Duration::from_secs(10), async || {
        ensure!(!Path::new(dir).exists(), "{dir} is still there");
        Ok(())
    })
    .await
}

/// Not a test: the process that the test above kills.
#[tokio::test]
#[ignore = "started by another test"]
async fn stand_in() -> Result<()> {
    let scratch = Scratch::new("stand-in")?;
    let log = scratch.path().join("log");
    let process = sleeper(&log)?;
    println!("\nstarted {} {} in {}", process.pid(), childs_child(&log).await?, scratch.path().display());
    std::future::pending().await
}

async fn gone(pids: &[u32]) -> Result<()> {
    wait::until("the processes to be gone", Duration::from_secs(5), async || {
        let alive: Vec<_> = pids.iter().filter(|pid| is_alive(**pid)).collect();
        ensure!(alive.is_empty(), "still alive: {alive:?}");
        Ok(())
    })
    .await
}
