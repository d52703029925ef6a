//! What becomes of transactions that are not mined by themselves: too cheap, forgotten, in the way, or hopeless.

mod common;

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use anyhow::{Result, ensure};
use common::ground::{until_said, until_shown};
use common::journal::{GWEI, check_fees_rise, fees, intents};
use common::{PATIENCE, Scene, until_active};
use contracts::token;
use evm::{Account, Fees, Transaction, sign_transaction};
use ledger::{IntentState, Lane};
use serde_json::json;
use testkit::process::Process;
use testkit::wait;

/// So that a test need not wait for minutes.
const QUICK: &[(&str, &str)] =
    &[("WALLET__BUMP_MS", "500"), ("WALLET__RESEND_MS", "500"), ("WALLET__CONFIRMATIONS", "3")];
/// Nothing is offered more for, however long it waits.
const PATIENT: &[(&str, &str)] =
    &[("WALLET__BUMP_MS", "600000"), ("WALLET__RESEND_MS", "500"), ("WALLET__CONFIRMATIONS", "3")];

#[tokio::test]
async fn when_fees_rise_tenfold_the_answer_follows_within_three_bumps() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet_with("wallet", QUICK)?;
    let channel = scene.used_channel().await?;
    let requested = scene.close_unnoticed(&channel, 0).await?;
    scene.chain.set_automine(false).await?;
    let base_fee = scene.rpc.head().await?.base_fee.expect("it has one") * 10;
    scene.chain.set_next_base_fee(base_fee).await?;
    scene.chain.mine(1).await?;
    scene.follow().await?;
    let first = scene.slot_of(&channel, |slot| !slot.signed.is_empty()).await?.signed[0].hash;
    scene.chain.set_next_base_fee(base_fee * 10).await?;
    scene.chain.mine(1).await?;
    assert_eq!(scene.rpc.receipt(first).await?, None, "it is too cheap now");

    let mut blocks = 0;
    while scene.sent().await? == 0 {
        blocks += 1;
        ensure!(blocks <= 3, "it is not mined");
        scene.slot_of(&channel, |slot| slot.signed.len() > blocks).await?;
        scene.chain.set_next_base_fee(base_fee * 10).await?;
        scene.chain.mine(1).await?;
    }
    let slot = scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Mined).await?;
    check_fees_rise(&slot)?;
    scene.until_closed(&channel).await?;
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 30);
    assert!(scene.chain.head().await? < requested + 10);
    Ok(())
}

