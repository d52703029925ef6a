//! What makes two requests the same, and what the second one gets.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};

use crate::world::{FILE, Front, Payer, World, fault, header};

fn named(front: &Front, path: &str, payer: &Payer, amount: u128, id: &str) -> RequestBuilder {
    front.request(Method::GET, path).headers(payer.voucher(amount)).header("Idempotency-Key", id)
}

#[tokio::test]
async fn a_file_is_served_again_without_a_charge() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for _ in 0..3 {
        let answer = named(&front, "/file.txt", &payer, 10, "once").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(header(&answer, "rdn-sender-balance"), Some("10"));
        assert_eq!(answer.text().await.unwrap(), FILE);
    }
    assert_eq!(world.books(&payer).await, (10, 10, 0));
}

#[tokio::test]
async fn an_upstream_is_not_called_again_and_the_answer_says_that_it_was_paid() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(named(&front, "/page", &payer, 1, "once").send().await.unwrap().status(), StatusCode::OK);
    world.settles(&payer, (1, 1, 0)).await;
    let again = named(&front, "/page", &payer, 1, "once").send().await.unwrap();
    assert_eq!(header(&again, "rdn-sender-balance"), Some("1"));
    assert_eq!(fault(again).await, (409, "already_paid".to_owned(), false));
    assert_eq!(world.upstream.calls("/page"), 1);
    assert_eq!(world.books(&payer).await, (1, 1, 0));
}

#[tokio::test]
async fn the_same_request_in_flight_is_busy() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let first = named(&front, "/slow/500", &payer, 1, "once").send();
    let second = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        fault(named(&front, "/slow/500", &payer, 1, "once").send().await.unwrap()).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap().status(), StatusCode::OK);
    assert_eq!(second, (409, "busy".to_owned(), true));
    assert_eq!(world.upstream.all_calls(), 1);
}

#[tokio::test]
async fn a_name_used_for_another_request_is_409() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(named(&front, "/page", &payer, 1, "once").send().await.unwrap().status(), StatusCode::OK);
    let other = named(&front, "/echo", &payer, 2, "once").send().await.unwrap();
    assert_eq!(fault(other).await, (409, "request_id_reused".to_owned(), false));
    assert_eq!(world.upstream.calls("/echo"), 0);
}

#[tokio::test]
async fn a_failed_call_is_repeated_under_its_name() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for _ in 0..2 {
        let answer = named(&front, "/fail", &payer, 1, "once").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(world.upstream.calls("/fail"), 2);
    assert_eq!(world.books(&payer).await, (1, 0, 0));
}

#[tokio::test]
async fn a_name_that_is_none_is_400() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let answer = named(&front, "/page", &payer, 1, &"x".repeat(300)).send().await.unwrap();
    assert_eq!(fault(answer).await, (400, "bad_request_id".to_owned(), false));
}
