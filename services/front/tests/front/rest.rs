//! What can be asked beside what is for sale: sums, lists, one channel; how often, and how fresh it is.

use std::time::{Duration, SystemTime};

use channel::Amount;
use reqwest::{Method, Response, StatusCode};
use runtime::Config;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::world::{Front, Payer, World, deployment, fault, header};

async fn get(front: &Front, path: &str) -> (u16, Value) {
    let answer = front.get(&format!("/api/1{path}")).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn found(front: &Front, path: &str) -> Value {
    let (status, body) = get(front, path).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn pay(front: &Front, payer: &Payer, amount: u128) {
    assert_eq!(front.pay("/file.txt", payer, amount).await.status(), StatusCode::OK);
}

fn path_of(payer: &Payer) -> String {
    format!("/channels/{}/{}", payer.address(), payer.open_block)
}

#[tokio::test]
async fn statistics_are_of_confirmed_channels_with_the_payee_s_own_balance_and_its_age() {
    let world = World::new().await;
    let (front, payer, other) = (world.front().await, world.payer(100).await, world.payer(50).await);
    world.opened_unconfirmed(&world.stranger().await, 7).await;
    pay(&front, &payer, 10).await;
    pay(&front, &other, 10).await;
    world.close_requested(&other).await;
    world.ledger.note_balance("main", Amount::new(77)).await.unwrap();
    let stats = found(&front, "/stats").await;
    for (field, expected) in [
        ("balance_sum", json!(20)),
        // The third opening was confirmed by the block of the close request.
        ("deposit_sum", json!(157)),
        ("open_channels", json!(2)),
        ("pending_channels", json!(1)),
        ("unique_senders", json!(3)),
        ("liquid_balance", json!(77)),
        ("token_address", json!(deployment().token.to_checksum(None))),
        ("contract_address", json!(deployment().contract.to_checksum(None))),
        ("receiver_address", json!(deployment().payee.to_checksum(None))),
        ("sync_block", json!(0)),
    ] {
        assert_eq!(stats[field], expected, "{field}");
    }
    assert!(stats["manager_abi"].is_array() && stats["token_abi"].is_array());
    assert!(stats["synced_block"].as_u64().unwrap() > 0);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(now.abs_diff(stats["liquid_balance_at"].as_u64().unwrap()) < 60);
}

#[tokio::test]
async fn before_the_watcher_looked_there_is_no_balance_rather_than_none_at_all() {
    let world = World::new().await;
    let stats = found(&world.front().await, "/stats").await;
    assert!(stats["liquid_balance"].is_null() && stats["liquid_balance_at"].is_null());
}

#[tokio::test]
async fn channels_are_listed_by_sender_and_status() {
    let world = World::new().await;
    let (front, payer, other) = (world.front().await, world.payer(100).await, world.payer(50).await);
    pay(&front, &payer, 10).await;
    world.close_requested(&other).await;
    let (open, closed) = (&payer, &other);
    let entry = |payer: &Payer| json!({ "sender_address": payer.address(), "blocks": [payer.open_block] });
    for path in ["/channels/", "/channels/?status=open", "/channels/?status=opened", "/channels/somebody"] {
        assert_eq!(found(&front, path).await, json!([entry(open)]), "{path}");
    }
    assert_eq!(found(&front, "/channels/?status=closed").await, json!([entry(closed)]));
    let all = found(&front, "/channels/?status=all").await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    let of_sender = json!([{
        "sender_address": open.address(), "open_block": open.open_block, "state": "open", "deposit": 100, "balance": 10,
    }]);
    assert_eq!(found(&front, &format!("/channels/{}", open.address().to_lowercase())).await, of_sender);
    assert_eq!(found(&front, &format!("/channels/{}", closed.address())).await, json!([]));
    assert_eq!(found(&front, &format!("/channels/{}?status=all", closed.address())).await[0]["state"], "closed");
    assert_eq!(get(&front, "/channels/?status=bogus").await.0, 400);
}

#[tokio::test]
async fn a_channel_is_shown_to_anybody_without_its_signature() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    pay(&front, &payer, 10).await;
    let shown = found(&front, &path_of(&payer)).await;
    for (field, expected) in [
        ("receiver", json!(deployment().payee.to_checksum(None))),
        ("sender", json!(payer.address())),
        ("deposit", json!(100)),
        ("open_block_number", json!(payer.open_block)),
        ("balance", json!(10)),
        ("state", json!(0)),
        ("last_signature", Value::Null),
        ("settle_timeout", json!(-1)),
        ("confirmed", json!(1)),
        ("unconfirmed_topups", json!({})),
    ] {
        assert_eq!(shown[field], expected, "{field}");
    }
    assert!(shown["ctime"].is_f64() && shown["mtime"].is_f64());
    // One channel is never shown as it was a moment ago.
    pay(&front, &payer, 20).await;
    assert_eq!(found(&front, &path_of(&payer)).await["balance"], 20);
    world.close_requested(&payer).await;
    let shown = found(&front, &path_of(&payer)).await;
    assert_eq!((&shown["state"], &shown["settle_timeout"]), (&json!(2), &json!(1_000_000)));
}

#[tokio::test]
async fn a_channel_that_is_unknown_or_unconfirmed_is_404() {
    let world = World::new().await;
    let (front, stranger) = (world.front().await, world.stranger().await);
    let words = (404, json!("Sender address not found"));
    assert_eq!(get(&front, &path_of(&stranger)).await, words);
    world.opened_unconfirmed(&stranger, 100).await;
    assert_eq!(get(&front, &path_of(&stranger)).await, words);
}

#[tokio::test]
async fn the_deployment_can_be_named() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    pay(&front, &payer, 10).await;
    assert_eq!(found(&front, "/stats?deployment=main").await["open_channels"], 1);
    let nowhere = (400, json!({ "message": { "deployment": "there is no such deployment" } }));
    assert_eq!(get(&front, "/stats?deployment=other").await, nowhere);
    assert_eq!(get(&front, "/channels/?deployment=other").await, nowhere);
}

