//! 1.4: what an answer says in its headers.

use reqwest::Response;

use crate::world::{Raw, World, header};

const BASE: [(&str, &str); 5] = [
    ("rdn-gateway-path", "/api/1"),
    ("rdn-receiver-address", "0x08c86B491A37C2FFC25072a17c7A97EF2D0357dd"),
    ("rdn-contract-address", "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"),
    ("rdn-token-address", "0x5FbDB2315678afecb367f032d93F642f64180aa3"),
    ("rdn-price", "10"),
];

fn assert_base(answer: &Response) {
    for (name, value) in BASE {
        assert_eq!(header(answer, name), Some(value), "{name} of {answer:?}");
    }
}

#[tokio::test]
async fn every_402_is_empty_json_with_the_base_headers_checksummed() {
    let world = World::new().await;
    let (front, payer, unknown) = (world.front().await, world.payer(15).await, world.stranger().await);
    front.pay("/file.txt", &payer, 10).await;
    let mut answers = vec![front.get("/file.txt").await, front.pay("/file.txt", &unknown, 10).await];
    for amount in [10, 11, 20] {
        answers.push(front.pay("/file.txt", &payer, amount).await);
    }
    for answer in answers {
        assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (402, Some("application/json")));
        assert_base(&answer);
        assert_eq!(answer.text().await.unwrap(), "");
    }
}

#[tokio::test]
async fn what_was_bought_comes_with_the_base_and_the_balance_after_it_whatever_it_is() {
    let world = World::new().await;
    let routes = format!("[[front.routes]]\nprefix = \"/echo\"\nupstream = \"{}\"\nprice = 10\n", world.upstream.url());
    let (front, payer) = (world.front_selling(&routes).await, world.payer(100).await);
    for (path, amount) in [("/file.txt", 10), ("/echo", 20)] {
        let answer = front.pay(path, &payer, amount).await;
        assert_eq!(answer.status(), 200);
        assert_base(&answer);
        assert_eq!(header(&answer, "rdn-sender-address"), Some(payer.address().as_str()));
        assert_eq!(header(&answer, "rdn-sender-balance"), Some(amount.to_string().as_str()));
        let signature = payer.voucher(amount)["rdn-balance-signature"].clone();
        assert_eq!(answer.headers()["rdn-balance-signature"], signature);
        assert_eq!(header(&answer, "rdn-cost"), None);
    }
}

#[tokio::test]
async fn the_goods_keep_their_own_headers_but_for_ours() {
    let world = World::new().await;
    let raw = Raw::start(|_| {
        "HTTP/1.1 203 Non-Authoritative Information\r\nContent-Type: text/x\r\nX-Own: 1\r\nRDN-Price: 99\r\n\
         Content-Length: 2\r\nConnection: close\r\n\r\nhi"
    })
    .await;
    let (front, payer) = (world.front_selling(&raw.route("")).await, world.payer(100).await);
    let answer = front.pay("/raw", &payer, 1).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (203, Some("text/x")));
    assert_eq!((header(&answer, "x-own"), header(&answer, "rdn-price")), (Some("1"), Some("1")));
}
