use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures::future::try_join_all;
use http::Request;
use payer::{Allowed, Funding, Options, PayerError};

use crate::shop::Act;
use crate::world::{PRICE, World, amount};

#[tokio::test]
async fn the_first_payment_opens_a_channel_and_later_ones_take_one_exchange() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let before = world.tokens(&payer).await?;

    let first = world.get(&payer, "/file").await?;
    assert_eq!(first.receipt.exchanges, 2, "asked for the price, then paid");
    assert_eq!(first.receipt.deposited, amount(100), "ten times the price");
    assert_eq!(first.response.text().await?, "bought");
    for n in 2..=5 {
        let answer = world.get(&payer, "/file").await?;
        assert_eq!(answer.receipt.exchanges, 1);
        assert_eq!(answer.receipt.cost, PRICE);
        assert_eq!(answer.receipt.balance, amount(10 * n));
    }
    assert_eq!(world.shop.money(), (50, 50));
    assert_eq!(world.tokens(&payer).await?, before - 100);
    Ok(())
}

#[tokio::test]
async fn another_process_goes_on_in_one_exchange() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    drop(payer);

    let answer = world.get(&world.payer().await?, "/file").await?;
    assert_eq!(answer.receipt.exchanges, 1);
    assert_eq!(world.shop.money(), (20, 20));
    Ok(())
}

#[tokio::test]
async fn pays_while_the_node_is_away_once_a_channel_is_open() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    drop(payer);

    let payer = world.payer_with(|settings| settings.rpc_url = "http://127.0.0.1:1".to_owned()).await?;
    assert_eq!(world.get(&payer, "/file").await?.receipt.cost, PRICE);
    Ok(())
}

#[tokio::test]
async fn tops_up_when_the_channel_runs_dry() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer_with(|settings| settings.deposits.open = Some(amount(25))).await?;
    for _ in 0..2 {
        world.get(&payer, "/file").await?;
    }
    let answer = world.get(&payer, "/file").await?;
    assert_eq!(answer.receipt.deposited, amount(50), "five times the price");
    assert_eq!(answer.receipt.deposit, amount(75));
    assert_eq!(payer.channels().await.len(), 1);
    assert_eq!(world.shop.money(), (30, 30));
    Ok(())
}

#[tokio::test]
async fn opens_and_tops_up_by_erc223_when_told_to() -> Result<()> {
    let world = World::new().await?;
    let payer = world
        .payer_with(|settings| {
            settings.funding = Funding::Erc223;
            settings.deposits.open = Some(amount(10));
        })
        .await?;
    for _ in 0..3 {
        world.get(&payer, "/file").await?;
    }
    assert_eq!(payer.channels().await[0].deposit, amount(60));
    Ok(())
}

#[tokio::test]
async fn requests_to_one_receiver_at_once_are_paid_one_after_the_other() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let answers = try_join_all((0..20).map(|_| world.get(&payer, "/file"))).await?;
    assert!(answers.iter().all(|answer| answer.response.status() == 200));
    assert_eq!(world.shop.money(), (200, 200));
    assert_eq!(payer.channels().await.len(), 1, "one channel for all");
    Ok(())
}

