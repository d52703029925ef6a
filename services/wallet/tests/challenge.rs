//! Closes below what we hold: answered in time, once, whatever dies or lies meanwhile.

mod common;

use std::time::Duration;

use alloy_primitives::U256;
use anyhow::{Context, Result, bail, ensure};
use channel::Status;
use common::{DEPLOYMENT, Opened, PATIENCE, Scene, until_active};
use ledger::{IntentState, JobKind, JobOutcome, NewJob, Signed};
use serde_json::json;
use testkit::liar::{Liar, Lie};
use testkit::{http, wait};

/// The only transaction about a channel, once it is in this state.
async fn transaction(scene: &Scene, channel: &Opened, state: IntentState) -> Result<Signed> {
    wait::until("the journal", PATIENCE, async || {
        let slots = scene.ledger.slots_about(channel.id).await?;
        let [slot] = &slots[..] else { bail!("it holds {slots:?}") };
        ensure!(slot.signed.len() == 1 && slot.intents[0].state == state, "it holds {slot:?}");
        Ok(slot.signed[0].clone())
    })
    .await
}

/// How many transactions the payee's account has sent.
async fn sent(scene: &Scene) -> Result<u64> {
    Ok(scene.rpc.mined_nonce(scene.deployment.payee).await?)
}

#[tokio::test]
async fn a_close_below_what_we_hold_is_answered_in_time_and_to_the_unit() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let rich = scene.tokens(scene.payer.address()).await?;
    let channel = scene.used_channel().await?;
    let requested = scene.close_alone(&channel, 0).await?;
    scene.until_closed(&channel).await?;
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 30);
    assert_eq!(scene.tokens(scene.payer.address()).await?, rich - 30);

    let entry = transaction(&scene, &channel, IntentState::Mined).await?;
    let receipt = scene.rpc.receipt(entry.hash).await?.expect("it is mined");
    assert!(receipt.block.number <= requested + u64::from(scene.deployment.challenge_period));
    let (_, epoch) = scene.ledger.view(channel.id).await?.expect("the channel is known");
    assert_eq!(epoch.published.units(), 30);
    Ok(())
}

