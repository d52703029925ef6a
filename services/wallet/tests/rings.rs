//! The wallet on a real broker: rings that come five times, late, shuffled and broken, or to a wallet that dies before it
//! answers; and jobs that are refused again and again.

mod common;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::{DEPLOYMENT, Opened, PATIENCE, Scene, until_active};
use ledger::{JobId, JobKind, JobOutcome, NewJob, traced};
use testkit::dup::{Dup, Mischief};
use testkit::liar::{Liar, Lie};
use testkit::process::Process;
use testkit::rabbit::Rabbit;
use testkit::{rounds, wait};

/// Nothing is found by looking while this lasts.
const NO_LOOK: &str = "600000";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn job(kind: JobKind, channel: &Opened) -> NewJob {
    let (deployment, key) = (DEPLOYMENT.to_owned(), channel.id.to_string());
    let amount = (kind == JobKind::Sign).then(|| common::amount(30));
    NewJob { kind, key, deployment, channel: Some(channel.id), amount }
}

/// Ends with this wallet, which hears nothing but the broker.
fn wallet(scene: &Scene, name: &str, broker: &str) -> Result<Process> {
    let keys = [("QUEUE__URL", broker), ("QUEUE__LOOK_MS", NO_LOOK), ("QUEUE__RING_AGAIN_MS", "3000")];
    scene.wallet_with(name, &keys)
}

async fn until_listening(wallet: &Process, times: usize) -> Result<()> {
    wait::until("the wallet to listen", PATIENCE, async || {
        let log = std::fs::read_to_string(wallet.log())?;
        ensure!(log.matches("listening to the broker").count() >= times, "it says {log}");
        Ok(())
    })
    .await
}

