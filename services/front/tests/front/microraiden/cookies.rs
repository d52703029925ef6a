//! 1.2: what a browser says in its cookies.

use super::{pay_but, reason};
use crate::world::{World, failure};

#[tokio::test]
async fn cookies_override_headers_field_by_field() {
    let world = World::new().await;
    let (front, payer, other) = (world.front().await, world.payer(100).await, world.payer(100).await);
    let of = |amount| payer.voucher(amount)["rdn-balance-signature"].to_str().unwrap().to_owned();
    let (ten, twenty) = (of(10), of(20));
    for (headers, cookies) in [
        // Headers of nonsense values that would be refused, each mended by a cookie.
        ([("rdn-balance", "77"), ("rdn-balance-signature", &ten)], "RDN-Sender-Balance=10".to_owned()),
        ([("rdn-balance", "20"), ("rdn-balance-signature", &ten)], format!("a=b; RDN-Balance-Signature={twenty}; c")),
    ] {
        let cookie = ("cookie", &*cookies);
        let answer = pay_but(&front, "/file.txt", &payer, 10, &[headers[0], headers[1], cookie]).await;
        assert_eq!(answer.status(), 200, "{cookies}");
    }
    let cookies = format!("RDN-Sender-Address={}; RDN-Open-Block={}", payer.address(), payer.open_block);
    let thirty = of(30);
    let changes = [("rdn-balance", "30"), ("rdn-balance-signature", &*thirty), ("cookie", &*cookies)];
    assert_eq!(pay_but(&front, "/file.txt", &other, 30, &changes).await.status(), 200);
    assert_eq!(world.books(&payer).await, (30, 30, 0));
}

#[tokio::test]
async fn a_cookie_is_read_by_its_very_name() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for cookie in ["rdn-sender-balance=77", "RDN-Balance=77", "XRDN-Sender-Balance=77"] {
        let unpaid = pay_but(&front, "/file.txt", &payer, 9, &[("cookie", cookie)]).await;
        assert_eq!(failure(&unpaid), ["rdn-invalid-amount"], "{cookie}: read as 77 the signature would not fit");
    }
}

#[tokio::test]
async fn a_cookie_that_is_no_integer_is_409() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for (cookie, expected) in [
        ("RDN-Sender-Balance=much", "Balance must be an integer"),
        ("RDN-Open-Block=", "Open block must be an integer"),
        ("RDN-Open-Block=-1", "Open block must be >= 0"),
    ] {
        let answer = pay_but(&front, "/file.txt", &payer, 10, &[("cookie", cookie)]).await;
        assert_eq!(reason(answer).await, expected);
    }
}
