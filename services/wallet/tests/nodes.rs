//! Nodes that refuse, lie, go away or serve another chain, and those that stand in for them.

mod common;

use std::time::{Duration, Instant};

use alloy_primitives::B256;
use anyhow::{Result, ensure};
use common::ground::until_shown;
use common::journal::check_fees_rise;
use common::{Opened, PATIENCE, Scene, until_active};
use ledger::IntentState;
use serde_json::json;
use testkit::anvil::{Anvil, Options};
use testkit::liar::{Liar, Lie};
use testkit::process::Process;
use testkit::wait;

const KEYS: &[(&str, &str)] = &[("WALLET__RESEND_MS", "500"), ("WALLET__CONFIRMATIONS", "3")];

/// A wallet that asks this node first, and the chain's own when that fails.
fn wallet_over(scene: &Scene, first: &str, further: &[(&str, &str)]) -> Result<Process> {
    let urls = format!(r#"["{}"]"#, scene.chain.url());
    let mut keys = KEYS.to_vec();
    keys.extend([("DEPLOYMENTS__MAIN__RPC_URL", first), ("DEPLOYMENTS__MAIN__RPC_URLS", urls.as_str())]);
    keys.extend(further);
    scene.wallet_with("wallet", &keys)
}

async fn closed(scene: &Scene, channel: &Opened) -> Result<()> {
    scene.until_closed(channel).await?;
    wait::until("the journal", PATIENCE, async || scene.check_line().await).await
}

#[tokio::test]
async fn whatever_nodes_say_to_a_transaction_it_is_mined_once() -> Result<()> {
    let said = [
        ("already known", 1),
        ("nonce too low", 1),
        ("transaction underpriced", 2),
        ("replacement transaction underpriced", 2),
        ("insufficient funds for gas * price + value", 1),
        ("something else", 2),
    ];
    for (message, times) in said {
        let scene = Scene::set().await?;
        let liar = Liar::start(&scene.chain.url()).await?;
        liar.tell_times(times, "eth_sendRawTransaction", Lie::Error(-32000, message.to_owned()));
        let url = liar.url();
        let mut keys = KEYS.to_vec();
        keys.push(("DEPLOYMENTS__MAIN__RPC_URL", url.as_str()));
        let _wallet = scene.wallet_with("wallet", &keys)?;
        let channel = scene.used_channel().await?;
        scene.close_alone(&channel, 0).await?;
        closed(&scene, &channel).await?;
        let slot = scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Mined).await?;
        let raised = if message.contains("underpriced") { 2 } else { 0 };
        assert_eq!(slot.signed.len(), 1 + raised, "{message}");
        check_fees_rise(&slot)?;
        assert_eq!(scene.sent().await?, 1, "{message}");
    }
    Ok(())
}

