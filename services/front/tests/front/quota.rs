//! What clients get for nothing before they pay.

use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode};
use testkit::postgres::Postgres;
use tokio_postgres::NoTls;

use crate::world::{Front, World, failure, fault, header};

/// `/page` with so many calls a day for nothing.
fn route(world: &World, requests: u32) -> String {
    let upstream = world.upstream.url();
    format!(
        "[[front.routes]]\npath = \"/page\"\nupstream = \"{upstream}\"\nprice = 1\n\
         free = {{ requests = {requests}, per = \"day\" }}\n"
    )
}

/// What is left after a free call; `None` if it is to be paid.
fn left(answer: &Response) -> Option<u32> {
    let left = header(answer, "sluice-free-remaining").map(|left| left.parse().unwrap());
    assert_eq!(left.is_some(), answer.status() == StatusCode::OK, "{answer:?}");
    left
}

/// GET for nothing by somebody behind a proxy that we trust.
async fn ask_as(front: &Front, client: &str) -> Option<u32> {
    left(&front.request(Method::GET, "/page").header("x-forwarded-for", client).send().await.unwrap())
}

async fn sql(database: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
}

#[tokio::test]
async fn the_first_calls_are_free_and_the_next_one_is_paid() {
    let world = World::new().await;
    let (front, payer) = (world.front_selling(&route(&world, 3)).await, world.payer(100).await);
    for expected in [2, 1, 0] {
        let answer = front.get("/page").await;
        assert_eq!(left(&answer), Some(expected));
        assert_eq!(header(&answer, "rdn-price"), None);
    }
    let asked = front.get("/page").await;
    assert_eq!((failure(&asked).as_slice(), header(&asked, "rdn-price")), (&[][..], Some("1")));
    assert_eq!(left(&asked), None);
    assert_eq!(front.pay("/page", &payer, 1).await.status(), StatusCode::OK);
    world.settles(&payer, (1, 1, 0)).await;
    assert_eq!(world.upstream.calls("/page"), 4);
}

#[tokio::test]
async fn who_pays_keeps_the_free_calls() {
    let world = World::new().await;
    let (front, payer) = (world.front_selling(&route(&world, 1)).await, world.payer(100).await);
    let paid = front.pay("/page", &payer, 1).await;
    assert_eq!((paid.status(), header(&paid, "sluice-free-remaining")), (StatusCode::OK, None));
    world.settles(&payer, (1, 1, 0)).await;
    assert_eq!(left(&front.get("/page").await), Some(0));
}

#[tokio::test]
async fn several_fronts_count_together_and_to_the_last_one() {
    let world = World::new().await;
    let routes = route(&world, 10);
    let fronts = [world.front_selling(&routes).await, world.front_selling(&routes).await];
    let calls = (0..40).map(|number| fronts[number % 2].get("/page"));
    let mut granted: Vec<_> = futures::future::join_all(calls).await.iter().filter_map(left).collect();
    granted.sort_unstable();
    assert_eq!(granted, (0..10).collect::<Vec<_>>());
    assert_eq!(world.upstream.calls("/page"), 10);
}

#[tokio::test]
async fn who_had_all_is_known_without_a_look_into_the_ledger() {
    let world = World::new().await;
    let routes = route(&world, 1);
    let front = world.front_selling(&routes).await;
    assert_eq!(left(&front.get("/page").await), Some(0));
    assert_eq!(left(&front.get("/page").await), None);
    // Who looks now would find a call left.
    sql(&world.database, "DELETE FROM free_calls").await;
    for _ in 0..100 {
        assert_eq!(left(&front.get("/page").await), None);
    }
    assert_eq!(left(&world.front_selling(&routes).await.get("/page").await), Some(0));
}

#[tokio::test]
async fn clients_are_told_apart_by_address_and_ipv6_ones_by_their_network() {
    let world = World::new().await;
    let mut config = world.config(&route(&world, 2));
    config.front.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let front = world.front_of(config).await;
    assert_eq!(ask_as(&front, "192.0.2.1").await, Some(1));
    assert_eq!(ask_as(&front, "192.0.2.2").await, Some(1));
    assert_eq!(ask_as(&front, "6.6.6.6, 192.0.2.1").await, Some(0));
    assert_eq!(ask_as(&front, "192.0.2.1").await, None);
    assert_eq!(ask_as(&front, "2001:db8:1:2::1").await, Some(1));
    assert_eq!(ask_as(&front, "2001:db8:1:2:ffff::9").await, Some(0));
    assert_eq!(ask_as(&front, "2001:db8:1:2::1").await, None);
    assert_eq!(ask_as(&front, "2001:db8:1:3::1").await, Some(1));
}

#[tokio::test]
async fn an_upstream_that_fails_or_asks_for_payment_itself_is_not_passed_off_as_ours() {
    let world = World::new().await;
    let upstream = world.upstream.url();
    let front = world
        .front_selling(&format!(
            "[[front.routes]]\nprefix = \"/status\"\nupstream = \"{upstream}\"\nprice = 1\n\
             free = {{ requests = 2, per = \"hour\" }}\n"
        ))
        .await;
    assert_eq!(front.get("/status/500").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(fault(front.get("/status/402").await).await, (502, "upstream_unpaid".to_owned(), false));
}

#[tokio::test]
async fn without_the_database_nothing_is_free_and_the_402_comes_at_once() {
    let mut postgres = Postgres::start().await.unwrap();
    let world = World::on(&postgres.fresh_database().await.unwrap()).await;
    let front = world.front_selling(&route(&world, 100)).await;
    assert_eq!(left(&front.get("/page").await), Some(99));
    postgres.kill9().unwrap();
    let began = Instant::now();
    assert_eq!(left(&front.get("/page").await), None);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(failure(&front.get("/page").await), [""; 0]);
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(world.upstream.calls("/page"), 1);

    postgres.start_again().await.unwrap();
    let began = Instant::now();
    while left(&front.get("/page").await).is_none() {
        assert!(began.elapsed() < Duration::from_secs(10), "never free again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
