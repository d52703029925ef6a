//! The wallet dies, panics, or stops past its lease, between any two steps; another one takes over. Everything wanted is
//! mined once, no nonce is missing, and what comes next is sent within seconds.
//!
//! Dice say how many closes there are, at which of them it happens, whether blocks come by themselves, whether the nodes
//! forget what waits, and how fees move: `SLUICE_SEED` rolls the same again.

mod common;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::ground::until_said;
use common::{Opened, PATIENCE, Scene, until_active};
use ledger::IntentState;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use testkit::process::{Process, is_stopped};
use testkit::{rounds, wait};

/// Between which steps.
const POINTS: [&str; 10] = [
    "after_commit_before_sign",
    "after_sign_before_store",
    "after_store_before_send",
    "after_send_before_mark",
    "after_receipt_before_mark",
    "after_mark",
    "after_attempt_before_outcome",
    // Only a raise gets to these.
    "after_raise_before_send",
    "after_second_sign_before_store",
    "after_second_send_before_mark",
];
/// How soon the next process must have sent what is to be sent.
const RECOVERY: Duration = Duration::from_secs(10);
/// What each channel owes us.
const OWED: u128 = 30;

/// What the dice said.
#[derive(Debug)]
struct Story {
    point: &'static str,
    /// Closes that are known when it happens; one more comes after.
    closes: usize,
    /// How often the point is passed before.
    passed: usize,
    /// Blocks come only when we mine them.
    by_hand: bool,
    /// The nodes forget what waits.
    forgotten: bool,
    /// Fees are so many times what they were.
    dearer: u128,
}

impl Story {
    fn roll(point: &'static str, dice: &mut StdRng) -> Story {
        let is_raise = is_raise(point);
        let closes = dice.random_range(1..=3);
        let passed = if is_raise { 0 } else { dice.random_range(0..closes) };
        let by_hand = is_raise || dice.random();
        Story { point, closes, passed, by_hand, forgotten: dice.random(), dearer: dice.random_range(1..=12) }
    }

    /// For the crate `fail`.
    fn fail_points(&self, action: &str) -> String {
        // Raised transactions are signed and sent like others; the first of each close is let pass.
        match self.point.replace("after_second_", "after_") {
            point if point != self.point => format!("{point}={}*off->1*{action}", self.closes),
            point => format!("{point}={}*off->1*{action}", self.passed),
        }
    }
}

fn is_raise(point: &str) -> bool {
    point.contains("raise") || point.contains("second")
}

fn keys(bump_ms: &'static str) -> [(&'static str, &'static str); 4] {
    [
        ("WALLET__LEASE_MS", "1000"),
        ("WALLET__BUMP_MS", bump_ms),
        ("WALLET__RESEND_MS", "500"),
        ("WALLET__CONFIRMATIONS", "2"),
    ]
}

/// A channel that the payer owes us something from.
async fn owing(scene: &Scene) -> Result<Opened> {
    let channel = scene.open(100).await?;
    scene.pay(&channel, OWED, OWED).await?;
    Ok(channel)
}

/// Once the wallet is dead, or stopped.
async fn until_struck(scene: &Scene, story: &Story, wallet: &mut Process) -> Result<Instant> {
    wait::until("the wallet to get there", PATIENCE, async || {
        if wallet.check_running().is_err() || is_stopped(wallet.pid()) {
            return Ok(Instant::now());
        }
        // What is to be raised must not be mined before.
        if story.by_hand && !is_raise(story.point) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            scene.chain.mine(1).await?;
        }
        anyhow::bail!("it runs")
    })
    .await
}

/// Mines until all are answered.
async fn until_answered(scene: &Scene, channels: &[Opened]) -> Result<()> {
    wait::until("the answers", PATIENCE, async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.chain.mine(1).await?;
        scene.follow().await?;
        for channel in channels {
            ensure!(scene.status(channel).await? == channel::Status::Closed, "one is not answered");
        }
        Ok(())
    })
    .await
}