#[tokio::test]
async fn fees_stop_at_the_cap_and_what_waits_is_mined_when_they_fall() -> Result<()> {
    let scene = Scene::set().await?;
    let mut keys = QUICK.to_vec();
    keys.push(("WALLET__MAX_FEE_GWEI", "40"));
    let wallet = scene.wallet_with("wallet", &keys)?;
    let channel = scene.used_channel().await?;
    scene.close_unnoticed(&channel, 0).await?;
    scene.chain.set_automine(false).await?;
    scene.follow().await?;
    let most = async || {
        let slot = scene.slot_of(&channel, |_| true).await?;
        anyhow::Ok(fees(&slot)?.last().map_or(0, |fees| fees.max_fee))
    };
    let start = Instant::now();
    while most().await? < 31 * GWEI {
        ensure!(start.elapsed() < PATIENCE, "it offers {}", most().await?);
        scene.chain.set_next_base_fee(100 * GWEI).await?;
        scene.chain.mine(1).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let capped = r#"wallet_transactions_capped{chain="61""#;
    until_shown(&wallet, capped, "1").await?;
    until_shown(&wallet, r#"wallet_hindered{chain="61""#, "1").await?;
    until_said(&wallet, "fees above the cap").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(most().await? <= 35 * GWEI, "seven eighths of the cap are for what is urgent: {}", most().await?);
    wait::until("the answer to be mined", PATIENCE, async || {
        scene.chain.set_next_base_fee(GWEI).await?;
        scene.chain.mine(1).await?;
        ensure!(scene.sent().await? == 1, "it is not");
        Ok(())
    })
    .await?;
    until_shown(&wallet, capped, "0").await?;
    until_shown(&wallet, r#"wallet_hindered{chain="61""#, "0").await?;
    scene.until_closed(&channel).await
}

#[tokio::test]
async fn what_the_nodes_forget_is_handed_in_again_as_it_was() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet_with("wallet", PATIENT)?;
    let channel = scene.used_channel().await?;
    scene.close_unnoticed(&channel, 0).await?;
    scene.chain.set_automine(false).await?;
    scene.follow().await?;
    let sent = scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Broadcast).await?;
    for _ in 0..2 {
        scene.chain.rpc("anvil_dropTransaction", json!([sent.signed[0].hash])).await?;
        let start = Instant::now();
        scene.until_waiting(sent.signed[0].hash).await?;
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
    scene.chain.mine(1).await?;
    scene.until_closed(&channel).await?;
    assert_eq!(scene.slot_of(&channel, |_| true).await?.signed.len(), 1);
    Ok(())
}

#[tokio::test]
async fn what_the_nodes_forget_is_handed_in_again_within_thirty_seconds_with_the_default_limits() -> Result<()> {
    let scene = Scene::set().await?;
    let _wallet = scene.wallet_with("wallet", &[("WALLET__POLL_MS", "1000")])?;
    let channel = scene.used_channel().await?;
    scene.close_unnoticed(&channel, 0).await?;
    scene.chain.set_automine(false).await?;
    scene.follow().await?;
    let sent = scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Broadcast).await?;
    scene.chain.rpc("anvil_dropTransaction", json!([sent.signed[0].hash])).await?;
    let start = Instant::now();
    scene.until_waiting(sent.signed[0].hash).await?;
    println!("it was handed in again after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn an_account_that_runs_empty_calls_for_somebody_and_goes_on_when_it_is_filled() -> Result<()> {
    let scene = Scene::set().await?;
    let mut wallet = scene.wallet_with("wallet", QUICK)?;
    until_active(&wallet).await?;
    let channels = [scene.used_channel().await?, scene.used_channel().await?];
    scene.close_unnoticed(&channels[0], 0).await?;
    scene.close_unnoticed(&channels[1], 0).await?;
    scene.chain.set_automine(false).await?;
    scene.chain.rpc("anvil_setBalance", json!([scene.payee.address(), "0x0"])).await?;
    scene.chain.mine(1).await?;
    scene.follow().await?;
    let page = r#"wallet_out_of_gas{chain="61""#;
    until_shown(&wallet, page, "1").await?;
    until_said(&wallet, "out of gas").await?;
    // Long enough for a process that dies of it to do so.
    tokio::time::sleep(Duration::from_secs(2)).await;
    wallet.check_running()?;
    assert!(scene.slots().await?.is_empty(), "nothing was signed that nobody would take");
    scene.chain.rpc("anvil_setBalance", json!([scene.payee.address(), U256::from(GWEI) * U256::from(GWEI)])).await?;
    scene.chain.set_automine(true).await?;
    scene.chain.mine(1).await?;
    for channel in &channels {
        scene.until_closed(channel).await?;
    }
    until_shown(&wallet, page, "0").await
}

#[tokio::test]
async fn what_would_fail_is_simulated_and_not_sent() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    // The ledger does not hear that the payer closes with our signature, as it may once we gave it.
    let (contract, opening, amount) = (scene.contract(), &channel.opening, common::amount(30));
    let closing = scene.payee.sign(contract.closing_digest(&scene.deployment, opening, amount));
    let voucher = scene.voucher(&channel, 30);
    let data = contract.cooperative_close(&scene.deployment, opening, amount, &voucher, &closing)?;
    scene.payer.send(Some(scene.deployment.contract), data, U256::ZERO).await?;
    let wallet = scene.wallet_with("wallet", QUICK)?;
    until_said(&wallet, "the contract refused").await?;
    assert!(scene.slots().await?.is_empty());
    assert_eq!(scene.sent().await?, 0);
    scene.until_closed(&channel).await
}

#[tokio::test]
async fn after_a_crash_the_next_process_sends_within_ten_seconds_with_the_default_lease() -> Result<()> {
    let scene = Scene::set().await?;
    let keys = [("WALLET__LEASE_MS", "6000")];
    let mut wallet = scene.wallet_with("first", &keys)?;
    let channel = scene.used_channel().await?;
    scene.close_unnoticed(&channel, 0).await?;
    scene.chain.set_automine(false).await?;
    scene.follow().await?;
    let sent = scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Broadcast).await?;
    wallet.kill9()?;
    scene.chain.rpc("anvil_dropTransaction", json!([sent.signed[0].hash])).await?;
    let start = Instant::now();
    let _wallet = scene.wallet_with("second", &keys)?;
    scene.until_waiting(sent.signed[0].hash).await?;
    println!("the next process sent after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_gap_in_the_nonces_is_filled() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.used_channel().await?;
    scene.close_unnoticed(&channel, 0).await?;
    scene.chain.set_automine(false).await?;
    // Somebody with our key takes nonce 0, we take the next, and then the nodes forget the first.
    let stranger = transfer(&scene, 0, scene.rpc.fees().await?);
    let hash = scene.rpc.send_raw(&sign_transaction(&scene.payee, &stranger).raw).await?;
    let _wallet = scene.wallet_with("wallet", QUICK)?;
    scene.follow().await?;
    let answer = scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Broadcast).await?;
    assert_eq!(answer.nonce, 1);
    scene.chain.rpc("anvil_dropTransaction", json!([hash])).await?;
    let start = Instant::now();
    wait::until("the gap to be gone", PATIENCE, async || {
        scene.chain.mine(1).await?;
        ensure!(scene.sent().await? >= 2, "nonce {} is missing", scene.sent().await?);
        Ok(())
    })
    .await?;
    println!("the gap was filled after {:?}", start.elapsed());
    scene.until_closed(&channel).await?;
    let filler = scene.slot(0, |slot| slot.intents[0].state == IntentState::Cancelled).await?;
    assert!(filler.signed.iter().all(|signed| signed.noop) && filler.intents[0].job.is_none());
    scene.check_line().await
}

