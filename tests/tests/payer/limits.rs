use anyhow::Result;
use payer::{Allowed, PayerError, Settings};

use crate::world::{World, amount};

/// With this change, nothing is paid and the error names `limit`.
async fn refuses(limit: &str, change: impl FnOnce(&mut Settings)) -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer_with(change).await?;
    let before = world.tokens(&payer).await?;
    match world.get(&payer, "/file").await {
        Err(PayerError::Limit(over)) => assert_eq!(over.limit(), limit),
        other => panic!("expected a refusal by {limit}, got {other:?}"),
    }
    assert!(world.shop.vouchers().is_empty(), "a voucher left");
    assert_eq!(world.tokens(&payer).await?, before, "something was deposited");
    assert!(payer.channels().await.is_empty());
    Ok(())
}

#[tokio::test]
async fn refuses_a_price_above_the_limit() -> Result<()> {
    refuses("max_price", |settings| settings.limits.max_price = amount(9)).await
}

#[tokio::test]
async fn refuses_a_deposit_above_the_limit() -> Result<()> {
    refuses("max_deposit", |settings| settings.limits.max_deposit = amount(9)).await
}

#[tokio::test]
async fn refuses_to_spend_more_a_day_than_the_limit() -> Result<()> {
    refuses("max_per_day", |settings| settings.limits.max_per_day = Some(amount(9))).await
}

#[tokio::test]
async fn refuses_to_spend_more_a_day_and_host_than_the_limit() -> Result<()> {
    refuses("max_per_host_per_day", |settings| settings.limits.max_per_host_per_day = Some(amount(9))).await
}

#[tokio::test]
async fn refuses_to_open_more_channels_a_day_than_the_limit() -> Result<()> {
    refuses("max_opens_per_day", |settings| settings.limits.max_opens_per_day = 0).await
}

#[tokio::test]
async fn refuses_gas_above_the_limit() -> Result<()> {
    refuses("max_gas_wei", |settings| settings.limits.max_gas_wei = Some(1)).await
}

#[tokio::test]
async fn refuses_a_contract_that_is_not_allowed() -> Result<()> {
    refuses("contracts", |settings| settings.limits.contracts = Allowed::These(vec![])).await
}

#[tokio::test]
async fn refuses_a_token_that_is_not_allowed() -> Result<()> {
    refuses("tokens", |settings| settings.limits.tokens = Allowed::These(vec![])).await
}

#[tokio::test]
async fn refuses_a_host_that_is_not_allowed() -> Result<()> {
    refuses("hosts", |settings| settings.limits.hosts = Allowed::These(vec!["example.org".to_owned()])).await
}

#[tokio::test]
async fn refuses_a_chain_that_is_not_allowed() -> Result<()> {
    let world = World::new().await?;
    let refused = world.payer_with(|settings| settings.limits.chains = Allowed::These(vec![1])).await.err();
    assert!(matches!(refused, Some(PayerError::Limit(over)) if over.limit() == "chains"));
    Ok(())
}

#[tokio::test]
async fn a_payer_that_was_told_nothing_pays_nothing() -> Result<()> {
    refuses("contracts", |settings| settings.limits = payer::Limits::default()).await?;
    refuses("max_price", |settings| {
        settings.limits = payer::Limits { contracts: Allowed::Any, ..payer::Limits::default() };
    })
    .await
}

#[tokio::test]
async fn the_days_limit_counts_over_requests_and_processes() -> Result<()> {
    let world = World::new().await?;
    let limit = |settings: &mut Settings| settings.limits.max_per_day = Some(amount(25));
    let payer = world.payer_with(limit).await?;
    world.get(&payer, "/file").await?;
    drop(payer);
    let payer = world.payer_with(limit).await?;
    world.get(&payer, "/file").await?;
    let third = world.get(&payer, "/file").await;
    assert!(matches!(third, Err(PayerError::Limit(ref over)) if over.limit() == "max_per_day"), "{third:?}");
    assert_eq!(world.shop.vouchers(), [10, 20]);
    Ok(())
}

#[tokio::test]
async fn a_top_up_never_takes_a_channel_above_the_limit() -> Result<()> {
    let world = World::new().await?;
    let payer = world
        .payer_with(|settings| {
            settings.limits.max_deposit = amount(35);
            settings.deposits.open = Some(amount(20));
        })
        .await?;
    for _ in 0..3 {
        world.get(&payer, "/file").await?;
    }
    assert_eq!(payer.channels().await[0].deposit, amount(35));
    let fourth = world.get(&payer, "/file").await;
    assert!(matches!(fourth, Err(PayerError::Limit(ref over)) if over.limit() == "max_deposit"), "{fourth:?}");
    assert_eq!(world.shop.money(), (30, 30));
    Ok(())
}
