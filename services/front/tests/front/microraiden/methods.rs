//! 1.6: the methods.

use reqwest::Method;

use crate::world::{World, failure};

#[tokio::test]
async fn every_method_is_paid_in_the_same_way_and_its_body_is_sent_with_every_try() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for (amount, method) in (1..).zip([Method::POST, Method::PUT, Method::PATCH, Method::DELETE]) {
        let try_with = |voucher| front.request(method.clone(), "/upload").headers(voucher).body("the same body").send();
        let refused = try_with(payer.voucher(amount - 1)).await.unwrap();
        assert_eq!(failure(&refused), [""; 0]);
        let served = try_with(payer.voucher(amount)).await.unwrap();
        assert_eq!((served.status().as_u16(), served.text().await.unwrap()), (200, "the same body".to_owned()));
    }
    world.settles(&payer, (4, 4, 0)).await;
}
