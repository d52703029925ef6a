use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::Result;
use payer::PayerError;
use serde_json::json;
use tempfile::TempDir;

use crate::shop::Act;
use crate::world::{World, amount};

#[tokio::test]
async fn finds_its_channel_and_its_balance_again_after_losing_the_state() -> Result<()> {
    let mut world = World::new().await?;
    let payer = world.payer().await?;
    for _ in 0..3 {
        world.get(&payer, "/file").await?;
    }
    let tokens = world.tokens(&payer).await?;
    drop(payer);
    world.state = TempDir::new()?;

    let payer = world.payer().await?;
    let answer = world.get(&payer, "/file").await?;
    assert_eq!(answer.receipt.exchanges, 3, "the price; what the server holds; the payment");
    assert_eq!(world.shop.vouchers(), [10, 20, 30, 0, 40]);
    assert_eq!(world.shop.money(), (40, 40));
    assert_eq!(world.tokens(&payer).await?, tokens, "no second channel");
    Ok(())
}

#[tokio::test]
async fn a_channel_that_was_never_paid_from_is_found_and_used() -> Result<()> {
    let mut world = World::new().await?;
    let payer = world.payer().await?;
    payer.open_channel(world.contract, world.shop.receiver(), amount(100)).await?;
    drop(payer);
    world.state = TempDir::new()?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    assert_eq!(world.shop.money(), (10, 10));
    assert_eq!(payer.channels().await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn after_a_crash_between_storing_and_the_answer_the_same_voucher_pays_for_the_next_request() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::Hang]);
    let seen = world.shop.seen().len();
    tokio::select! {
        answer = world.get(&payer, "/file") => panic!("the shop should hang, it said {answer:?}"),
        () = async { while world.shop.seen().len() == seen { tokio::time::sleep(Duration::from_millis(10)).await } } => {}
    }
    drop(payer);

    let payer = world.payer().await?;
    assert!(payer.channels().await[0].in_doubt);
    world.get(&payer, "/file").await?;
    assert_eq!(world.shop.vouchers(), [10, 20, 20]);
    assert_eq!(world.shop.money(), (20, 20));
    Ok(())
}

#[tokio::test]
async fn after_a_lost_answer_the_next_request_is_paid_again() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::TakeAndHangUp]);
    let lost = world.get(&payer, "/file").await;
    assert!(matches!(lost, Err(PayerError::AnswerLost { .. })), "{lost:?}");
    world.get(&payer, "/file").await?;
    assert_eq!(world.shop.vouchers(), [10, 20, 20, 30], "the doubt is settled before anything new is signed");
    assert_eq!(payer.channels().await[0].unserved, amount(10));
    Ok(())
}

#[tokio::test]
async fn a_voucher_that_was_lost_on_the_way_there_pays_for_the_next_request() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::HangUp]);
    let lost = world.get(&payer, "/file").await;
    assert!(matches!(lost, Err(PayerError::AnswerLost { .. })), "{lost:?}");
    assert_eq!(world.get(&payer, "/file").await?.receipt.exchanges, 1);
    assert_eq!(world.shop.vouchers(), [10, 20, 20]);
    assert_eq!(world.shop.money(), (20, 20));
    Ok(())
}

#[tokio::test]
async fn a_voucher_that_never_left_is_taken_back() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    drop(payer);
    // The same resource at a port where nobody listens: the price is remembered, the connection refused.
    let state = std::fs::read_to_string(world.state_file()?)?;
    assert!(state.contains("/file"));
    let payer = world.payer().await?;
    world.shop.close_door();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let unreachable = world.get(&payer, "/file").await;
    assert!(matches!(unreachable, Err(PayerError::Unreachable { .. })), "{unreachable:?}");
    let channel = &payer.channels().await[0];
    assert_eq!((channel.balance, channel.in_doubt), (amount(10), false));
    let log = world.spending_log()?;
    assert_eq!(log.last().map(|line| line["what"].clone()), Some("returned".into()));
    Ok(())
}

#[tokio::test]
async fn a_server_restored_from_a_backup_is_followed_down() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    for _ in 0..3 {
        world.get(&payer, "/file").await?;
    }
    world.shop.forget_payments();
    let answer = world.get(&payer, "/file").await?;
    assert_eq!(answer.receipt.balance, amount(10));
    assert_eq!(world.shop.money(), (10, 10));
    Ok(())
}

