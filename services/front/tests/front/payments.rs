//! What is bought, what is refused, and how it is said.

use reqwest::{Method, StatusCode};

use crate::world::{FILE, World, failure, fault, header};

#[tokio::test]
async fn sells_a_file_for_the_next_voucher() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let answer = front.pay("/file.txt", &payer, 10).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "content-type"), Some("text/plain"));
    assert_eq!(header(&answer, "content-length"), Some("20"));
    assert_eq!(header(&answer, "rdn-sender-balance"), Some("10"));
    assert_eq!(header(&answer, "rdn-sender-address"), Some(payer.address().as_str()));
    assert_eq!(header(&answer, "rdn-price"), Some("10"));
    assert_eq!(answer.text().await.unwrap(), FILE);
    assert_eq!(world.books(&payer).await, (10, 10, 0));
}

#[tokio::test]
async fn a_teapot_is_a_paid_success() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let answer = front.pay("/teapot.txt", &payer, 1).await;
    assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(answer.text().await.unwrap(), "short and stout\n");
    world.settles(&payer, (1, 1, 0)).await;
}

#[tokio::test]
async fn asks_for_payment_with_an_empty_402() {
    let world = World::new().await;
    let front = world.front().await;
    let answer = front.get("/file.txt").await;
    assert_eq!(failure(&answer), [""; 0]);
    assert_eq!(header(&answer, "rdn-price"), Some("10"));
    assert_eq!(header(&answer, "rdn-contract-address"), Some("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"));
    assert_eq!(header(&answer, "rdn-gateway-path"), Some("/api/1"));
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    assert_eq!(header(&answer, "rdn-sender-balance"), None);
    assert_eq!(answer.text().await.unwrap(), "");
    assert_eq!(world.upstream.all_calls(), 0);
}

#[tokio::test]
async fn a_page_for_people_is_asked_for_in_the_same_way() {
    let world = World::new().await;
    let front = world.front().await;
    let answer = front.request(Method::GET, "/file.txt").header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(header(&answer, "rdn-price"), Some("10"));
}

#[tokio::test]
async fn the_last_proof_again_is_the_plain_402_and_then_the_client_pays() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), 200);
    for path in ["/file.txt", "/page"] {
        let replay = front.pay(path, &payer, 10).await;
        assert_eq!(failure(&replay), [""; 0]);
        assert_eq!(header(&replay, "rdn-sender-balance"), Some("10"));
        assert_eq!(header(&replay, "rdn-sender-address"), Some(payer.address().as_str()));
        let signature = payer.voucher(10)["rdn-balance-signature"].to_str().unwrap().to_owned();
        assert_eq!(header(&replay, "rdn-balance-signature"), Some(signature.as_str()));
    }
    assert_eq!(front.pay("/page", &payer, 11).await.status(), 200);
}

#[tokio::test]
async fn a_wrong_amount_is_told_the_balance_to_adopt() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let first = front.pay("/file.txt", &payer, 9).await;
    assert_eq!(failure(&first), ["rdn-invalid-amount"]);
    assert_eq!(header(&first, "rdn-sender-balance"), Some("0"));
    assert_eq!(header(&first, "rdn-balance-signature"), None);
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), 200);
    for amount in [0, 5, 11, 19, 21, 30] {
        let answer = front.pay("/file.txt", &payer, amount).await;
        assert_eq!(failure(&answer), ["rdn-invalid-amount"], "{amount}");
        assert_eq!(header(&answer, "rdn-sender-balance"), Some("10"));
    }
    assert_eq!(world.books(&payer).await, (10, 10, 0));
}

#[tokio::test]
async fn more_than_the_deposit_waits_for_the_top_up() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(15).await);
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), 200);
    let over = front.pay("/file.txt", &payer, 20).await;
    assert_eq!(failure(&over), ["rdn-invalid-balance-proof"]);
    assert_eq!(header(&over, "rdn-sender-balance"), Some("10"));
    world.topped_up(&payer, 5).await;
    assert_eq!(front.pay("/file.txt", &payer, 20).await.status(), 200);
}

