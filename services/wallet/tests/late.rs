//! Closes that cannot be answered at once: the node is away for a part of the challenge period, or the wallet is.

mod common;

use anyhow::Result;
use common::ground::{until_said, until_shown};
use common::{CHALLENGE_PERIOD, Scene, until_active};
use ledger::IntentState;
use testkit::liar::{Liar, Lie};

const LATE: &str = "no answer is mined";

/// So many hundredths of the challenge period, in blocks.
const fn blocks(percent: u64) -> u64 {
    CHALLENGE_PERIOD as u64 * percent / 100
}

#[tokio::test]
async fn with_its_nodes_away_the_wallet_says_so_at_a_quarter_of_the_period_and_answers_when_they_are_back() -> Result<()>
{
    for away in [40, 60] {
        let scene = Scene::set().await?;
        let liar = Liar::start(&scene.chain.url()).await?;
        let url = liar.url();
        let wallet = scene.wallet_with("wallet", &[("DEPLOYMENTS__MAIN__RPC_URL", url.as_str())])?;
        until_active(&wallet).await?;
        let channel = scene.used_channel().await?;
        liar.tell("", Lie::Http(503));
        let requested = scene.close_alone(&channel, 0).await?;
        until_said(&wallet, "waits for what is away").await?;
        assert!(!std::fs::read_to_string(wallet.log())?.contains(LATE), "it is not late yet");
        scene.chain.mine(blocks(25)).await?;
        // The watcher has its own nodes.
        scene.follow().await?;
        until_said(&wallet, LATE).await?;
        until_shown(&wallet, r#"wallet_challenges_late{chain="61"}"#, "1").await?;
        scene.chain.mine(blocks(away) - blocks(25)).await?;
        liar.be_honest();
        scene.until_closed(&channel).await?;
        let answered = scene.mined_in(&channel).await? - requested;
        println!("nodes away for {away} % of the period: answered after {answered} of {CHALLENGE_PERIOD} blocks");
        assert!(answered <= blocks(away) + 5, "{answered}");
        until_shown(&wallet, r#"wallet_challenges_late{chain="61"}"#, "0").await?;
        until_shown(&wallet, r#"challenge_margin_blocks{chain="61"}"#, "inf").await?;
        assert_eq!(scene.tokens(scene.deployment.payee).await?, 30);
    }
    Ok(())
}

#[tokio::test]
async fn a_wallet_that_was_dead_for_half_the_period_answers_at_once_when_it_is_back() -> Result<()> {
    let scene = Scene::set().await?;
    let channel = scene.used_channel().await?;
    let requested = scene.close_alone(&channel, 0).await?;
    scene.chain.mine(blocks(50)).await?;
    scene.follow().await?;
    let wallet = scene.wallet("wallet")?;
    until_said(&wallet, LATE).await?;
    scene.until_closed(&channel).await?;
    let answered = scene.mined_in(&channel).await? - requested;
    println!("the wallet away for 50 % of the period: answered after {answered} of {CHALLENGE_PERIOD} blocks");
    assert!(answered <= blocks(50) + 5, "{answered}");
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_mined_is_not_late_though_the_watcher_has_not_seen_it() -> Result<()> {
    let scene = Scene::set().await?;
    let wallet = scene.wallet("wallet")?;
    until_active(&wallet).await?;
    let channel = scene.used_channel().await?;
    scene.close_alone(&channel, 0).await?;
    scene.slot_of(&channel, |slot| slot.intents[0].state == IntentState::Mined).await?;
    scene.chain.mine(blocks(50)).await?;
    until_shown(&wallet, r#"challenge_margin_blocks{chain="61"}"#, &(blocks(50) - 1).to_string()).await?;
    until_shown(&wallet, r#"wallet_challenges_late{chain="61"}"#, "0").await?;
    scene.until_closed(&channel).await
}
