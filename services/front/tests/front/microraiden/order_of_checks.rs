//! 1.3: what is looked at first. No node is ever asked: the fronts of these tests have none.

use reqwest::Method;
use reqwest::header::HeaderMap;

use super::{get, pay_but, reason};
use crate::world::{FILE, World, failure, header};

#[tokio::test]
async fn what_cannot_be_read_is_409_before_the_channel_is_looked_for_and_without_a_payment_too() {
    let world = World::new().await;
    let (front, nobody) = (world.front().await, world.stranger().await);
    let unknown = pay_but(&front, "/file.txt", &nobody, 10, &[("rdn-balance", "-1")]).await;
    assert_eq!(reason(unknown).await, "Balance must be >= 0");
    let unpaid = [("rdn-balance".parse().unwrap(), "-1".parse().unwrap())].into_iter().collect();
    assert_eq!(reason(get(&front, "/file.txt", unpaid).await).await, "Balance must be >= 0");
}

#[tokio::test]
async fn a_payment_for_something_free_is_not_taken() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let answer = front.pay("/free.txt", &payer, 10).await;
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("rdn-")));
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, FILE.to_owned()));
    assert_eq!(world.books(&payer).await, (0, 0, 0));
}

#[tokio::test]
async fn without_a_signature_the_402_is_plain_whatever_else_is_sent() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let without = pay_but(&front, "/file.txt", &payer, 10, &[("rdn-balance-signature", "")]).await;
    let bare = get(&front, "/file.txt", HeaderMap::new()).await;
    for answer in [without, bare] {
        assert_eq!(failure(&answer), [""; 0]);
        let names = ["rdn-sender-address", "rdn-sender-balance", "rdn-balance-signature"];
        assert!(names.iter().all(|name| header(&answer, name).is_none()));
    }
}

#[tokio::test]
async fn the_amount_is_compared_before_the_deposit() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(15).await);
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), 200);
    let above_both = front.pay("/file.txt", &payer, 30).await;
    assert_eq!(failure(&above_both), ["rdn-invalid-amount"]);
    assert_eq!(failure(&front.pay("/file.txt", &payer, 20).await), ["rdn-invalid-balance-proof"]);
}

#[tokio::test]
async fn the_signature_is_compared_before_the_amount() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let other = pay_but(&front, "/file.txt", &payer, 10, &[("rdn-balance", "11")]).await;
    assert_eq!(failure(&other), ["rdn-invalid-balance-proof"]);
    assert_eq!(header(&other, "rdn-sender-balance"), None);
}

#[tokio::test]
async fn from_the_amount_on_the_402_shows_what_is_stored() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(15).await);
    let wrong = front.pay("/file.txt", &payer, 9).await;
    assert_eq!((header(&wrong, "rdn-sender-balance"), header(&wrong, "rdn-balance-signature")), (Some("0"), None));
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), 200);
    let signature = payer.voucher(10)["rdn-balance-signature"].to_str().unwrap().to_owned();
    for (amount, expected) in [(10, vec![]), (12, vec!["rdn-invalid-amount"]), (20, vec!["rdn-invalid-balance-proof"])]
    {
        let answer = front.pay("/file.txt", &payer, amount).await;
        assert_eq!(failure(&answer), expected);
        assert_eq!(header(&answer, "rdn-sender-address"), Some(payer.address().as_str()));
        assert_eq!(header(&answer, "rdn-sender-balance"), Some("10"));
        assert_eq!(header(&answer, "rdn-balance-signature"), Some(signature.as_str()));
    }
}

#[tokio::test]
async fn what_is_stored_is_stored_before_the_resource_runs() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let slow = front.request(Method::GET, "/slow/800").headers(payer.voucher(1));
    let running = tokio::spawn(slow.send());
    world.settles(&payer, (1, 0, 1)).await;
    assert!(!running.is_finished());
    assert_eq!(running.await.unwrap().unwrap().status(), 200);
    world.settles(&payer, (1, 1, 0)).await;
}
