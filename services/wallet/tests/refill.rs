//! The gas of the wallet's accounts is kept between two marks, whatever dies meanwhile, and never refilled twice.

mod common;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::kept::{Keeper, funding};
use common::{PATIENCE, Scene, until_active};
use ledger::IntentState;
use testkit::liar::{Liar, Lie};
use testkit::process::{Process, is_stopped};
use testkit::wait;

/// A hundredth of a coin.
const CENT: u128 = 10_000_000_000_000_000;
const LOW: u128 = 5 * CENT;
const HIGH: u128 = 20 * CENT;

fn gas(further: &str) -> String {
    format!("[wallet.gas.61]\nlow = \"0.05 ether\"\nhigh = \"0.2 ether\"\n{further}")
}

fn funded(cap: &str) -> String {
    gas(&format!("key_file = \"funding.key\"\ncap_per_day = \"{cap}\"\n"))
}

async fn until_refilled(scene: &Scene) -> Result<()> {
    wait::until("the gas", PATIENCE, async || {
        scene.chain.mine(1).await?;
        let has = scene.wei(scene.deployment.payee).await?;
        ensure!(has == HIGH, "it has {has}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn gas_below_the_low_mark_is_refilled_to_the_high_one_once_per_shortage() -> Result<()> {
    let scene = Scene::set().await?;
    let (keeper, payee) = (Keeper::of(&scene, &funded("1 ether"))?, scene.deployment.payee);
    scene.set_balance(payee, LOW).await?;
    let _wallet = keeper.start("wallet")?;
    keeper.until_told("wallet", r#""message":"active""#).await?;
    scene.nothing_more(funding()?, 0).await?;

    for times in 1..=2 {
        // Nothing is mined for a while: what is under way counts.
        scene.chain.set_automine(false).await?;
        scene.set_balance(payee, LOW - 1).await?;
        wait::until("a transaction", PATIENCE, async || {
            let slots = scene.ledger.slots(scene.chain.chain_id(), funding()?, 0).await?;
            ensure!(slots.len() == times, "there are {slots:?}");
            Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.chain.set_automine(true).await?;
        until_refilled(&scene).await?;
        scene.until_sent(funding()?, times).await?;
        scene.nothing_more(funding()?, times as u64).await?;
        assert_eq!(scene.wei(payee).await?, HIGH);
    }
    Ok(())
}

#[tokio::test]
async fn a_refill_that_a_reorganisation_takes_back_is_mined_again_and_not_repeated() -> Result<()> {
    let scene = Scene::set().await?;
    let (keeper, payee) = (Keeper::of(&scene, &funded("1 ether"))?, scene.deployment.payee);
    scene.chain.set_automine(false).await?;
    scene.set_balance(payee, CENT).await?;
    scene.chain.mine(1).await?;
    let _wallet = keeper.start("wallet")?;
    let until = async |state: IntentState| {
        wait::until("the journal", PATIENCE, async || {
            let slots = scene.ledger.slots(scene.chain.chain_id(), funding()?, 0).await?;
            let intent = slots.first().and_then(|slot| slot.intents.first()).context("nothing was sent")?;
            ensure!(intent.state == state, "it is {intent:?}");
            Ok(())
        })
        .await
    };
    until(IntentState::Broadcast).await?;
    scene.chain.mine(1).await?;
    until(IntentState::Mined).await?;
    scene.chain.reorg(1).await?;
    assert_eq!(scene.wei(payee).await?, CENT, "it is taken back");
    until_refilled(&scene).await?;
    scene.until_sent(funding()?, 1).await?;
    scene.nothing_more(funding()?, 1).await?;
    assert_eq!(scene.wei(payee).await?, HIGH);
    Ok(())
}

#[tokio::test]
async fn without_an_account_to_refill_from_operators_are_told_once_and_the_wallet_goes_on() -> Result<()> {
    let scene = Scene::set().await?;
    let keeper = Keeper::of(&scene, &gas(""))?;
    let channel = scene.used_channel().await?;
    scene.set_balance(scene.deployment.payee, LOW - 1).await?;
    let _wallet = keeper.start("wallet")?;
    keeper.until_told("wallet", "there is no account to refill it from").await?;
    assert_eq!(scene.ask_to_close(&channel, 30).await?["signature"].as_str().map(str::len), Some(132));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(keeper.told("wallet", "there is no account to refill it from")?, 1);

    let config = std::fs::read_to_string(scene.folder.path().join("wallet.toml"))?;
    let ops = config.split("ops_listen = \"").nth(1).and_then(|rest| rest.split('"').next()).context("a port")?;
    let low = async || {
        let metrics = testkit::http::client()?.get(format!("http://{ops}/metrics")).send().await?.text().await?;
        let line =
            metrics.lines().find(|line| line.starts_with("wallet_gas_low{")).context("no such metric")?.to_owned();
        anyhow::Ok(line.ends_with(" 1"))
    };
    assert!(low().await?);
    scene.set_balance(scene.deployment.payee, LOW).await?;
    wait::until("the metric", PATIENCE, async || {
        ensure!(!low().await?, "still low");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_more_than_the_days_cap_is_given() -> Result<()> {
    let scene = Scene::set().await?;
    let (keeper, payee) = (Keeper::of(&scene, &funded("0.3 ether"))?, scene.deployment.payee);
    scene.set_balance(payee, 0).await?;
    let _wallet = keeper.start("wallet")?;
    scene.until_sent(funding()?, 1).await?;
    assert_eq!(scene.wei(payee).await?, HIGH);
    scene.set_balance(payee, 0).await?;
    scene.until_sent(funding()?, 2).await?;
    assert_eq!(scene.wei(payee).await?, 10 * CENT, "what the day leaves");
    scene.set_balance(payee, 0).await?;
    keeper.until_told("wallet", "all that may be added in a day was").await?;
    scene.nothing_more(funding()?, 2).await
}

#[tokio::test]
async fn while_the_giver_has_too_little_or_no_node_answers_it_waits_and_then_refills_once() -> Result<()> {
    let scene = Scene::set().await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    let keeper = Keeper { node: liar.url(), ..Keeper::of(&scene, &funded("1 ether"))? };
    scene.set_balance(scene.deployment.payee, 0).await?;
    scene.set_balance(funding()?, CENT).await?;
    let _wallet = keeper.start("wallet")?;
    keeper.until_told("wallet", "the account to refill it from has too little").await?;
    keeper.until_told("wallet", "a job waits for what is away").await?;
    liar.tell("", Lie::Http(503));
    scene.set_balance(funding()?, 100 * CENT).await?;
    keeper.until_told("wallet", "what is left cannot be looked at").await?;
    liar.be_honest();
    scene.until_sent(funding()?, 1).await?;
    scene.nothing_more(funding()?, 1).await?;
    assert_eq!(scene.wei(scene.deployment.payee).await?, HIGH);
    Ok(())
}

#[tokio::test]
async fn an_account_that_is_to_refill_itself_is_refused_at_the_start() -> Result<()> {
    let scene = Scene::set().await?;
    let keeper = Keeper::of(&scene, &funded("1 ether").replace("funding.key", "payee.key"))?;
    let mut wallet = keeper.start("wallet")?;
    keeper.until_told("wallet", "is one of the accounts that it is to refill").await?;
    until_gone(&mut wallet).await
}

async fn until_gone(wallet: &mut Process) -> Result<()> {
    wait::until("the wallet to die", PATIENCE, async || {
        ensure!(wallet.check_running().is_err(), "it runs");
        Ok(())
    })
    .await
}

/// Between which steps.
const POINTS: [&str; 7] = [
    "after_decision_before_sign",
    "after_commit_before_sign",
    "after_sign_before_store",
    "after_store_before_send",
    "after_send_before_mark",
    "after_receipt_before_mark",
    "after_attempt_before_outcome",
];

/// At each point in turn: a wallet gets there and does `action`, another one takes over.
async fn at_every_point(action: &str) -> Result<()> {
    let scene = Scene::set().await?;
    let (keeper, payee) = (Keeper::of(&scene, &funded("100 ether"))?, scene.deployment.payee);
    for (number, point) in POINTS.into_iter().enumerate() {
        let mut first = keeper.start_armed(point, point, action)?;
        until_active(&first).await?;
        let second = format!("second-{number}");
        let second = keeper.start(&second)?;
        scene.set_balance(payee, CENT).await?;
        if action.contains("stop") {
            let stopped = async || {
                ensure!(is_stopped(first.pid()), "it runs");
                Ok(())
            };
            wait::until("the wallet to stop", PATIENCE, stopped).await.context(point)?;
            until_active(&second).await?;
            until_refilled(&scene).await.context(point)?;
            first.resume()?;
            // Whatever it still does, it does now.
            tokio::time::sleep(Duration::from_millis(700)).await;
        } else {
            until_gone(&mut first).await.context(point)?;
            until_refilled(&scene).await.context(point)?;
        }
        scene.until_sent(funding()?, number + 1).await.context(point)?;
        assert_eq!(scene.wei(payee).await?, HIGH, "{point}");
    }
    scene.nothing_more(funding()?, POINTS.len() as u64).await
}

#[tokio::test]
async fn a_wallet_may_die_between_any_two_steps_of_a_refill() -> Result<()> {
    at_every_point("return(abort)").await
}

#[tokio::test]
async fn a_wallet_may_stop_past_its_lease_between_any_two_steps_of_a_refill() -> Result<()> {
    at_every_point("return(stop)").await
}
