//! Cooperative closes: what the wallet signs, what it does not, and what a signature is worth.

mod common;

use std::time::Duration;

use alloy_primitives::{U256, hex};
use anyhow::{Context, Result};
use channel::{Refusal, Signature, Sold};
use common::{Opened, Scene, amount};
use ledger::{Settlement, When};
use serde_json::{Value, json};

fn signature(outcome: &Value) -> Result<Signature> {
    let text = outcome["signature"].as_str().with_context(|| format!("a signature, not {outcome}"))?;
    Ok(Signature::parse(&hex::decode(text)?)?)
}

/// The payer closes with both signatures.
async fn close(scene: &Scene, channel: &Opened, balance: u128, closing: &Signature) -> Result<()> {
    let voucher = scene.voucher(channel, balance);
    let (deployment, contract) = (&scene.deployment, scene.contract());
    let data = contract.cooperative_close(deployment, &channel.opening, amount(balance), &voucher, closing)?;
    scene.payer.send(Some(deployment.contract), data, U256::ZERO).await?;
    scene.follow().await
}

#[tokio::test]
async fn the_contract_pays_by_a_closing_signature_to_the_unit() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let rich = scene.tokens(scene.payer.address()).await?;
    let channel = scene.open(100).await?;
    for cumulative in [10, 20, 30] {
        scene.pay(&channel, cumulative, 10).await?;
    }
    let closing = signature(&scene.ask_to_close(&channel, 30).await?)?;
    close(&scene, &channel, 30, &closing).await?;
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 30);
    assert_eq!(scene.tokens(scene.payer.address()).await?, rich - 30);
    assert_eq!(scene.tokens(scene.deployment.contract).await?, 0);
    Ok(())
}

#[tokio::test]
async fn any_amount_from_what_was_sold_to_what_was_authorised_is_signed() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 50, 10).await?;
    let closing = signature(&scene.ask_to_close(&channel, 20).await?)?;
    close(&scene, &channel, 20, &closing).await?;
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 20);
    Ok(())
}

#[tokio::test]
async fn less_than_was_sold_or_is_held_and_more_than_was_authorised_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 50, 10).await?;
    let held = scene.order(&channel, 50, 15, When::Later).await?.expect("there is credit");
    let refused = json!({ "refused": "amount", "least": "25", "most": "50" });
    assert_eq!(scene.ask_to_close(&channel, 24).await?, refused);
    assert_eq!(scene.ask_to_close(&channel, 51).await?, refused);

    // A refusal closes nothing, and what is no longer held is no longer owed.
    let Sold::New { hold, .. } = held.sold else { panic!("a new hold") };
    scene.ledger.settle(&hold, Settlement::Release).await?;
    scene.pay(&channel, 51, 1).await?;
    signature(&scene.ask_to_close(&channel, 11).await?)?;
    Ok(())
}

#[tokio::test]
async fn the_same_question_gets_the_same_signature_also_from_another_wallet() -> Result<()> {
    let scene = Scene::set().await?;
    let mut first = scene.wallet("first")?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 10, 10).await?;
    let given = scene.ask_to_close(&channel, 10).await?;
    signature(&given)?;
    assert_eq!(scene.ask_to_close(&channel, 10).await?, given);
    first.stop(Duration::from_secs(5)).await?;
    let _second = scene.wallet("second")?;
    assert_eq!(scene.ask_to_close(&channel, 10).await?, given);
    Ok(())
}

#[tokio::test]
async fn another_amount_is_refused_once_one_was_agreed() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 50, 10).await?;
    signature(&scene.ask_to_close(&channel, 20).await?)?;
    let refused = json!({ "refused": "agreed_otherwise", "agreed": "20" });
    assert_eq!(scene.ask_to_close(&channel, 50).await?, refused);
    Ok(())
}

#[tokio::test]
async fn nothing_is_sold_after_a_close_was_agreed() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 50, 10).await?;
    signature(&scene.ask_to_close(&channel, 10).await?)?;
    assert_eq!(scene.refusal(&channel, 50, 10).await?, Some(Refusal::NotOpen));
    assert_eq!(scene.refusal(&channel, 60, 10).await?, Some(Refusal::NotOpen));
    Ok(())
}

#[tokio::test]
async fn a_settled_channel_is_not_signed_for() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 10, 10).await?;
    let closing = signature(&scene.ask_to_close(&channel, 10).await?)?;
    close(&scene, &channel, 10, &closing).await?;
    assert_eq!(scene.ask_to_close(&channel, 10).await?, json!({ "refused": "not_open" }));
    Ok(())
}

#[tokio::test]
async fn signing_needs_no_node() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 10, 10).await?;
    let _wallet = scene.wallet_at("wallet", "http://127.0.0.1:1")?;
    signature(&scene.ask_to_close(&channel, 10).await?)?;
    Ok(())
}
