use anyhow::Result;
use bytes::Bytes;
use evm::Rpc;
use http::{Method, Request};
use payer::{Allowed, Answer, Options, OverLimit, Payer, PayerError};

use crate::shop::{Act, Shop};
use crate::world::{World, amount, key};

const FOLLOW: Options = Options { idempotency_key: None, retries: 0, redirects: 3 };

fn free_redirect(status: u16, location: &str) -> Act {
    Act::Say(status, vec![("Location", location.to_owned())])
}

async fn get(world: &World, payer: &Payer, path: &str) -> Result<Answer, PayerError> {
    payer.pay(world.request(path), FOLLOW).await
}

/// Another shop, whose payee is somebody else.
async fn other_shop(world: &World) -> Result<Shop> {
    let rpc = Rpc::connect(&world.anvil.url(), world.anvil.chain_id(), std::time::Duration::from_secs(5)).await?;
    Shop::open(rpc, world.contract, world.token, key(3)).await
}

#[tokio::test]
async fn a_redirect_before_payment_is_followed_and_paid_once() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.shop.next([free_redirect(302, "/file")]);
    let answer = get(&world, &payer, "/moved").await?;
    assert_eq!(answer.response.url().path(), "/file");
    assert_eq!((answer.cost(), answer.redirects[0].receipt.cost), (amount(10), amount(0)));
    assert_eq!(world.shop.money(), (10, 10));
    Ok(())
}

#[tokio::test]
async fn a_redirect_that_was_bought_is_followed_and_what_it_leads_to_bought_as_well() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.shop.next([Act::Honest, Act::SellRedirect(303, "result?n=1".to_owned())]);
    let request = Request::post(format!("{}/ask", world.shop.url())).body(Bytes::from_static(b"question"))?;
    let answer = payer.pay(request, FOLLOW).await?;
    assert_eq!(answer.response.status(), 200);
    let [redirect] = &answer.redirects[..] else { panic!("{:?}", answer.redirects) };
    assert_eq!((redirect.status, redirect.receipt.cost), (303, amount(10)));
    assert!(redirect.to.ends_with("/result?n=1"), "{}", redirect.to);
    assert_eq!((answer.receipt.cost, answer.cost()), (amount(10), amount(20)));
    let lines = world.shop.lines();
    assert_eq!(lines, ["POST /ask question", "POST /ask question", "GET /result?n=1", "GET /result?n=1"]);
    assert_eq!(world.shop.money(), (20, 20));
    Ok(())
}

#[tokio::test]
async fn a_307_keeps_method_and_body() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.shop.next([free_redirect(307, "/there")]);
    let request = Request::builder().method(Method::PUT).uri(format!("{}/here", world.shop.url()));
    let answer = payer.pay(request.body(Bytes::from_static(b"thing"))?, FOLLOW).await?;
    assert_eq!(answer.response.status(), 200);
    assert_eq!(world.shop.lines(), ["PUT /here thing", "PUT /there thing", "PUT /there thing"]);
    Ok(())
}

#[tokio::test]
async fn another_server_is_asked_but_not_paid() -> Result<()> {
    let world = World::new().await?;
    let other = other_shop(&world).await?;
    let payer = world.payer().await?;
    world.shop.next([free_redirect(302, &format!("{}/file", other.url()))]);
    let answer = get(&world, &payer, "/moved").await?;
    assert_eq!(answer.response.status(), 302, "the redirect itself is the answer");
    let expected = OverLimit::NotAllowed { item: "127.0.0.1".to_owned(), limit: "hosts" };
    assert!(matches!(answer.stopped, Some(PayerError::Limit(over)) if over == expected));
    assert_eq!(other.vouchers(), [0; 0]);
    assert!(payer.channels().await.is_empty());

    world.shop.next([free_redirect(302, &format!("{}/free", other.url()))]);
    assert_eq!(get(&world, &payer, "/moved").await?.response.status(), 200, "what is free may be anywhere");
    Ok(())
}

#[tokio::test]
async fn another_server_is_paid_where_it_is_named() -> Result<()> {
    let world = World::new().await?;
    let other = other_shop(&world).await?;
    let named = Allowed::These(vec!["127.0.0.1".to_owned()]);
    let payer = world.payer_with(|settings| settings.limits.hosts = named).await?;
    world.shop.next([Act::Honest, Act::SellRedirect(302, format!("{}/file", other.url()))]);
    let answer = get(&world, &payer, "/moved").await?;
    assert_eq!(answer.cost(), amount(20));
    assert_eq!((world.shop.money(), other.money()), ((10, 10), (10, 10)));
    assert_eq!(payer.channels().await.len(), 2, "another receiver, another channel");
    Ok(())
}

#[tokio::test]
async fn the_price_limit_holds_for_all_redirects_together() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer_with(|settings| settings.limits.max_price = amount(15)).await?;
    world.shop.next([Act::Honest, Act::SellRedirect(302, "/more".to_owned())]);
    let answer = get(&world, &payer, "/moved").await?;
    assert_eq!((answer.response.status().as_u16(), answer.cost()), (302, amount(10)));
    assert!(matches!(&answer.stopped, Some(PayerError::Limit(over)) if over.limit() == "max_price"));
    assert_eq!(world.shop.money(), (10, 10));
    Ok(())
}

#[tokio::test]
async fn redirects_end_at_the_number_that_was_asked_for() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    world.shop.next((0..9).map(|_| free_redirect(302, "/round")));
    let answer = get(&world, &payer, "/round").await?;
    assert_eq!((answer.response.status().as_u16(), answer.redirects.len()), (302, 3));
    assert!(matches!(answer.stopped, Some(PayerError::Redirect(_))));
    assert_eq!(world.shop.seen().len(), 4);
    Ok(())
}

#[tokio::test]
async fn each_request_of_a_named_one_has_a_name_of_its_own() -> Result<()> {
    let world = World::new().await?;
    let payer = world.payer().await?;
    let options = || Options { idempotency_key: Some("k".to_owned()), ..FOLLOW };
    for expected in [10, 0] {
        world.shop.next([free_redirect(302, "/file")]);
        let answer = payer.pay(world.request("/moved"), options()).await?;
        assert_eq!(answer.cost(), amount(expected), "the repetition is served again and costs nothing");
    }
    let keys = world.shop.seen().iter().map(|headers| headers["idempotency-key"].clone()).collect::<Vec<_>>();
    assert_eq!(keys, ["k", "k.1", "k.1", "k", "k.1"], "the quote is known the second time");
    assert_eq!(world.shop.money(), (10, 10));
    get(&world, &payer, "/file").await?;
    assert_eq!(world.shop.vouchers(), [10, 20, 20], "what was not taken pays for the next request");
    Ok(())
}
