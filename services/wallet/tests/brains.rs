//! Two wallets that both believe they are the active one: each finds a lease of its own. What is left between them and a
//! transaction too many is the journal: `UNIQUE (chain, account, nonce, number)`, and one live intent of a job.
//!
//! The control takes the journal away: each wallet has one of its own, and knows of the other's transactions only what the
//! node says. Then the same check finds two.

mod common;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::ground::until_said;
use common::{Opened, PATIENCE, Scene, until_active};
use ledger::IntentState;
use serde_json::json;
use testkit::liar::{Liar, Lie};
use testkit::postgres::Postgres;
use testkit::process::{Process, is_stopped};
use testkit::wait;

const KEYS: [(&str, &str); 3] =
    [("WALLET__LEASE_MS", "60000"), ("WALLET__RESEND_MS", "500"), ("WALLET__CONFIRMATIONS", "2")];

/// A wallet that sees these tables of its own instead of everybody's.
async fn wallet_with_own(scene: &Scene, name: &str, tables: &[&str], fail_points: &str) -> Result<Process> {
    wallet_at(&scene.chain.url(), scene, name, tables, fail_points).await
}

/// Likewise; it asks this node.
async fn wallet_at(url: &str, scene: &Scene, name: &str, tables: &[&str], fail_points: &str) -> Result<Process> {
    let (_, database) = scene.database.rsplit_once('/').context("an address names a database")?;
    let copies = tables.iter().map(|table| format!("CREATE TABLE {name}.{table} (LIKE public.{table} INCLUDING ALL);"));
    let sql = format!("CREATE SCHEMA {name}; {}", copies.collect::<String>());
    Postgres::shared().await?.execute(database, &sql).await?;
    let mut command: Command = scene.wallet_command(name, url)?;
    command.env("SLUICE_DATABASE__URL", format!("{}?options=-csearch_path%3D{name},public", scene.database));
    command.envs(KEYS.map(|(key, value)| (format!("SLUICE_{key}"), value))).env("FAILPOINTS", fail_points);
    let wallet = Process::spawn(name, &mut command, &scene.folder.path().join(format!("{name}.log")))?;
    until_active(&wallet).await?;
    Ok(wallet)
}

async fn until_stopped(wallet: &Process) -> Result<()> {
    wait::until("the wallet to stop", PATIENCE, async || {
        ensure!(is_stopped(wallet.pid()), "it runs");
        Ok(())
    })
    .await
}

/// A dishonest close that the ledger knows of, on a chain that mines by hand from now on.
async fn close(scene: &Scene) -> Result<Opened> {
    let channel = scene.used_channel().await?;
    scene.close_unnoticed(&channel, 0).await?;
    scene.chain.set_automine(false).await?;
    scene.follow().await?;
    Ok(channel)
}

#[tokio::test]
async fn of_two_wallets_that_both_have_a_lease_the_second_to_store_a_nonce_loses() -> Result<()> {
    let scene = Scene::set().await?;
    let slow = wallet_with_own(&scene, "slow", &["leases"], "after_sign_before_store=1*return(stop)").await?;
    let channel = close(&scene).await?;
    until_stopped(&slow).await?;
    let _quick = wallet_with_own(&scene, "quick", &["leases"], "").await?;
    scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Broadcast).await?;
    slow.resume()?;
    until_said(&slow, "somebody else was first").await?;
    scene.chain.mine(1).await?;
    scene.until_closed(&channel).await?;
    scene.chain.mine(3).await?;
    wait::until("the journal", PATIENCE, async || scene.check_line().await).await?;
    assert_eq!(scene.sent().await?, 1);
    scene.check_each_call_once(0).await
}

#[tokio::test]
async fn two_wallets_at_once_answer_every_close_once_and_leave_no_gap() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallets = [
        wallet_with_own(&scene, "one", &["leases"], "").await?,
        wallet_with_own(&scene, "other", &["leases"], "").await?,
    ];
    let mut channels = Vec::new();
    for _ in 0..12 {
        channels.push(scene.used_channel().await?);
    }
    scene.close_all_in_one_block(&channels).await?;
    scene.chain.set_automine(true).await?;
    scene.follow().await?;
    for channel in &channels {
        scene.until_closed(channel).await?;
    }
    scene.chain.mine(3).await?;
    wait::until("the journal", PATIENCE, async || scene.check_line().await).await?;
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 12 * 30);
    scene.check_each_call_once(0).await
}

/// One stops when its answer has just been sent; another one finds the close unanswered, because its node simulates on the
/// newest block and leaves out what waits. Both run again then.
async fn one_stops_after_its_send(scene: &Scene, own: &[&str]) -> Result<()> {
    let slow = wallet_with_own(scene, "slow", own, "after_send_before_mark=1*return(stop)").await?;
    let channel = close(scene).await?;
    until_stopped(&slow).await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    liar.tell("eth_estimateGas", Lie::Result(json!("0x30d40")));
    let quick = wallet_at(&liar.url(), scene, "quick", own, "").await?;
    // Whatever it does about the close, it has done by now.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    drop(quick);
    slow.resume()?;
    scene.chain.mine(1).await?;
    scene.until_closed(&channel).await
}

#[tokio::test]
async fn what_another_wallet_sent_a_moment_ago_is_in_the_journal_and_not_sent_again() -> Result<()> {
    let scene = Scene::set().await?;
    one_stops_after_its_send(&scene, &["leases"]).await?;
    assert_eq!(scene.sent().await?, 1);
    scene.check_each_call_once(0).await
}

#[tokio::test]
async fn control_with_nonces_from_the_node_instead_of_the_journal_the_check_finds_two() -> Result<()> {
    let scene = Scene::set().await?;
    one_stops_after_its_send(&scene, &["leases", "intents", "transactions"]).await?;
    let found = scene.check_each_call_once(0).await;
    let found = found.expect_err("nothing but the journal knows what another wallet sent").to_string();
    assert!(found.contains("under more than one nonce"), "{found}");
    Ok(())
}