#[tokio::test]
async fn what_can_no_longer_succeed_makes_room_by_a_no_op() -> Result<()> {
    let scene = Scene::set().await?;
    scene.chain.set_automine(false).await?;
    let worthless = token::transfer(Address::repeat_byte(9), U256::from(5));
    scene.journal(0, scene.deployment.token, worthless, 2 * GWEI).await?;
    let _wallet = scene.wallet_with("wallet", PATIENT)?;
    scene.slot(0, |slot| slot.intents[0].state == IntentState::Broadcast).await?;
    let start = Instant::now();
    let is_cancelled = async || anyhow::Ok(scene.slot(0, |_| true).await?.signed.len() > 1);
    while !is_cancelled().await? {
        ensure!(start.elapsed() < PATIENCE, "it still waits");
        // Too dear for it to be mined, and to fail.
        scene.chain.set_next_base_fee(3 * GWEI).await?;
        scene.chain.mine(1).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let noop = scene.slot(0, |slot| slot.signed.len() == 2).await?.signed[1].hash;
    scene.until_waiting(noop).await?;
    scene.chain.set_next_base_fee(GWEI).await?;
    scene.chain.mine(1).await?;
    let slot = scene.slot(0, |slot| slot.intents[0].state == IntentState::Cancelled).await?;
    check_fees_rise(&slot)?;
    assert_eq!(slot.signed.iter().map(|signed| signed.noop).collect::<Vec<_>>(), [false, true]);
    scene.chain.mine(3).await?;
    scene.slot(0, |slot| slot.intents[0].confirmed).await?;
    scene.check_line().await
}

#[tokio::test]
async fn what_was_mined_and_failed_is_journalled_with_its_reason_and_settled_in_time() -> Result<()> {
    let scene = Scene::set().await?;
    let worthless = token::transfer(Address::repeat_byte(9), U256::from(5));
    scene.journal(0, scene.deployment.token, worthless, 20 * GWEI).await?;
    let wallet = scene.wallet_with("wallet", PATIENT)?;
    let slot = scene.slot(0, |slot| slot.intents[0].state == IntentState::Reverted).await?;
    assert!(!slot.intents[0].confirmed && slot.intents[0].is_live(), "it may still be reorganised");
    let log = std::fs::read_to_string(wallet.log())?;
    assert!(log.contains("balance too small"), "{log}");
    until_counted(&wallet, "reverted", 1).await?;
    scene.chain.mine(3).await?;
    let slot = scene.slot(0, |slot| slot.intents[0].confirmed).await?;
    assert!(!slot.intents[0].is_live());
    Ok(())
}

#[tokio::test]
async fn what_is_urgent_takes_the_place_of_what_is_not() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.used_channel().await?;
    scene.close_unnoticed(&channel, 0).await?;
    scene.chain.set_automine(false).await?;
    scene.journal(0, scene.payee.address(), Default::default(), 5 * GWEI).await?;
    scene.journal(1, scene.payee.address(), Default::default(), 5 * GWEI).await?;
    let wallet = scene.wallet_with("wallet", PATIENT)?;
    scene.slot(1, |slot| slot.intents[0].state == IntentState::Broadcast).await?;
    scene.follow().await?;
    let slot = scene.slot_of(&channel, |slot| slot.intents.len() == 2).await?;
    assert_eq!(slot.nonce, 0);
    assert_eq!(slot.intents.iter().map(|intent| intent.lane).collect::<Vec<_>>(), [Lane::Normal, Lane::Urgent]);
    assert_eq!(slot.intents[0].state, IntentState::Replaced);
    assert!(slot.intents[0].is_live(), "what was displaced may still be mined");
    check_fees_rise(&slot)?;
    until_counted(&wallet, "replaced", 1).await?;

    scene.slot_of(&channel, |slot| slot.intents[1].state == IntentState::Broadcast).await?;
    scene.chain.mine(1).await?;
    scene.until_closed(&channel).await?;
    scene.slot(1, |slot| slot.intents[0].state == IntentState::Mined).await?;
    assert_eq!(scene.sent().await?, 2);
    scene.chain.mine(3).await?;
    let slot = scene.slot(0, |slot| slot.intents.iter().all(|intent| intent.confirmed)).await?;
    assert!(!slot.intents[0].is_live(), "its job may try again");
    Ok(())
}