#[tokio::test]
async fn when_the_first_node_hangs_another_one_serves_within_ten_seconds_with_the_default_timeout() -> Result<()> {
    let scene = Scene::set().await?;
    let first = Liar::start(&scene.chain.url()).await?;
    let default = runtime::config::Wallet::default().rpc_timeout.as_millis().to_string();
    let wallet = wallet_over(&scene, &first.url(), &[("WALLET__RPC_TIMEOUT_MS", &default)])?;
    until_active(&wallet).await?;
    for gone in [Lie::Hang, Lie::Http(503)] {
        let channel = scene.used_channel().await?;
        scene.close_unnoticed(&channel, 0).await?;
        first.tell("", gone);
        let start = Instant::now();
        scene.follow().await?;
        closed(&scene, &channel).await?;
        println!("answered after {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        first.be_honest();
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_fell_behind_or_forked_off_is_not_believed() -> Result<()> {
    let scene = Scene::set().await?;
    let fork = Anvil::start_with(Options { genesis_time: Some(1_700_000_000), ..Options::default() }).await?;
    fork.mine(50).await?;
    let third = Liar::start(&scene.chain.url()).await?;
    let first = Liar::start(&scene.chain.url()).await?;
    let urls = format!(r#"["{}", "{}"]"#, scene.chain.url(), third.url());
    let url = first.url();
    let mut keys = KEYS.to_vec();
    keys.extend([("DEPLOYMENTS__MAIN__RPC_URL", url.as_str()), ("DEPLOYMENTS__MAIN__RPC_URLS", urls.as_str())]);
    let wallet = scene.wallet_with("wallet", &keys)?;
    until_active(&wallet).await?;
    let channel = scene.used_channel().await?;
    scene.close_unnoticed(&channel, 0).await?;
    first.speak_for(&fork.url());
    let said = async |what: &str| {
        wait::until(what, PATIENCE, async || {
            let log = std::fs::read_to_string(wallet.log())?;
            ensure!(log.contains(what), "it says {log}");
            Ok(())
        })
        .await
    };
    said("is on another fork").await?;
    until_shown(&wallet, r#"evm_node_avoided{chain="61",node="0"}"#, "1").await?;
    scene.follow().await?;
    closed(&scene, &channel).await?;
    first.speak_for(&scene.chain.url());
    said("agrees with the others again").await?;
    scene.chain.mine(20).await?;
    first.tell("", Lie::Lag(9));
    said("lags behind the others").await?;
    until_shown(&wallet, r#"evm_heads_apart_blocks{chain="61"}"#, "9").await
}

#[tokio::test]
async fn a_wallet_does_not_start_on_a_node_of_another_chain() -> Result<()> {
    let scene = Scene::set().await?;
    let other = Anvil::start_with(Options { chain_id: 62, ..Options::default() }).await?;
    let output = scene.wallet_command("wallet", &other.url())?.output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(!output.status.success() && said.contains("serves chain 62, expected 61"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_replaced_by_one_of_another_chain_is_not_believed() -> Result<()> {
    let scene = Scene::set().await?;
    let other = Anvil::start_with(Options { chain_id: 62, ..Options::default() }).await?;
    let first = Liar::start(&scene.chain.url()).await?;
    let wallet = wallet_over(&scene, &first.url(), &[])?;
    until_active(&wallet).await?;
    let channel = scene.used_channel().await?;
    scene.close_unnoticed(&channel, 0).await?;
    first.speak_for(&other.url());
    first.tell_times(1, "", Lie::Http(502)); // it was restarted
    scene.follow().await?;
    closed(&scene, &channel).await
}

#[tokio::test]
async fn a_receipt_from_a_block_that_is_not_part_of_the_chain_is_not_believed() -> Result<()> {
    const ASKED: &str = "eth_getTransactionReceipt";
    let scene = Scene::set().await?;
    let liar = Liar::start(&scene.chain.url()).await?;
    let url = liar.url();
    let _wallet = scene.wallet_with("wallet", &[KEYS, &[("DEPLOYMENTS__MAIN__RPC_URL", url.as_str())]].concat())?;
    let (first, second) = (scene.used_channel().await?, scene.used_channel().await?);
    scene.close_alone(&first, 0).await?;
    let mined = scene.slot_of(&first, |slot| slot.intents[0].state == IntentState::Mined).await?;
    let mut receipt = scene.chain.rpc(ASKED, json!([mined.signed[0].hash])).await?;
    receipt["blockHash"] = json!(B256::repeat_byte(0x42));
    liar.tell(ASKED, Lie::Result(receipt));
    let asked = liar.calls(ASKED);
    scene.close_alone(&second, 0).await?;
    scene.until_closed(&second).await?;
    wait::until("the wallet to be lied to", PATIENCE, async || {
        ensure!(liar.calls(ASKED) >= asked + 3, "not yet");
        Ok(())
    })
    .await?;
    let slots = scene.ledger.slots_about(second.id).await?;
    ensure!(slots.iter().all(|slot| slot.intents[0].state != IntentState::Mined), "{slots:?}");
    liar.be_honest();
    scene.slot_of(&second, |slot| slot.intents[0].state == IntentState::Mined).await?;
    scene.check_line().await
}
