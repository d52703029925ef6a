//! Closes that the operator wants: with the best voucher, once, and never against what was agreed.

mod common;

use anyhow::Result;
use channel::{Refusal, Status};
use common::{DEPLOYMENT, Opened, PATIENCE, Scene};
use ledger::{IntentState, JobId, JobKind, JobOutcome, NewJob};
use serde_json::{Value, json};
use testkit::liar::{Liar, Lie};

/// Asks as a front does for the operator.
async fn ask(scene: &Scene, channel: &Opened) -> Result<JobId> {
    let job = NewJob {
        kind: JobKind::Close,
        key: channel.id.to_string(),
        deployment: DEPLOYMENT.to_owned(),
        channel: Some(channel.id),
        amount: None,
    };
    Ok(scene.ledger.enqueue(&job).await?)
}

async fn outcome(scene: &Scene, job: JobId) -> Result<Value> {
    match scene.ledger.wait(job, PATIENCE).await? {
        Some(JobOutcome::Done(outcome)) => Ok(outcome),
        other => anyhow::bail!("the job ended with {other:?}"),
    }
}

async fn sent(scene: &Scene) -> Result<u64> {
    Ok(scene.rpc.mined_nonce(scene.deployment.payee).await?)
}

#[tokio::test]
async fn a_channel_is_closed_on_chain_with_the_last_voucher() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let rich = scene.tokens(scene.payer.address()).await?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 10, 10).await?;
    scene.pay(&channel, 30, 20).await?;
    let job = ask(&scene, &channel).await?;
    scene.until_closed(&channel).await?;
    assert_eq!(outcome(&scene, job).await?, json!({ "closed": "30" }));
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 30);
    assert_eq!(scene.tokens(scene.payer.address()).await?, rich - 30);
    let slot = scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Mined).await?;
    assert_eq!(slot.intents.len(), 1);
    assert_eq!(sent(&scene).await?, 1);
    // Whoever asks again learns that it is done.
    let again = ask(&scene, &channel).await?;
    assert_eq!(outcome(&scene, again).await?, json!({ "closed": "30" }));
    Ok(())
}

#[tokio::test]
async fn nothing_is_sold_on_a_channel_that_is_being_closed() -> Result<()> {
    let scene = Scene::set().await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    liar.tell("eth_sendRawTransaction", Lie::DropTransaction);
    let mut wallet = scene.wallet_at("wallet", &liar.url())?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 30, 30).await?;
    ask(&scene, &channel).await?;
    scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Broadcast).await?;
    assert_eq!(scene.refusal(&channel, 40, 10).await?, Some(Refusal::NotOpen));
    assert_eq!(scene.status(&channel).await?, Status::Open);
    // Another wallet hands in the same transaction.
    wallet.kill9()?;
    let _again = scene.wallet("again")?;
    scene.until_closed(&channel).await?;
    assert_eq!(sent(&scene).await?, 1);
    Ok(())
}

#[tokio::test]
async fn without_a_voucher_nothing_is_sent_and_nothing_sold_any_more() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.open(100).await?;
    let job = ask(&scene, &channel).await?;
    assert_eq!(outcome(&scene, job).await?, json!({ "agreed": "0" }));
    assert_eq!(scene.refusal(&channel, 10, 10).await?, Some(Refusal::NotOpen));
    assert_eq!(sent(&scene).await?, 0);
    assert_eq!(scene.status(&channel).await?, Status::Open);
    Ok(())
}

#[tokio::test]
async fn what_was_agreed_with_the_payer_stands() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 50, 10).await?;
    scene.ask_to_close(&channel, 20).await?;
    let job = ask(&scene, &channel).await?;
    assert_eq!(outcome(&scene, job).await?, json!({ "agreed": "20" }));
    assert_eq!(sent(&scene).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_payer_that_closes_too_low_meanwhile_is_answered_by_one_transaction() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 30, 30).await?;
    scene.close_alone(&channel, 0).await?;
    let job = ask(&scene, &channel).await?;
    let _wallet = scene.wallet("wallet")?;
    scene.until_closed(&channel).await?;
    assert_eq!(outcome(&scene, job).await?, json!({ "closed": "30" }));
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 30);
    assert_eq!(sent(&scene).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_honest_close_request_is_not_waited_for() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.open(100).await?;
    scene.pay(&channel, 30, 30).await?;
    scene.close_alone(&channel, 30).await?;
    let job = ask(&scene, &channel).await?;
    scene.until_closed(&channel).await?;
    assert_eq!(outcome(&scene, job).await?, json!({ "closed": "30" }));
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 30);
    Ok(())
}

#[tokio::test]
async fn a_channel_that_nobody_knows_cannot_be_closed() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let job = NewJob {
        kind: JobKind::Close,
        key: "nobody".to_owned(),
        deployment: DEPLOYMENT.to_owned(),
        channel: Some(channel::ChannelId([9; 32].into())),
        amount: None,
    };
    let job = scene.ledger.enqueue(&job).await?;
    let ended = scene.ledger.wait(job, PATIENCE).await?;
    assert_eq!(ended, Some(JobOutcome::Failed("there is no such channel".to_owned())));
    Ok(())
}
