use anyhow::Result;
use payer::PayerError;
use tempfile::TempDir;

use crate::shop::Act;
use crate::world::{World, amount};

#[tokio::test]
async fn closes_with_the_receivers_consent_and_gets_the_rest_back_at_once() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let before = world.tokens(&payer).await?;
    for _ in 0..3 {
        world.get(&payer, "/file").await?;
    }
    let key = payer.channels().await[0].key;
    let ended = payer.close(&key, None).await?;
    assert_eq!((ended.balance, ended.refund), (amount(30), amount(70)));
    assert_eq!(world.tokens(&payer).await?, before - 30);
    assert!(payer.channels().await.is_empty());
    assert_eq!(payer.on_chain(&key).await?, None);
    Ok(())
}

#[tokio::test]
async fn asks_back_what_was_paid_and_never_served() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let before = world.tokens(&payer).await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::Honest, Act::Fail(502)]);
    world.get(&payer, "/page").await?;
    world.get(&payer, "/file").await?;
    assert_eq!(world.shop.money(), (30, 20), "the failed call's credit is left");
    let key = payer.channels().await[0].key;
    payer.close(&key, None).await?;
    assert_eq!(world.tokens(&payer).await?, before - 20);
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_did_serve_is_paid_in_full() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let before = world.tokens(&payer).await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::TakeAndHangUp]);
    assert!(world.get(&payer, "/file").await.is_err());
    world.get(&payer, "/file").await?;
    let key = payer.channels().await[0].key;
    payer.close(&key, None).await?;
    assert_eq!(world.tokens(&payer).await?, before - 30);
    Ok(())
}

#[tokio::test]
async fn a_false_closing_signature_is_not_taken_to_the_chain() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    let key = payer.channels().await[0].key;
    world.shop.next([Act::Say(200, vec![])]);
    let refused = payer.close(&key, None).await;
    assert!(matches!(refused, Err(PayerError::Lied { .. })), "{refused:?}");
    assert!(payer.on_chain(&key).await?.is_some_and(|info| info.closing.is_none()));
    Ok(())
}

#[tokio::test]
async fn waits_for_a_server_whose_signer_is_away() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    let key = payer.channels().await[0].key;
    world.shop.next([Act::Say(503, vec![("Retry-After", "1".to_owned())])]);
    payer.close(&key, None).await?;
    Ok(())
}

#[tokio::test]
async fn closes_alone_and_settles_after_the_challenge_period() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let before = world.tokens(&payer).await?;
    for _ in 0..2 {
        world.get(&payer, "/file").await?;
    }
    let key = payer.channels().await[0].key;
    let ended = payer.close_alone(&key, None).await?;
    assert_eq!((ended.balance, ended.refund), (amount(20), amount(80)));
    let early = payer.settle(&key).await;
    assert!(matches!(early, Err(PayerError::Channel(_))), "{early:?}");
    let again = payer.close_alone(&key, None).await;
    assert!(matches!(again, Err(PayerError::Channel(_))), "{again:?}");

    world.anvil.mine(500).await?;
    payer.settle(&key).await?;
    assert_eq!(world.tokens(&payer).await?, before - 20);
    assert!(payer.channels().await.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_closing_channel_is_not_paid_from() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    let key = payer.channels().await[0].key;
    payer.close_alone(&key, None).await?;
    world.shop.forget_payments();
    world.get(&payer, "/file").await?;
    let channels = payer.channels().await;
    assert_eq!(channels.len(), 2);
    assert_eq!(channels.iter().find(|channel| channel.key == key).map(|c| c.balance), Some(amount(10)));
    Ok(())
}

#[tokio::test]
async fn learns_what_was_paid_from_the_server_before_closing_a_forgotten_channel() -> Result<()> {
    let mut world = World::new().await?;
    let payer = world.payer().await?;
    for _ in 0..3 {
        world.get(&payer, "/file").await?;
    }
    let before = world.tokens(&payer).await?;
    drop(payer);
    world.state = TempDir::new()?;

    let payer = world.payer().await?;
    let found = payer.find_channels(world.contract).await?;
    let key = found[0].0;
    let probe = payer.probe(&key, world.request("/file")).await?;
    assert_eq!(world.shop.money(), (30, 30), "asking costs nothing");
    payer.close(&key, probe.api.as_deref()).await?;
    assert_eq!(world.tokens(&payer).await?, before + 70);
    Ok(())
}