/// A payer with one payment done, and a shop that says this to the next.
async fn after(world: &World, headers: &[(&'static str, String)]) -> Result<PayerError> {
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    let lie = world.shop.challenge(headers);
    world.shop.next(vec![Act::Say(402, lie); 3]);
    let answer = world.get(&payer, "/file").await;
    let highest = payer.channels().await[0].balance;
    assert!(highest <= amount(20), "signed up to {highest}");
    assert!(world.shop.vouchers().iter().all(|balance| *balance <= 20));
    answer.err().ok_or_else(|| anyhow::anyhow!("it was believed"))
}

#[tokio::test]
async fn a_server_that_claims_more_than_was_signed_is_refused() -> Result<()> {
    let world = World::new().await?;
    let signature = format!("0x{}1b", "11".repeat(64));
    let lie = [
        ("RDN-Invalid-Amount", "1".to_owned()),
        ("RDN-Sender-Balance", "90".to_owned()),
        ("RDN-Balance-Signature", signature),
    ];
    let error = after(&world, &lie).await?;
    assert!(matches!(error, PayerError::Lied { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_claims_more_without_any_signature_is_refused() -> Result<()> {
    let world = World::new().await?;
    let lie = [("RDN-Invalid-Amount", "1".to_owned()), ("RDN-Sender-Balance", "90".to_owned())];
    let error = after(&world, &lie).await?;
    assert!(matches!(error, PayerError::Lied { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_refuses_what_it_asks_for_is_refused() -> Result<()> {
    let world = World::new().await?;
    let lie = [("RDN-Invalid-Amount", "1".to_owned()), ("RDN-Sender-Balance", "10".to_owned())];
    let error = after(&world, &lie).await?;
    assert!(matches!(error, PayerError::Lied { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_takes_the_payment_and_asks_again_is_not_paid_again() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    let taken = world.shop.challenge(&[("RDN-Sender-Balance", "20".to_owned())]);
    world.shop.next([Act::Say(402, taken)]);
    let error = world.get(&payer, "/file").await;
    assert!(matches!(error, Err(PayerError::TakenNotServed { .. })), "{error:?}");
    assert_eq!(world.shop.vouchers(), [10, 20]);
    Ok(())
}

#[tokio::test]
async fn a_server_that_names_another_receiver_after_it_was_paid_is_not_paid_again() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    let other = world.shop.challenge(&[("RDN-Receiver-Address", world.token.to_string())]);
    world.shop.next([Act::Say(402, other)]);
    let error = world.get(&payer, "/file").await;
    assert!(matches!(error, Err(PayerError::Refused { .. })), "{error:?}");
    assert_eq!(payer.channels().await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_state_file_that_was_changed_is_refused_and_left_alone() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    drop(payer);
    let file = world.state_file()?;
    let good = std::fs::read_to_string(&file)?;
    let bad =
        [good.replace("\"balance\": \"10\"", "\"balance\": \"90\""), good[..good.len() / 2].to_owned(), String::new()];
    for bad in bad {
        assert_ne!(bad, good);
        std::fs::write(&file, &bad)?;
        let refused = world.payer_with(|_| {}).await.err();
        assert!(matches!(refused, Some(PayerError::Corrupt { .. })), "{refused:?}");
        assert_eq!(std::fs::read_to_string(&file)?, bad);
    }
    std::fs::write(&file, &good)?;
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
    let refused = world.payer_with(|_| {}).await.err();
    assert!(matches!(refused, Some(PayerError::Corrupt { .. })), "readable by others: {refused:?}");
    Ok(())
}

#[tokio::test]
async fn one_process_at_a_time_has_the_state() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let second = world.payer_with(|_| {}).await.err();
    assert!(matches!(second, Some(PayerError::InUse { .. })), "{second:?}");
    drop(payer);
    world.payer().await?;
    Ok(())
}

#[tokio::test]
async fn an_opening_that_was_not_waited_for_is_finished_and_not_repeated() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer_with(|settings| settings.patience.mined = Duration::from_millis(600)).await?;
    world.anvil.rpc("evm_setAutomine", json!([false])).await?;
    let before = world.tokens(&payer).await?;
    // The approval is sent, and nobody mines it.
    let impatient = world.get(&payer, "/file").await;
    assert!(matches!(impatient, Err(PayerError::Chain { .. })), "{impatient:?}");
    world.anvil.mine(1).await?;
    // The opening is sent, and nobody mines it.
    let impatient = world.get(&payer, "/file").await;
    assert!(matches!(impatient, Err(PayerError::Chain { .. })), "{impatient:?}");
    drop(payer);

    world.anvil.rpc("evm_setAutomine", json!([true])).await?;
    world.anvil.mine(1).await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    assert_eq!(payer.find_channels(world.contract).await?.len(), 1);
    assert_eq!(world.tokens(&payer).await?, before - 100);
    Ok(())
}

#[tokio::test]
async fn a_channel_whose_opening_was_reorged_away_is_replaced() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    world.anvil.reorg(1).await?;
    world.shop.forget_payments();
    world.get(&payer, "/file").await?;
    assert_eq!(world.shop.money(), (10, 10));
    assert_eq!(payer.channels().await.len(), 1);
    Ok(())
}
