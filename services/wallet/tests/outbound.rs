//! Channels that we pay from are topped up once per shortage, within the day's cap, with either kind of token.

mod common;

use alloy_primitives::{Address, U256, address};
use anyhow::{Context, Result, ensure};
use common::kept::Keeper;
use common::{PATIENCE, Scene, amount, until_active};
use contracts::{Opening, raiden, token};
use testkit::wait;

const RECEIVER: Address = address!("8Bf640A099fE945DA46F354D3B49c48a125F48B6");

/// A channel with 100 deposited, from the payer to somebody else, and the section that has it kept filled.
async fn open(scene: &Scene, standard: &str) -> Result<(Opening, String)> {
    let data = raiden::open_data(scene.payer.address(), RECEIVER);
    let transfer = token::transfer_with_data(scene.deployment.contract, U256::from(100), data);
    let receipt = scene.payer.send(Some(scene.deployment.token), transfer, U256::ZERO).await?;
    let block = u32::try_from(receipt.block.number)?;
    let section = format!(
        "[outbound.reports]\ndeployment = \"main\"\ntoken_standard = \"{standard}\"\nreceiver = \"{RECEIVER}\"\n\
         open_block = {block}\nkey_file = \"payer.key\"\nthreshold = 30\namount = 50\ncap_per_day = 120\n"
    );
    Ok((raiden::opening(scene.payer.address(), block), section))
}

async fn until_deposited(scene: &Scene, opening: &Opening, deposit: u128) -> Result<()> {
    wait::until("the deposit", PATIENCE, async || {
        scene.chain.mine(1).await?;
        let there = scene.deposit(opening, RECEIVER).await?;
        ensure!(there == deposit, "it is {there}");
        Ok(())
    })
    .await
}

/// What the payer signed away, once the wallet has looked at the channel.
async fn report(scene: &Scene, spent: u128) -> Result<()> {
    let reported = async || Ok(scene.ledger.report_outbound("reports", amount(spent)).await?);
    wait::until("the channel to be known", PATIENCE, reported).await.map(drop)
}

#[tokio::test]
async fn a_channel_is_topped_up_once_per_shortage_up_to_the_days_cap() -> Result<()> {
    let scene = Scene::set().await?;
    let (opening, section) = open(&scene, "erc223").await?;
    let keeper = Keeper::of(&scene, &section)?;
    let (payer, sent) = (scene.payer.address(), scene.rpc.mined_nonce(scene.payer.address()).await?);
    let _wallet = keeper.start("wallet")?;
    report(&scene, 70).await?;
    scene.nothing_more(payer, sent).await.context("30 is left, which is enough")?;
    for (times, (spent, deposit)) in [(80, 150), (130, 200), (180, 220)].into_iter().enumerate() {
        report(&scene, spent).await?;
        until_deposited(&scene, &opening, deposit).await?;
        scene.until_sent(payer, times + 1).await?;
        scene.nothing_more(payer, sent + times as u64 + 1).await.context(spent)?;
    }
    report(&scene, 200).await?;
    keeper.until_told("wallet", "all that may be added in a day was").await?;
    scene.nothing_more(payer, sent + 3).await?;
    let row = scene.ledger.outbound().await?.remove(0);
    assert_eq!((row.deposit, row.spent(), row.is_open), (amount(220), amount(200), true));
    Ok(())
}

#[tokio::test]
async fn a_token_without_data_in_transfers_is_allowed_exactly_and_then_taken() -> Result<()> {
    let scene = Scene::set().await?;
    let (opening, section) = open(&scene, "erc20").await?;
    // Something is left over from before.
    let contract = scene.deployment.contract;
    scene.payer.send(Some(scene.deployment.token), token::approve(contract, U256::from(7)), U256::ZERO).await?;
    let keeper = Keeper::of(&scene, &section)?;
    let _wallet = keeper.start("wallet")?;
    report(&scene, 80).await?;
    until_deposited(&scene, &opening, 150).await?;
    scene.until_sent(scene.payer.address(), 3).await.context("to zero, to the amount, and the top-up")?;
    let question = token::allowance(scene.payer.address(), contract);
    let allowed = token::read_amount(&scene.rpc.call(scene.deployment.token, question).await?)?;
    assert_eq!(allowed, U256::ZERO);
    Ok(())
}

#[tokio::test]
async fn a_wallet_may_die_between_any_two_steps_of_a_top_up() -> Result<()> {
    let scene = Scene::set().await?;
    let (opening, section) = open(&scene, "erc223").await?;
    let keeper = Keeper::of(&scene, &section.replace("cap_per_day = 120", "cap_per_day = 1000"))?;
    let points = ["after_decision_before_sign", "after_store_before_send", "after_send_before_mark", "after_mark"];
    for (number, point) in points.into_iter().enumerate() {
        let mut first = keeper.start_armed(point, point, "return(abort)")?;
        until_active(&first).await?;
        let _second = keeper.start(&format!("second-{number}"))?;
        report(&scene, 80 + 50 * number as u128).await?;
        let gone = async || {
            scene.chain.mine(1).await?;
            ensure!(first.check_running().is_err(), "it runs");
            Ok(())
        };
        wait::until("the wallet to die", PATIENCE, gone).await.context(point)?;
        until_deposited(&scene, &opening, 150 + 50 * number as u128).await.context(point)?;
        scene.until_sent(scene.payer.address(), number + 1).await.context(point)?;
    }
    let sent = scene.rpc.mined_nonce(scene.payer.address()).await?;
    scene.nothing_more(scene.payer.address(), sent).await?;
    assert_eq!(scene.deposit(&opening, RECEIVER).await?, 300);
    Ok(())
}

#[tokio::test]
async fn nothing_is_added_to_a_channel_that_is_to_be_closed() -> Result<()> {
    let scene = Scene::set().await?;
    let (opening, section) = open(&scene, "erc223").await?;
    let close = raiden::uncooperative_close(&opening, RECEIVER, amount(90))?;
    scene.payer.send(Some(scene.deployment.contract), close, U256::ZERO).await?;
    let sent = scene.rpc.mined_nonce(scene.payer.address()).await?;
    let keeper = Keeper::of(&scene, &section)?;
    let _wallet = keeper.start("wallet")?;
    report(&scene, 90).await?;
    keeper.until_told("wallet", "it is not open: nothing can be added").await?;
    scene.nothing_more(scene.payer.address(), sent).await
}

#[tokio::test]
async fn what_was_reported_of_another_channel_of_that_name_is_forgotten() -> Result<()> {
    let scene = Scene::set().await?;
    let (_, first) = open(&scene, "erc223").await?;
    let wallet = Keeper::of(&scene, &first)?.start("first")?;
    report(&scene, 60).await?;
    report(&scene, 50).await?;
    assert_eq!(scene.ledger.outbound().await?[0].reported, amount(60), "nothing is unspent");
    drop(wallet);
    let (_, second) = open(&scene, "erc223").await?;
    let _wallet = Keeper::of(&scene, &second)?.start("second")?;
    wait::until("the other channel", PATIENCE, async || {
        ensure!(scene.ledger.outbound().await?[0].reported == amount(0), "it is not looked at yet");
        Ok(())
    })
    .await
}
