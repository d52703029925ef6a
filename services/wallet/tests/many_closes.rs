//! Fifty dishonest closes in one block, fees twenty times what they were from the next one on, and no broker.

mod common;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::journal::{GWEI, check_fees_rise, intents};
use common::{CHALLENGE_PERIOD, Scene, until_active};
use ledger::IntentState;
use testkit::wait;

const CLOSES: u64 = 50;
/// Between blocks.
const BLOCK: Duration = Duration::from_secs(1);
/// Four wait at a time, so it takes thirteen blocks at least; with this many the line was not kept full.
const BLOCKS_MAX: u64 = 40;

#[tokio::test]
async fn fifty_dishonest_closes_in_one_block_are_all_answered_in_half_the_challenge_period_though_fees_rise()
-> Result<()> {
    let scene = Scene::set().await?;
    let mut channels = Vec::new();
    for _ in 0..CLOSES {
        let channel = scene.open(100).await?;
        scene.pay(&channel, 30, 30).await?;
        channels.push(channel);
    }
    // The limits are those that it has by itself.
    let limits = [("WALLET__POLL_MS", "1000"), ("WALLET__LEASE_MS", "6000"), ("WALLET__RPC_TIMEOUT_MS", "5000")];
    let wallet = scene.wallet_with("wallet", &limits)?;
    until_active(&wallet).await?;

    scene.chain.set_next_base_fee(10 * GWEI).await?;
    scene.chain.mine(1).await?;
    let closed = scene.close_all_in_one_block(&channels).await?;
    let before = scene.rpc.head().await?.base_fee.context("it has one")?;
    scene.follow().await?;
    // What is sent now goes by the old fees.
    wait::until("the first answers", common::PATIENCE, async || {
        let slots = scene.slots().await?;
        ensure!(intents(&slots).any(|intent| intent.state == IntentState::Broadcast), "none is sent");
        Ok(())
    })
    .await?;
    let (start, mut blocks) = (Instant::now(), 0);
    while scene.sent().await? < CLOSES {
        blocks += 1;
        ensure!(blocks <= BLOCKS_MAX, "{} of {CLOSES} are answered after so many blocks", scene.sent().await?);
        scene.chain.set_next_base_fee(before * 20).await?;
        scene.chain.mine(1).await?;
        scene.follow().await?;
        println!("block {blocks}: {} of {CLOSES} answered", scene.sent().await?);
        tokio::time::sleep((BLOCK * u32::try_from(blocks)?).saturating_sub(start.elapsed())).await;
    }
    let last = scene.chain.head().await?;
    println!("{CLOSES} closes were answered within {} blocks of {CHALLENGE_PERIOD}", last - closed);
    let first = scene.slots().await?.into_iter().find(|slot| slot.nonce == 0).context("the first answer")?;
    assert!(first.signed.len() > 1, "it was too cheap from the next block on: {first:?}");
    assert!(last - closed <= u64::from(CHALLENGE_PERIOD / 2));

    for channel in &channels {
        scene.until_closed(channel).await?;
    }
    assert_eq!(scene.tokens(scene.deployment.payee).await?, u128::from(CLOSES) * 30);
    for slot in scene.slots().await? {
        check_fees_rise(&slot)?;
    }
    scene.check_each_call_once(closed).await?;
    wait::until("the journal", common::PATIENCE, async || scene.check_line().await).await
}