#[tokio::test]
async fn what_is_free_costs_nothing() -> Result<()> {
    let world = World::new().await?;
    let answer = world.get(&world.payer().await?, "/free").await?;
    assert_eq!(answer.receipt.cost, amount(0));
    assert_eq!(world.shop.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn another_price_is_paid_from_the_second_exchange_on() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    world.shop.set_price(13);
    let answer = world.get(&payer, "/file").await?;
    assert_eq!((answer.receipt.cost, answer.receipt.exchanges), (amount(13), 2));
    assert_eq!(world.get(&payer, "/file").await?.receipt.exchanges, 1);
    assert_eq!(world.shop.money(), (36, 36));
    Ok(())
}

#[tokio::test]
async fn waits_until_the_server_has_seen_the_channel() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let unseen = world.shop.challenge(&[("RDN-Nonexisting-Channel", "1".into())]);
    let unconfirmed = world.shop.challenge(&[("RDN-Insufficient-Confirmations", "1".into())]);
    let ask = world.shop.challenge(&[]);
    world.shop.next([Act::Say(402, ask), Act::Say(402, unseen), Act::Say(402, unconfirmed)]);
    let answer = world.get(&payer, "/file").await?;
    assert_eq!(answer.receipt.exchanges, 4);
    assert_eq!(world.shop.vouchers(), [10, 10, 10], "the same voucher each time");
    assert_eq!(payer.channels().await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn gives_up_on_a_server_that_never_sees_the_channel_and_keeps_the_voucher_for_later() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer_with(|settings| settings.patience.confirmed = Duration::from_millis(300)).await?;
    let unconfirmed = Act::Say(402, world.shop.challenge(&[("RDN-Insufficient-Confirmations", "1".into())]));
    world.shop.next([Act::Honest]);
    world.shop.next(vec![unconfirmed; 20]);
    let refused = world.get(&payer, "/file").await;
    assert!(matches!(refused, Err(PayerError::Refused { .. })), "{refused:?}");
    // Nothing new is signed until the server has answered about this one.
    while world.get(&payer, "/file").await.is_err() {}
    assert!(world.shop.vouchers().iter().all(|balance| *balance == 10));
    assert_eq!(world.shop.money(), (10, 10));
    Ok(())
}

#[tokio::test]
async fn sends_the_same_voucher_again_to_a_server_that_is_busy() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    let busy = || Act::Say(503, vec![("Retry-After", "0".to_owned())]);
    world.shop.next([busy(), busy()]);
    let answer = world.get(&payer, "/file").await?;
    assert_eq!(answer.receipt.exchanges, 3);
    assert_eq!(world.shop.vouchers(), [10, 20, 20, 20]);
    Ok(())
}

#[tokio::test]
async fn a_server_that_stays_busy_gets_its_answer_through_and_no_money() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer_with(|settings| settings.patience.busy = Duration::from_secs(1)).await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::Say(503, vec![("Retry-After", "3600".to_owned())])]);
    let answer = world.get(&payer, "/file").await?;
    assert_eq!(answer.response.status(), 503);
    assert_eq!((answer.receipt.cost, answer.receipt.in_doubt), (amount(0), PRICE));
    // The voucher that is in doubt pays for the next request.
    world.get(&payer, "/file").await?;
    assert_eq!(world.shop.money(), (20, 20));
    Ok(())
}

#[tokio::test]
async fn a_seller_that_wants_a_larger_deposit_gets_it_within_the_limits() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let small = world.shop.challenge(&[
        ("RDN-Invalid-Balance-Proof", "1".to_owned()),
        ("Sluice-Refusal", "small_deposit; deposit=100; pending=0; needed=150".to_owned()),
    ]);
    world.shop.next([Act::Honest, Act::Say(402, small)]);
    let answer = world.get(&payer, "/file").await?;
    assert_eq!((answer.receipt.deposit, answer.receipt.cost), (amount(150), PRICE));
    assert_eq!(world.shop.vouchers(), [10, 10]);

    let greedy = world.shop.challenge(&[
        ("RDN-Invalid-Balance-Proof", "1".to_owned()),
        ("Sluice-Refusal", "small_deposit; deposit=150; pending=0; needed=10001".to_owned()),
    ]);
    world.shop.next([Act::Say(402, greedy)]);
    let refused = world.get(&payer, "/file").await;
    assert!(matches!(&refused, Err(PayerError::Limit(over)) if over.limit() == "max_deposit"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_seller_that_has_to_claim_first_is_not_waited_for_and_its_words_are_told() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    let exposed = world.shop.challenge(&[
        ("RDN-Invalid-Balance-Proof", "1".to_owned()),
        ("Sluice-Refusal", "exposure; limit=15; needed=20".to_owned()),
    ]);
    world.shop.next([Act::Say(402, exposed)]);
    let refused = world.get(&payer, "/file").await.expect_err("it says so");
    assert!(refused.to_string().ends_with("it says exposure; limit=15; needed=20"), "{refused}");
    assert_eq!(world.shop.vouchers(), [10, 20], "asked once");
    Ok(())
}

#[tokio::test]
async fn a_call_that_failed_is_served_from_its_credit_when_asked_again() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::Honest, Act::Fail(502)]);
    let failed = world.get(&payer, "/page").await?;
    assert_eq!(failed.response.status(), 502);
    assert_eq!((failed.receipt.cost, failed.receipt.in_doubt), (amount(0), PRICE));
    let again = world.get(&payer, "/page").await?;
    assert_eq!(again.response.status(), 200);
    assert_eq!(world.shop.money(), (20, 20), "paid once");
    Ok(())
}