/// From when one may know of this close until its answer is sent.
async fn until_sent(scene: &Scene, channel: &Opened, known: Instant) -> Result<Duration> {
    scene.slot_of(channel, |slot| slot.intents.iter().any(|intent| intent.state != IntentState::Prepared)).await?;
    Ok(known.elapsed())
}

/// One wallet gets to the point and is struck, another one takes over. Says how long it took to send the next transaction.
async fn run(scene: &Scene, story: &Story, action: &str, name: &str) -> Result<Duration> {
    let since = scene.chain.head().await?;
    let mut first = {
        let log = scene.folder.path().join(format!("{name}-first.log"));
        let mut command = scene.wallet_command(&format!("{name}-first"), &scene.chain.url())?;
        let bump = if is_raise(story.point) { "300" } else { "600000" };
        command.envs(keys(bump).map(|(key, value)| (format!("SLUICE_{key}"), value)));
        command.env("FAILPOINTS", story.fail_points(action));
        Process::spawn(name, &mut command, &log)?
    };
    until_active(&first).await?;
    let second = scene.wallet_with(&format!("{name}-second"), &keys("1000"))?;
    let mut channels = Vec::new();
    for _ in 0..=story.closes {
        channels.push(owing(scene).await?);
    }
    scene.close_all_in_one_block(&channels[..story.closes]).await?;
    scene.chain.set_automine(!story.by_hand).await?;
    scene.follow().await?;

    let struck = until_struck(scene, story, &mut first).await?;
    if story.forgotten {
        scene.chain.rpc("anvil_dropAllTransactions", json!([])).await?;
    }
    let base_fee = scene.rpc.head().await?.base_fee.context("it has one")?;
    scene.chain.set_next_base_fee(base_fee * story.dearer).await?;
    scene.chain.mine(1).await?;
    until_active(&second).await?;
    let active = struck.elapsed();
    scene.chain.set_automine(true).await?;
    let late = channels.last().context("there is one more")?;
    scene.close_alone(late, 0).await?;
    let next_send = active + until_sent(scene, late, Instant::now()).await?;
    until_answered(scene, &channels).await?;
    if action.contains("stop") {
        first.resume()?;
        until_said(&first, "no longer active").await?;
        // Whatever it still does, it does now.
        tokio::time::sleep(Duration::from_millis(300)).await;
        first.check_running()?;
    }
    wait::until("the journal", PATIENCE, async || scene.check_line().await).await?;
    scene.check_each_call_once(since).await?;
    scene.chain.set_next_base_fee(1_000_000_000).await?;
    scene.chain.mine(1).await?;
    Ok(next_send)
}

/// At each point in turn, as often as asked for.
async fn at_every_point(action: &str) -> Result<()> {
    let seed = rounds::seed()?;
    let (scene, mut owed, mut longest) = (Scene::set().await?, 0, Duration::ZERO);
    for round in 0..rounds::rounds(1, 20) {
        for (number, point) in (0..).zip(POINTS) {
            let mut dice = StdRng::seed_from_u64(seed.wrapping_add(round * 100 + number));
            let story = Story::roll(point, &mut dice);
            let name = format!("{round}-{point}");
            let next_send = run(&scene, &story, action, &name).await;
            let next_send =
                next_send.with_context(|| format!("SLUICE_SEED={seed} round {round} {action} {story:?}"))?;
            println!("{action} {point}: the next transaction was sent after {next_send:?}");
            longest = longest.max(next_send);
            owed += OWED * u128::try_from(story.closes + 1)?;
            assert_eq!(scene.tokens(scene.deployment.payee).await?, owed, "SLUICE_SEED={seed} {story:?}");
        }
    }
    println!("{action}: restart to next send {longest:?} at most");
    assert!(longest < RECOVERY, "{longest:?}");
    Ok(())
}

#[tokio::test]
async fn it_may_die_between_any_two_steps() -> Result<()> {
    at_every_point("return(abort)").await
}

#[tokio::test]
async fn it_may_panic_between_any_two_steps() -> Result<()> {
    at_every_point("panic").await
}

#[tokio::test]
async fn it_may_stop_past_its_lease_between_any_two_steps_and_do_no_harm_when_it_wakes() -> Result<()> {
    at_every_point("return(stop)").await
}
