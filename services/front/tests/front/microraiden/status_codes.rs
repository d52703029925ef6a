//! 1.5: the statuses.

use super::{pay_but, reason};
use crate::world::{World, failure, fault};

#[tokio::test]
async fn a_path_where_nothing_is_sold_is_404() {
    let world = World::new().await;
    let front = world.front_with(|config| config.front.routes.retain(|route| route.name != "api")).await;
    assert_eq!(fault(front.get("/nothing").await).await, (404, "not_found".to_owned(), false));
    assert_eq!(front.get("/file.txt").await.status(), 402);
}

#[tokio::test]
async fn what_the_original_answers_with_500_is_409_or_an_invalid_proof() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let (short, long) = ("11".repeat(64), "11".repeat(66));
    for (name, value, expected) in [
        ("rdn-balance-signature", "not hex", "Invalid balance signature"),
        ("rdn-balance-signature", &*short, "Invalid balance signature"),
        ("rdn-balance-signature", &*long, "Invalid balance signature"),
        ("rdn-sender-address", "", "Missing sender address"),
        ("rdn-open-block", "", "Missing open block"),
        ("rdn-balance", "", "Missing balance"),
    ] {
        let answer = pay_but(&front, "/file.txt", &payer, 10, &[(name, value)]).await;
        assert_eq!(reason(answer).await, expected);
    }
    let zeros = "00".repeat(65);
    let answer = pay_but(&front, "/file.txt", &payer, 10, &[("rdn-balance-signature", &zeros)]).await;
    assert_eq!(failure(&answer), ["rdn-invalid-balance-proof"]);
}