async fn all_end(scene: &Scene, jobs: &[JobId]) -> Result<Vec<JobOutcome>> {
    let mut ends = Vec::new();
    for job in jobs {
        ends.push(scene.ledger.wait(*job, PATIENCE).await?.with_context(|| format!("job {} does not end", job.0))?);
    }
    Ok(ends)
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_that_come_five_times_late_and_shuffled_close_each_channel_once() -> Result<()> {
    let (scene, broker) = (Scene::set().await?, Rabbit::shared().await?.fresh_host().await?);
    let since = scene.chain.head().await?;
    let wallet = wallet(&scene, "wallet", &broker)?;
    let lines: Vec<(String, String)> = ["sign", "close"]
        .map(|kind| format!("{kind}.{}", scene.deployment.chain_id))
        .map(|line| (line.clone(), format!("sluice.{line}")))
        .into();
    until_listening(&wallet, 3).await?;
    let lines: Vec<(&str, &str)> = lines.iter().map(|(key, queue)| (key.as_str(), queue.as_str())).collect();
    let mischief = Mischief {
        copies: 5,
        delay: Duration::from_secs(1),
        corrupt: true,
        seed: rounds::seed()?,
        ..Mischief::default()
    };
    let dup = Dup::start(&broker, "sluice", &lines, mischief).await?;
    let mut jobs = Vec::new();
    let mut closed = Vec::new();
    for number in 0..rounds::rounds(6, 60) {
        let channel = scene.used_channel().await?;
        let kind = if number % 2 == 0 { JobKind::Close } else { JobKind::Sign };
        jobs.push(scene.ledger.enqueue(&job(kind, &channel)).await?);
        if kind == JobKind::Close {
            closed.push(channel);
        }
    }
    for channel in &closed {
        scene.until_closed(channel).await?;
    }
    let ends = all_end(&scene, &jobs).await?;
    ensure!(ends.iter().all(|end| matches!(end, JobOutcome::Done(_))), "{ends:?}");
    ensure!(dup.seen() > 0, "no ring came by the duplicator");
    scene.check_each_call_once(since).await?;
    ensure!(scene.rpc.mined_nonce(scene.deployment.payee).await? == closed.len() as u64);
    Ok(())
}

/// The next wallet is rung again and finds the job done, or does it once more to the same end.
#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_dies_between_its_deed_and_its_answer_leaves_the_ring_to_the_next() -> Result<()> {
    for point in ["after_attempt_before_outcome", "after_outcome_before_ack"] {
        let (scene, broker) = (Scene::set().await?, Rabbit::shared().await?.fresh_host().await?);
        let channel = scene.used_channel().await?;
        let failing = format!("{point}=return(abort)");
        let mut first = scene.wallet_command("first", &scene.chain.url())?;
        first.envs([("SLUICE_QUEUE__URL", broker.as_str()), ("SLUICE_QUEUE__LOOK_MS", NO_LOOK)]);
        first.env("FAILPOINTS", failing);
        let mut first = Process::spawn("first", &mut first, &scene.folder.path().join("first.log"))?;
        until_listening(&first, 3).await?;
        let job = scene.ledger.enqueue(&job(JobKind::Sign, &channel)).await?;
        wait::until("the first wallet to die", PATIENCE, async || {
            ensure!(first.check_running().is_err(), "it lives");
            Ok(())
        })
        .await?;
        let before = scene.ledger.outcome(job).await?;
        ensure!(before.is_some() == (point == "after_outcome_before_ack"), "{point}: {before:?}");
        let second = wallet(&scene, "second", &broker)?;
        until_active(&second).await?;
        let end = all_end(&scene, &[job]).await?.remove(0);
        ensure!(matches!(end, JobOutcome::Done(_)) && before.is_none_or(|before| before == end), "{end:?}");
        let (_, host) = broker.rsplit_once('/').context("an address ends with its host")?;
        let queue = format!("sluice.sign.{}", scene.deployment.chain_id);
        wait::until("the ring to be answered", PATIENCE, async || {
            let waiting = Rabbit::shared().await?.node(0).waiting(host, &queue).await?;
            ensure!(waiting == 0, "{waiting} rings");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_wallet_says_about_a_job_names_whose_request_caused_it() -> Result<()> {
    let (scene, broker) = (Scene::set().await?, Rabbit::shared().await?.fresh_host().await?);
    let wallet = wallet(&scene, "wallet", &broker)?;
    until_listening(&wallet, 3).await?;
    let channel = scene.used_channel().await?;
    let job = traced(Some(TRACE), scene.ledger.enqueue(&job(JobKind::Sign, &channel))).await?;
    all_end(&scene, &[job]).await?;
    wait::until("the wallet's log", PATIENCE, async || {
        let log = std::fs::read_to_string(wallet.log())?;
        let line = log.lines().find(|line| line.contains("a cooperative close was signed")).context("not yet")?;
        ensure!(line.contains(TRACE) && line.contains(&format!("\"job.id\":{}", job.0)), "{line}");
        Ok(())
    })
    .await
}

/// Without a bound, one such job would keep all others from being done.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_brings_the_wallet_down_each_time_is_given_up() -> Result<()> {
    const DEATHS_MAX: usize = 10;
    let scene = Scene::set().await?;
    let channel = scene.used_channel().await?;
    let sign = scene.ledger.enqueue(&job(JobKind::Sign, &channel)).await?;
    for death in 0..DEATHS_MAX {
        let mut command = scene.wallet_command("dying", &scene.chain.url())?;
        command.env("FAILPOINTS", "after_attempt_before_outcome=return(abort)").env("SLUICE_WALLET__LEASE_MS", "500");
        let mut wallet = Process::spawn("dying", &mut command, &scene.folder.path().join("dying.log"))?;
        wait::until("the wallet to die", PATIENCE, async || {
            ensure!(wallet.check_running().is_err(), "it lives, after {death} deaths");
            Ok(())
        })
        .await?;
        ensure!(scene.ledger.outcome(sign).await?.is_none(), "given up after {death} deaths");
    }
    let _wallet = scene.wallet("living")?;
    let end = all_end(&scene, &[sign]).await?.remove(0);
    ensure!(matches!(&end, JobOutcome::Failed(reason) if reason.contains("10 attempts")), "{end:?}");
    Ok(())
}

/// The clock is helped: only the last attempt is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_refused_again_and_again_is_given_up_with_its_reason_and_a_challenge_never_is() -> Result<()> {
    let scene = Scene::set().await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    let (closing, cheated) = (scene.used_channel().await?, scene.used_channel().await?);
    scene.close_alone(&cheated, 0).await?;
    let close = scene.ledger.enqueue(&job(JobKind::Close, &closing)).await?;
    let (client, connection) = tokio_postgres::connect(&scene.database, tokio_postgres::NoTls).await?;
    let _connection = tokio::spawn(connection);
    client.execute("UPDATE jobs SET attempts = 19", &[]).await?;
    liar.tell("eth_estimateGas", Lie::Error(3, "execution reverted: no".to_owned()));
    liar.tell("eth_call", Lie::Error(3, "execution reverted: no".to_owned()));
    let _wallet = scene.wallet_at("wallet", &liar.url())?;
    let end = all_end(&scene, &[close]).await?.remove(0);
    ensure!(matches!(&end, JobOutcome::Failed(reason) if reason.contains("the contract refused")), "{end:?}");
    let challenge = wait::until("the challenge to be refused", PATIENCE, async || {
        let sql = "SELECT state, attempts, error FROM jobs WHERE kind = 'challenge'";
        let row = client.query_one(sql, &[]).await?;
        ensure!(row.get::<_, i32>(1) > 19, "not yet");
        Ok((row.get::<_, String>(0), row.get::<_, String>(2)))
    })
    .await?;
    ensure!(challenge.0 == "open" && challenge.1.contains("the contract refused"), "{challenge:?}");
    liar.be_honest();
    client.execute("UPDATE jobs SET run_at = now() WHERE state = 'open'", &[]).await?;
    scene.until_closed(&cheated).await
}