#[tokio::test]
async fn operators_see_what_it_did() -> Result<()> {
    let scene = Scene::set().await?;
    let wallet = scene.wallet("wallet")?;
    until_active(&wallet).await?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    scene.until_closed(&channel).await?;
    let log = std::fs::read_to_string(wallet.log())?;
    let address = log.split(r#""address":""#).nth(1).and_then(|rest| rest.split('"').next());
    let url = format!("http://{}/metrics", address.context("it says where it listens")?);
    let expected = [
        r#"wallet_jobs_total{kind="challenge",outcome="done"} 1"#,
        r#"wallet_challenges_total{outcome="won"} 1"#,
        r#"wallet_transactions_total{chain="61",state="mined"} 1"#,
        r#"wallet_transactions_open{chain="61",account="#,
        r#"wallet_balance_wei{chain="61",account="#,
        r#"challenge_margin_blocks{chain="61"} inf"#,
        r#"challenge_margin_seconds{chain="61"} inf"#,
    ];
    wait::until("the metrics", PATIENCE, async || {
        let page = http::client()?.get(&url).send().await?.text().await?;
        let missing: Vec<_> = expected.iter().filter(|line| !page.contains(*line)).collect();
        ensure!(missing.is_empty(), "{missing:?} are missing in {page}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stale_job_sends_nothing() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.used_channel().await?;
    let job = NewJob {
        kind: JobKind::Challenge,
        key: channel.id.to_string(),
        deployment: DEPLOYMENT.to_owned(),
        channel: Some(channel.id),
        amount: None,
    };
    let job = scene.ledger.enqueue(&job).await?;
    let outcome = scene.ledger.wait(job, PATIENCE).await?;
    assert_eq!(outcome, Some(JobOutcome::Done(json!({ "stale": true }))));
    assert!(scene.ledger.slots_about(channel.id).await?.is_empty());
    scene.pay(&channel, 40, 10).await?;
    Ok(())
}

#[tokio::test]
async fn nothing_is_sold_once_the_answer_is_under_way_even_if_the_request_is_reorganised_away() -> Result<()> {
    let scene = Scene::set().await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    liar.tell("eth_sendRawTransaction", Lie::DropTransaction);
    let _wallet = scene.wallet_at("wallet", &liar.url())?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    transaction(&scene, &channel, IntentState::Broadcast).await?;
    scene.chain.reorg(1).await?;
    scene.follow().await?;
    assert_eq!(scene.status(&channel).await?, Status::Open);
    assert_eq!(scene.refusal(&channel, 40, 10).await?, Some(channel::Refusal::NotOpen));
    Ok(())
}

#[tokio::test]
async fn killed_between_journal_and_broadcast_it_sends_the_same_bytes() -> Result<()> {
    let scene = Scene::set().await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    liar.tell("eth_sendRawTransaction", Lie::Hang);
    let mut wallet = scene.wallet_at("wallet", &liar.url())?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    let journalled = transaction(&scene, &channel, IntentState::Prepared).await?;
    wallet.kill9()?;
    assert_eq!(sent(&scene).await?, 0);

    let _wallet = scene.wallet("wallet-again")?;
    scene.until_closed(&channel).await?;
    let mined = transaction(&scene, &channel, IntentState::Mined).await?;
    assert_eq!(mined.raw, journalled.raw);
    assert!(scene.rpc.receipt(journalled.hash).await?.is_some());
    assert_eq!(sent(&scene).await?, 1);
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 30);
    Ok(())
}

#[tokio::test]
async fn of_two_wallets_one_sends() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallets = [scene.wallet("one")?, scene.wallet("two")?];
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    scene.until_closed(&channel).await?;
    transaction(&scene, &channel, IntentState::Mined).await?;
    assert_eq!(sent(&scene).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_wallet_that_hung_past_its_lease_does_not_send_again() -> Result<()> {
    let scene = Scene::set().await?;
    let old = scene.wallet("old")?;
    until_active(&old).await?;
    let _new = scene.wallet("new")?;
    let channel = scene.used_channel().await?;
    old.pause()?;
    scene.close_alone(&channel, 0).await?;
    scene.until_closed(&channel).await?;
    old.resume()?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    transaction(&scene, &channel, IntentState::Mined).await?;
    assert_eq!(sent(&scene).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_node_that_errs_delays_the_answer_and_no_more() -> Result<()> {
    let scene = Scene::set().await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    liar.tell_times(1, "eth_estimateGas", Lie::Error(-32000, "internal error".to_owned()));
    liar.tell_times(1, "eth_sendRawTransaction", Lie::ErrorAfterwards(-32000, "timeout".to_owned()));
    let _wallet = scene.wallet_at("wallet", &liar.url())?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    scene.until_closed(&channel).await?;
    transaction(&scene, &channel, IntentState::Mined).await?;
    assert_eq!(sent(&scene).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_a_reorganisation_took_back_is_sent_again() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet("wallet")?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    scene.until_closed(&channel).await?;
    let first = transaction(&scene, &channel, IntentState::Mined).await?;

    scene.chain.reorg(1).await?;
    assert_eq!(sent(&scene).await?, 0);
    scene.follow().await?;
    assert!(matches!(scene.status(&channel).await?, Status::Closing { .. }));
    scene.until_closed(&channel).await?;
    let again = transaction(&scene, &channel, IntentState::Mined).await?;
    assert_eq!(again.raw, first.raw);
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 30);
    Ok(())
}

#[tokio::test]
async fn without_gas_it_waits_and_says_so() -> Result<()> {
    let scene = Scene::set().await?;
    let payee = scene.deployment.payee;
    scene.chain.rpc("anvil_setBalance", json!([payee, "0x0"])).await?;
    let wallet = scene.wallet("wallet")?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    wait::until("the complaint", PATIENCE, async || {
        let log = std::fs::read_to_string(wallet.log())?;
        ensure!(log.contains(&format!("account {payee} has 0 wei")), "it says {log}");
        Ok(())
    })
    .await?;
    assert!(scene.ledger.slots_about(channel.id).await?.is_empty());
    scene.chain.rpc("anvil_setBalance", json!([payee, U256::from(10).pow(U256::from(18))])).await?;
    scene.until_closed(&channel).await
}

#[tokio::test]
async fn a_nonce_taken_by_somebody_with_our_key_is_not_waited_for() -> Result<()> {
    let scene = Scene::set().await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    liar.tell_times(1, "eth_sendRawTransaction", Lie::DropTransaction);
    let _wallet = scene.wallet_at("wallet", &liar.url())?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    transaction(&scene, &channel, IntentState::Broadcast).await?;
    let payee = evm::Account::new(scene.rpc.clone(), scene.payee.clone());
    payee.send(Some(payee.address()), Default::default(), U256::ZERO).await?;
    scene.until_closed(&channel).await?;
    let slots = scene.ledger.slots_about(channel.id).await?;
    let states: Vec<_> = slots.iter().flat_map(|slot| &slot.intents).map(|intent| intent.state).collect();
    match states[..] {
        [IntentState::Replaced, IntentState::Broadcast | IntentState::Mined] => Ok(()),
        _ => bail!("{states:?}"),
    }
}