#[tokio::test]
async fn unconfirmed_unknown_and_closing_channels_have_a_402_each() {
    let world = World::new().await;
    let front = world.front().await;
    let unconfirmed = world.stranger().await;
    world.opened_unconfirmed(&unconfirmed, 100).await;
    assert_eq!(failure(&front.pay("/file.txt", &unconfirmed, 10).await), ["rdn-insufficient-confirmations"]);
    let unknown = world.stranger().await;
    assert_eq!(failure(&front.pay("/file.txt", &unknown, 10).await), ["rdn-nonexisting-channel"]);
    let closing = world.payer(100).await;
    world.close_requested(&closing).await;
    let refused = front.pay("/file.txt", &closing, 10).await;
    assert_eq!(failure(&refused), ["rdn-nonexisting-channel"]);
    assert_eq!(header(&refused, "rdn-sender-balance"), None);
}

#[tokio::test]
async fn a_bad_signature_hears_of_its_channel_first() {
    let world = World::new().await;
    let front = world.front().await;
    let (open, unconfirmed, unknown) = (world.payer(100).await, world.stranger().await, world.stranger().await);
    world.opened_unconfirmed(&unconfirmed, 100).await;
    for (payer, expected) in [
        (&open, "rdn-invalid-balance-proof"),
        (&unconfirmed, "rdn-insufficient-confirmations"),
        (&unknown, "rdn-nonexisting-channel"),
    ] {
        let headers = payer.headers("10", &[1; 65]);
        let answer = front.request(Method::GET, "/file.txt").headers(headers).send().await.unwrap();
        assert_eq!(failure(&answer), [expected]);
        assert_eq!(header(&answer, "rdn-sender-balance"), None);
    }
}

#[tokio::test]
async fn a_signature_that_the_contract_would_not_pay_is_an_invalid_proof() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let good = payer.voucher(10)["rdn-balance-signature"].to_str().unwrap().to_owned();
    let good = alloy_primitives::hex::decode(good).unwrap();
    let eip155 = [&good[..64], &[good[64] + 10]].concat();
    let other = world.payer(100).await;
    let somebody_else_s = other.voucher(10)["rdn-balance-signature"].to_str().unwrap().to_owned();
    for signature in [eip155, vec![0; 65], alloy_primitives::hex::decode(somebody_else_s).unwrap()] {
        let headers = payer.headers("10", &signature);
        let answer = front.request(Method::GET, "/file.txt").headers(headers).send().await.unwrap();
        assert_eq!(failure(&answer), ["rdn-invalid-balance-proof"]);
    }
    // The same signature with v of 0 or 1 is one that the contract pays.
    let short = [&good[..64], &[good[64] - 27]].concat();
    let answer = front.request(Method::GET, "/file.txt").headers(payer.headers("10", &short)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_amount_wider_than_ours_is_an_invalid_proof() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(u128::MAX).await);
    let wide = "340282366920938463463374607431768211456"; // 2^128
    let answer = front.request(Method::GET, "/file.txt").headers(payer.headers(wide, &[1; 65])).send().await.unwrap();
    assert_eq!(failure(&answer), ["rdn-invalid-balance-proof"]);
}

#[tokio::test]
async fn a_header_that_cannot_be_read_is_409_with_the_reason_as_a_json_string() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let mut headers = payer.voucher(10);
    headers.insert("rdn-open-block", "-1".parse().unwrap());
    let answer = front.request(Method::GET, "/file.txt").headers(headers).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert_eq!(answer.json::<String>().await.unwrap(), "Open block must be >= 0");
}

#[tokio::test]
async fn a_browser_pays_by_cookies() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let voucher = payer.voucher(10);
    let cookies = format!(
        "RDN-Sender-Address={}; RDN-Open-Block={}; RDN-Sender-Balance=10; RDN-Balance-Signature={}",
        payer.address(),
        payer.open_block,
        voucher["rdn-balance-signature"].to_str().unwrap()
    );
    let answer = front.request(Method::GET, "/file.txt").header("cookie", cookies).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn head_is_charged_as_get_and_has_no_body() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(front.request(Method::HEAD, "/file.txt").send().await.unwrap().status(), 402);
    for (path, amount) in [("/file.txt", 10), ("/page", 11)] {
        let headers = payer.voucher(amount);
        let answer = front.request(Method::HEAD, path).headers(headers).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.text().await.unwrap(), "");
    }
    world.settles(&payer, (11, 11, 0)).await;
}