#[tokio::test]
async fn an_answer_lost_on_the_way_is_fetched_again_under_the_same_idempotency_key() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::TakeAndHangUp]);
    let options = Options { retries: 2, ..Options::default() };
    let answer = payer.pay(world.request("/file"), options).await?;
    assert_eq!(answer.response.text().await?, "bought before");
    assert_eq!(world.shop.money(), (20, 20), "paid once");
    let keys: Vec<_> = world.shop.seen().iter().filter_map(|h| h.get("idempotency-key").cloned()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    Ok(())
}

#[tokio::test]
async fn waits_while_the_first_try_of_the_same_request_is_still_in_flight() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::TakeAndHangUp, Act::Say(409, vec![("Retry-After", "0".to_owned())])]);
    let options = Options { retries: 1, ..Options::default() };
    let answer = payer.pay(world.request("/file"), options).await?;
    assert_eq!(answer.response.text().await?, "bought before");
    assert_eq!(world.shop.vouchers(), [10, 20, 20, 20]);
    Ok(())
}

#[tokio::test]
async fn a_409_that_shows_the_payment_was_paid_for_and_any_other_was_not() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    let already_paid = vec![("RDN-Sender-Balance", "20".to_owned()), ("Retry-After", "0".to_owned())];
    world.shop.next([Act::Say(409, already_paid), Act::Say(409, vec![])]);
    let paid = world.get(&payer, "/file").await?.receipt;
    assert_eq!((paid.cost, paid.in_doubt, paid.exchanges), (PRICE, amount(0), 1));
    let refused = world.get(&payer, "/file").await?.receipt;
    assert_eq!((refused.cost, refused.in_doubt), (amount(0), PRICE));
    assert!(payer.channels().await[0].in_doubt);
    Ok(())
}

#[tokio::test]
async fn a_redirect_is_not_followed() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file").await?;
    world.shop.next([Act::Say(307, vec![("Location", "http://127.0.0.2:1/".to_owned())])]);
    assert_eq!(world.get(&payer, "/file").await?.response.status(), 307);
    Ok(())
}

#[tokio::test]
async fn a_request_may_not_set_the_payers_own_headers() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let request = Request::get(world.shop.url()).header("RDN-Balance", "1").body(Bytes::new())?;
    let refused = payer.pay(request, Options::default()).await;
    assert!(matches!(refused, Err(PayerError::BadRequest(_))));
    assert_eq!(world.shop.seen().len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_server_that_names_another_token_than_the_contract_gets_no_deposit() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer_with(|settings| settings.limits.tokens = Allowed::Any).await?;
    let other = world.shop.challenge(&[("RDN-Token-Address", world.contract.to_string())]);
    world.shop.next([Act::Say(402, other)]);
    let refused = world.get(&payer, "/file").await;
    assert!(matches!(refused, Err(PayerError::Lied { .. })), "{refused:?}");
    assert!(payer.channels().await.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_spending_log_tells_what_was_signed_and_what_was_deposited() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.get(&payer, "/file?secret=1").await?;
    world.get(&payer, "/file").await?;
    let log = world.spending_log()?;
    let what: Vec<_> = log.iter().map(|line| line["what"].as_str().unwrap_or_default()).collect();
    assert_eq!(what, ["opened", "paid", "paid"]);
    assert_eq!(
        (&log[0]["deposit"], &log[2]["amount"], &log[2]["balance"]),
        (&"100".into(), &"10".into(), &"20".into())
    );
    assert!(log[1]["resource"].as_str().is_some_and(|resource| resource.ends_with("/file")), "without the query");
    Ok(())
}