#[tokio::test]
async fn sums_are_read_once_for_all_and_are_two_seconds_old_at_most() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(found(&front, "/stats").await["balance_sum"], 0);
    pay(&front, &payer, 10).await;
    assert_eq!(found(&front, "/stats").await["balance_sum"], 0);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(found(&front, "/stats").await["balance_sum"], 10);
}

fn next(answer: &Response) -> Option<String> {
    let link = header(answer, "link")?;
    Some(link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?.to_owned())
}

#[tokio::test]
async fn a_list_comes_in_pages_of_a_thousand_channels() {
    let world = World::new().await;
    let front = world.front().await;
    let (client, connection) = tokio_postgres::connect(&world.database, NoTls).await.unwrap();
    tokio::spawn(connection);
    let many = "WITH many AS (
            INSERT INTO channels (id, deployment, payer, params, confirmed, deposit, pending, claimed, status)
            SELECT sha256(n::text::bytea), 'main', substr(sha256((n % 700)::text::bytea), 1, 20), int4send(n), true,
                   1, 0, 0, 'open' FROM generate_series(1, 2500) n RETURNING id
        ) INSERT INTO epochs (channel, number) SELECT id, 0 FROM many";
    client.batch_execute(many).await.unwrap();
    let (mut path, mut sizes, mut blocks) = ("/api/1/channels/".to_owned(), Vec::new(), Vec::new());
    loop {
        let answer = front.get(&path).await;
        let further = next(&answer);
        let page: Vec<Value> = answer.json().await.unwrap();
        let found: Vec<u64> = page
            .iter()
            .flat_map(|sender| sender["blocks"].as_array().unwrap())
            .map(|block| block.as_u64().unwrap())
            .collect();
        sizes.push(found.len());
        blocks.extend(found);
        let Some(further) = further else { break };
        path = further;
    }
    assert_eq!(sizes, [1_000, 1_000, 500]);
    blocks.sort_unstable();
    assert!(blocks.into_iter().eq(1..=2_500));
}

#[tokio::test]
async fn what_the_original_s_framework_answers_is_json() {
    let world = World::new().await;
    let front = world.front().await;
    let moved = front.get("/api/1/channels?status=all").await;
    assert_eq!(moved.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(header(&moved, "location"), Some("/api/1/channels/?status=all"));
    assert_eq!(get(&front, "/nothing").await, (404, json!({ "message": "Not found" })));
    let put = front.request(Method::PUT, "/api/1/stats").send().await.unwrap();
    assert_eq!((put.status().as_u16(), header(&put, "allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert!(put.json::<Value>().await.unwrap()["message"].is_string());
    let head = front.request(Method::HEAD, "/api/1/stats").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(front.get("/cm").await.json::<String>().await.unwrap(), "OK");
    assert_eq!(world.upstream.all_calls(), 0);
}

fn at_most(config: &mut Config) {
    config.front.rates.per_minute = 1;
    config.front.rates.burst = 4;
    config.front.rates.deletes_per_minute = 1;
    config.front.rates.deletes_burst = 2;
    config.front.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_ask_again() {
    let world = World::new().await;
    let front = world.front_with(at_most).await;
    let ask = async |client: &str| {
        let request = front.request(Method::GET, "/api/1/stats").header("x-forwarded-for", client);
        request.send().await.unwrap()
    };
    for _ in 0..4 {
        assert_eq!(ask("203.0.113.7").await.status(), StatusCode::OK);
    }
    let refused = ask("203.0.113.7").await;
    let seconds: u64 = header(&refused, "retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(fault(refused).await, (429, "too_many_requests".to_owned(), true));
    // Others are not concerned, and neither is what is for sale.
    assert_eq!(ask("203.0.113.8").await.status(), StatusCode::OK);
    let request = front.request(Method::GET, "/file.txt").header("x-forwarded-for", "203.0.113.7");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::PAYMENT_REQUIRED);
}

#[tokio::test]
async fn closes_are_counted_more_strictly() {
    let world = World::new().await;
    let (front, payer) = (world.front_with(at_most).await, world.payer(100).await);
    let path = format!("/api/1{}", path_of(&payer));
    let close = async || front.request(Method::DELETE, &path).body("balance=1").send().await.unwrap();
    for _ in 0..2 {
        assert_eq!(close().await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(close().await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(front.get(&path).await.status(), StatusCode::OK);
}
