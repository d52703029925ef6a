//! Every payment that buys nothing is told why, once more than its protocol can say, and with numbers.

use channel::Amount;
use contracts::raiden;
use reqwest::{Method, StatusCode};

use crate::world::{Payer, World, failure, header};

#[tokio::test]
async fn says_why_a_payment_was_refused_and_what_would_do() {
    let world = World::new().await;
    let (payer, closing, stranger) = (world.payer(25).await, world.payer(25).await, world.stranger().await);
    let unconfirmed = world.stranger().await;
    world.close_requested(&closing).await;
    world.opened_unconfirmed(&unconfirmed, 25).await;
    let front = world.front().await;

    assert_eq!(header(&front.get("/file.txt").await, "sluice-refusal"), None, "it did not pay");
    for (payer, units, expected) in [
        (&payer, 9, "amount; expected=10; got=9"),
        (&closing, 10, "not_open"),
        (&stranger, 10, "unknown"),
        (&unconfirmed, 10, "unconfirmed"),
    ] {
        assert_eq!(header(&front.pay("/file.txt", payer, units).await, "sluice-refusal"), Some(expected));
    }
    let forged = front.request(Method::GET, "/file.txt").headers(payer.headers("10", &[1; 65])).send().await.unwrap();
    assert_eq!(header(&forged, "sluice-refusal"), Some("signature"));
    let nonsense =
        front.request(Method::GET, "/file.txt").headers(payer.headers("ten", &[1; 65])).send().await.unwrap();
    assert_eq!((nonsense.status().as_u16(), header(&nonsense, "sluice-refusal")), (409, Some("malformed")));

    for units in [10, 20] {
        let sold = front.pay("/file.txt", &payer, units).await;
        assert_eq!((sold.status().as_u16(), header(&sold, "sluice-refusal")), (200, None));
    }
    assert_eq!(header(&front.pay("/file.txt", &payer, 20).await, "sluice-refusal"), Some("replayed"));
    let beyond = front.pay("/file.txt", &payer, 30).await;
    assert_eq!(header(&beyond, "sluice-refusal"), Some("over_deposit; deposit=25; pending=0; needed=30"));
    assert_eq!(failure(&beyond), ["rdn-invalid-balance-proof"]);

    world.goes_stale().await;
    let stale = front.pay("/file.txt", &payer, 30).await;
    assert_eq!((stale.status().as_u16(), header(&stale, "sluice-refusal")), (503, Some("chain_stale")));
}

#[tokio::test]
async fn a_channel_below_the_least_deposit_is_told_what_is_missing_and_waits() {
    let world = World::new().await;
    let payer = world.payer(60).await;
    let front = world.front_with(|config| {
        let deployment = config.deployments.get_mut("main").unwrap();
        deployment.min_deposit = Amount::new(100);
    });
    let front = front.await;
    let refused = front.pay("/file.txt", &payer, 10).await;
    assert_eq!(header(&refused, "sluice-refusal"), Some("small_deposit; deposit=60; pending=0; needed=100"));
    assert_eq!(failure(&refused), ["rdn-invalid-balance-proof"], "the original clients wait and ask again");
    assert_eq!(world.books(&payer).await, (0, 0, 0));
    world.topped_up(&payer, 40).await;
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_payer_owes_no_more_than_the_limit_over_all_its_channels() {
    let world = World::new().await;
    let other = world.payer(100).await;
    let channel = async |open_block| {
        let payer = Payer::with_key([9; 32], open_block);
        assert_eq!(payer.opening, raiden::opening(payer.opening.payer, open_block));
        world.opened(&payer, 100).await;
        payer
    };
    let (one, two) = (channel(1_001).await, channel(1_002).await);
    let front = world.front_with(|config| {
        let deployment = config.deployments.get_mut("main").unwrap();
        deployment.max_exposure_per_payer = Amount::new(25);
    });
    let front = front.await;
    assert_eq!(front.pay("/file.txt", &one, 10).await.status(), StatusCode::OK);
    assert_eq!(front.pay("/file.txt", &two, 10).await.status(), StatusCode::OK);
    for payer in [&one, &two] {
        let refused = front.pay("/file.txt", payer, 20).await;
        assert_eq!(header(&refused, "sluice-refusal"), Some("payer_exposure; limit=25; needed=30"));
        assert_eq!(failure(&refused), ["rdn-invalid-balance-proof"]);
    }
    assert_eq!(front.pay("/file.txt", &other, 10).await.status(), StatusCode::OK);
    assert_eq!(front.pay("/page", &one, 11).await.status(), StatusCode::OK, "there is room for a smaller price");
}
