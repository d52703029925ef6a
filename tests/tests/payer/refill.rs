//! Topping up by the rule: ahead of need, within the day's limit, never twice for one shortage.

use std::time::{Duration, Instant};

use anyhow::Result;
use payer::{Funding, PayerError, Settings};
use serde_json::json;

use crate::cli::Shell;
use crate::world::{World, amount};

/// Opens with 30, and adds 50 when less than 20 is left.
fn ahead(settings: &mut Settings) {
    settings.deposits.open = Some(amount(30));
    settings.deposits.top_up = Some(amount(50));
    settings.deposits.threshold = Some(amount(20));
    settings.funding = Funding::Erc223;
}

#[tokio::test]
async fn a_channel_is_topped_up_once_before_it_runs_dry() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer_with(ahead).await?;
    let mut deposits = Vec::new();
    for _ in 0..6 {
        let answer = world.get(&payer, "/file").await?;
        deposits.push(answer.receipt.deposit.units());
    }
    assert_eq!(deposits, [30, 30, 80, 80, 80, 80], "with 10 left and not again before more is spent");
    assert_eq!(world.shop.seen().len(), 7, "no request waited for the server to see it");
    assert_eq!(world.shop.money(), (60, 60));
    Ok(())
}

#[tokio::test]
async fn top_ups_of_a_day_have_a_limit_over_requests_and_processes() -> Result<()> {
    let world = World::new().await?;
    let limits = |settings: &mut Settings| {
        settings.limits.max_top_ups_per_day = Some(amount(25));
        settings.deposits.open = Some(amount(10));
        settings.deposits.top_up = Some(amount(10));
    };
    let mut payer = world.payer_with(limits).await?;
    let tokens = world.tokens(&payer).await?;
    for _ in 0..3 {
        world.get(&payer, "/file").await?;
        drop(payer);
        payer = world.payer_with(limits).await?;
    }
    let fourth = world.get(&payer, "/file").await;
    assert!(matches!(fourth, Err(PayerError::Limit(ref over)) if over.limit() == "max_top_ups_per_day"), "{fourth:?}");
    assert_eq!(world.tokens(&payer).await?, tokens - 30);
    world.shop.set_price(5);
    let smaller = world.get(&payer, "/cheaper").await?;
    assert_eq!(smaller.receipt.deposit, amount(35), "what the day leaves");
    Ok(())
}

#[tokio::test]
async fn a_top_up_that_was_not_waited_for_is_finished_and_not_repeated() -> Result<()> {
    let world = World::new().await?;
    let impatient = |settings: &mut Settings| {
        settings.patience.mined = Duration::from_millis(600);
        settings.deposits.open = Some(amount(10));
        settings.deposits.top_up = Some(amount(50));
        settings.limits.max_top_ups_per_day = Some(amount(50));
        settings.funding = Funding::Erc223;
    };
    let payer = world.payer_with(impatient).await?;
    let tokens = world.tokens(&payer).await?;
    world.get(&payer, "/file").await?;
    world.anvil.rpc("evm_setAutomine", json!([false])).await?;
    for _ in 0..2 {
        let late = world.get(&payer, "/file").await;
        assert!(matches!(late, Err(PayerError::Chain { .. })), "{late:?}");
    }
    drop(payer);

    world.anvil.rpc("evm_setAutomine", json!([true])).await?;
    world.anvil.mine(1).await?;
    let payer = world.payer_with(impatient).await?;
    let answer = world.get(&payer, "/file").await?;
    assert_eq!((answer.receipt.deposit, answer.receipt.deposited), (amount(60), amount(0)));
    assert_eq!(world.tokens(&payer).await?, tokens - 60);
    Ok(())
}

#[tokio::test]
async fn a_payment_does_not_need_the_top_up_ahead_and_what_failed_is_not_tried_again_at_once() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer_with(ahead).await?;
    world.get(&payer, "/file").await?;
    world.get(&payer, "/file").await?;
    drop(payer);

    world.shop.set_price(1);
    let nowhere = "http://127.0.0.1:1".to_owned();
    let payer = world.payer_with(|settings| (ahead(settings), settings.rpc_url = nowhere).1).await?;
    world.get(&payer, "/file").await?;
    let start = Instant::now();
    for _ in 0..4 {
        world.get(&payer, "/file").await?;
    }
    assert!(start.elapsed() < Duration::from_millis(700), "the node was asked again: {:?}", start.elapsed());
    assert_eq!(payer.channels().await[0].top_ups_failed.count, 1);
    drop(payer);

    let payer = world.payer_with(ahead).await?;
    assert_eq!(world.get(&payer, "/file").await?.receipt.deposit, amount(30), "half a minute is not over");
    world.shop.set_price(10);
    assert_eq!(world.get(&payer, "/file").await?.receipt.deposit, amount(80), "now it is needed");
    assert_eq!(payer.channels().await[0].top_ups_failed.count, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tops_up_ahead_when_told_to() -> Result<()> {
    let shell = Shell::new().await?;
    let (url, limits) = (shell.url("/file"), ["--threshold", "95", "--top-up", "20", "--max-top-ups-per-day", "20"]);
    let mut deposits = Vec::new();
    for _ in 0..5 {
        let ran = shell.pay(&[&limits[..], &["--json", &url]].concat()).await?;
        assert_eq!(ran.code, 0, "{}", ran.err);
        deposits.push(ran.aside()?["deposit"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(deposits, ["100", "120", "120", "120", "120"], "once, since the day leaves no more");
    Ok(())
}