#[tokio::test]
async fn options_is_free_and_never_reaches_the_upstream() {
    let world = World::new().await;
    let front = world.front().await;
    let answer = front.request(Method::OPTIONS, "/page").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(header(&answer, "allow").unwrap().contains("GET"));
    assert_eq!(world.upstream.all_calls(), 0);
}

#[tokio::test]
async fn a_method_that_is_not_for_sale_is_405_before_it_is_charged() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let answer = front.request(Method::POST, "/file.txt").headers(payer.voucher(10)).send().await.unwrap();
    assert_eq!(header(&answer, "allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(fault(answer).await, (405, "method_not_allowed".to_owned(), false));
    assert_eq!(world.books(&payer).await, (0, 0, 0));
}

#[tokio::test]
async fn what_is_free_is_served_without_a_word_about_payment() {
    let world = World::new().await;
    let front = world.front().await;
    let answer = front.get("/free.txt").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("rdn-")));
    assert_eq!(answer.text().await.unwrap(), FILE);
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_charged() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    std::fs::remove_file(world.folder().join("file.txt")).unwrap();
    assert_eq!(fault(front.pay("/file.txt", &payer, 10).await).await, (500, "goods_missing".to_owned(), false));
    assert_eq!(world.books(&payer).await, (0, 0, 0));
}

#[tokio::test]
async fn a_stale_view_of_the_chain_is_503_and_never_402() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(front.pay("/page", &payer, 1).await.status(), 200);
    world.goes_stale().await;
    assert_eq!(fault(front.pay("/page", &payer, 2).await).await, (503, "chain_stale".to_owned(), true));
    assert_eq!(front.get("/page").await.status(), 402);
    assert_eq!(world.upstream.calls("/page"), 1);
}

#[tokio::test]
async fn a_channel_opened_a_moment_ago_is_found_by_the_background() {
    let world = crate::world::shared(World::new().await);
    let (front, _, payer) = (world.front().await, world.payer(100).await, world.stranger().await);
    let (background, stranger) = (world.clone(), payer.clone());
    let watcher = tokio::spawn(async move {
        let mut bell = background.ledger.listen(&[ledger::JobKind::Sync]);
        loop {
            if let Some(job) = background.ledger.due(ledger::JobKind::Sync, &["main"], 1).await.unwrap().pop() {
                assert_eq!(job.job.channel, Some(stranger.channel()));
                background.opened(&stranger, 100).await;
                return background.ledger.finish(job.id, &serde_json::Value::Null).await.unwrap();
            }
            bell.wait(std::time::Duration::from_millis(200)).await;
        }
    });
    let answer = front.pay("/page", &payer, 1).await;
    assert_eq!(answer.status(), StatusCode::OK);
    watcher.await.unwrap();
}

#[tokio::test]
async fn one_voucher_raced_by_64_clients_at_two_fronts_is_sold_once() {
    let world = World::new().await;
    let (fronts, payer) = ([world.front().await, world.front().await], world.payer(100).await);
    for round in 1..=3 {
        let requests = (0..64).map(|n| fronts[n % 2].pay("/page", &payer, round));
        let answers = futures::future::join_all(requests).await;
        let count = |status| answers.iter().filter(|answer| answer.status().as_u16() == status).count();
        assert_eq!((count(200), count(402)), (1, 63));
        assert_eq!(u128::from(world.upstream.calls("/page")), round);
    }
    world.settles(&payer, (3, 3, 0)).await;
}

#[tokio::test]
async fn credit_terms_let_calls_run_in_parallel_and_vouchers_run_ahead() {
    let world = World::new().await;
    let change = |config: &mut runtime::Config| {
        config.deployments.get_mut("main").unwrap().terms = runtime::config::TermsName::Credit;
    };
    let (front, payer) = (world.front_with(change).await, world.payer(100).await);
    let answers = futures::future::join_all((0..20).map(|_| front.pay("/page", &payer, 20))).await;
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::OK));
    assert_eq!(failure(&front.pay("/page", &payer, 20).await), [""; 0]);
    world.settles(&payer, (20, 20, 0)).await;
}