#[tokio::test]
async fn no_more_than_four_wait_and_all_are_answered() -> Result<()> {
    let scene = Scene::set().await?;
    let mut channels = Vec::new();
    for _ in 0..7 {
        let channel = scene.used_channel().await?;
        scene.close_unnoticed(&channel, 0).await?;
        channels.push(channel);
    }
    scene.chain.set_automine(false).await?;
    let wallet = scene.wallet_with("wallet", PATIENT)?;
    until_active(&wallet).await?;
    scene.follow().await?;
    let mut blocks = 0;
    while scene.sent().await? < 7 {
        blocks += 1;
        ensure!(blocks <= 4, "{} of 7 after so many blocks", scene.sent().await?);
        let already = scene.sent().await?;
        let expected = usize::try_from(already + 4)?.min(7);
        wait::until("the line to be full", PATIENCE, async || {
            let sent = intents(&scene.slots().await?).filter(|intent| intent.state != IntentState::Prepared).count();
            ensure!(sent >= expected, "{sent} were sent");
            Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(scene.slots().await?.len(), expected, "no more than four wait");
        scene.chain.mine(1).await?;
    }
    for channel in &channels {
        scene.until_closed(channel).await?;
    }
    assert_eq!(scene.tokens(scene.deployment.payee).await?, 7 * 30);
    wait::until("the journal", PATIENCE, async || scene.check_line().await).await
}

#[tokio::test]
async fn an_answer_is_settled_when_it_is_deep_and_looked_at_again_when_it_is_not() -> Result<()> {
    let scene = Scene::set().await?;
    let wallet = scene.wallet_with("wallet", QUICK)?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    scene.until_closed(&channel).await?;
    scene.chain.mine(2).await?;
    let slot = scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Mined).await?;
    assert!(!slot.intents[0].confirmed);
    scene.chain.reorg(3).await?;
    wait::until("the answer to be mined again", PATIENCE, async || {
        ensure!(scene.sent().await? == 1, "it is not");
        Ok(())
    })
    .await?;
    scene.chain.mine(3).await?;
    let slot = scene.slot_of(&channel, |slot| slot.intents[0].confirmed).await?;
    assert_eq!((slot.signed.len(), slot.intents[0].state), (1, IntentState::Mined));
    for (state, times) in [("prepared", 1), ("broadcast", 2), ("mined", 2), ("confirmed", 1)] {
        until_counted(&wallet, state, times).await?;
    }
    scene.check_line().await
}

/// Until so many intents got into this state, by what operators are shown.
async fn until_counted(wallet: &Process, state: &str, times: u32) -> Result<()> {
    let name = format!(r#"wallet_transactions_total{{chain="61",state="{state}"}}"#);
    until_shown(wallet, &name, &times.to_string()).await
}

/// Nothing, to ourselves, as somebody with our key sends it.
fn transfer(scene: &Scene, nonce: u64, fees: Fees) -> Transaction {
    let account = Account::new(scene.rpc.clone(), scene.payee.clone());
    let (chain_id, to) = (scene.chain.chain_id(), Some(account.address()));
    Transaction { chain_id, nonce, to, data: Default::default(), value: U256::ZERO, gas: 21_000, fees }
}
