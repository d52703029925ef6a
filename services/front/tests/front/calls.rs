//! What becomes of a hold when an upstream is called, and what crosses the house.

use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Front, Payer, Raw, World, failure, fault, header};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BROKEN: &str = "HTTP/1.1 500 Broken\r\ncontent-length: 6\r\nx-cause: disk\r\n\r\nbroken";

#[tokio::test]
async fn a_failed_call_is_credited_and_its_repetition_served_from_credit() {
    let world = World::new().await;
    let raw = Raw::start(|call| if call == 0 { BROKEN } else { OK }).await;
    let (front, payer) = (world.front_selling(&raw.route("")).await, world.payer(100).await);
    let failed = front.pay("/raw/a", &payer, 1).await;
    assert_eq!((failed.status(), header(&failed, "x-cause")), (StatusCode::INTERNAL_SERVER_ERROR, Some("disk")));
    assert_eq!(header(&failed, "rdn-sender-balance"), Some("1"));
    assert_eq!(failed.text().await.unwrap(), "broken");
    assert_eq!(world.books(&payer).await, (1, 0, 0));

    assert_eq!(failure(&front.pay("/raw/b", &payer, 1).await), [""; 0]);
    assert_eq!(raw.calls(), 1);

    let again = front.pay("/raw/a", &payer, 1).await;
    assert_eq!(again.text().await.unwrap(), "ok");
    world.settles(&payer, (1, 1, 0)).await;

    assert_eq!(failure(&front.pay("/raw/a", &payer, 1).await), [""; 0]);
    assert_eq!(raw.calls(), 2);
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_502_and_credited() {
    let world = World::new().await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let route = format!("[[front.routes]]\nprefix = \"/raw\"\nupstream = \"http://{nobody}\"\nprice = 1");
    let (front, payer) = (world.front_selling(&route).await, world.payer(100).await);
    assert_eq!(fault(front.pay("/raw", &payer, 1).await).await, (502, "upstream_unreachable".to_owned(), false));
    assert_eq!(world.books(&payer).await, (1, 0, 0));
}

#[tokio::test]
async fn an_upstream_that_hangs_up_is_502_and_credited() {
    let world = World::new().await;
    let raw = Raw::start(|_| "").await;
    let (front, payer) = (world.front_selling(&raw.route("")).await, world.payer(100).await);
    assert_eq!(fault(front.pay("/raw", &payer, 1).await).await, (502, "upstream_unreachable".to_owned(), false));
    assert_eq!(world.books(&payer).await, (1, 0, 0));
}

#[tokio::test]
async fn an_upstream_that_takes_too_long_is_504_and_credited() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let began = Instant::now();
    assert_eq!(fault(front.pay("/slow/3000", &payer, 1).await).await, (504, "upstream_timeout".to_owned(), false));
    assert!(began.elapsed() < Duration::from_millis(2500));
    assert_eq!(world.books(&payer).await, (1, 0, 0));
}

#[tokio::test]
async fn a_client_that_hangs_up_changes_nothing() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let request = front.request(Method::GET, "/slow/600").headers(payer.voucher(1)).timeout(Duration::from_millis(250));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(world.books(&payer).await, (1, 0, 1));
    world.settles(&payer, (1, 1, 0)).await;
    assert_eq!(world.upstream.calls("/slow/600"), 1);
}

#[tokio::test]
async fn once_the_head_is_forwarded_the_call_stays_captured() {
    let world = World::new().await;
    let raw = Raw::start(|_| "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly half").await;
    let (front, payer) = (world.front_selling(&raw.route("")).await, world.payer(100).await);
    let answer = front.pay("/raw", &payer, 1).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.bytes().await.is_err());
    world.settles(&payer, (1, 1, 0)).await;
}

#[tokio::test]
async fn what_is_charged_before_the_call_stays_charged() {
    let world = World::new().await;
    let raw = Raw::start(|_| BROKEN).await;
    let (front, payer) = (world.front_selling(&raw.route("charge = \"before\"")).await, world.payer(100).await);
    assert_eq!(front.pay("/raw", &payer, 1).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(world.books(&payer).await, (1, 1, 0));
}

#[tokio::test]
async fn a_route_says_which_statuses_it_charges() {
    let world = World::new().await;
    let route = format!(
        "[[front.routes]]\nprefix = \"/status\"\nupstream = \"{}\"\nprice = 1\ncharge_below = 400",
        world.upstream.url()
    );
    let (front, payer) = (world.front_selling(&route).await, world.payer(100).await);
    assert_eq!(front.pay("/status/404", &payer, 1).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.books(&payer).await, (1, 0, 0));
    assert_eq!(front.pay("/status/302", &payer, 2).await.status(), StatusCode::FOUND);
    world.settles(&payer, (2, 1, 0)).await;
}

#[tokio::test]
async fn an_upstream_that_asks_for_payment_itself_is_502_and_credited() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(fault(front.pay("/status/402", &payer, 1).await).await, (502, "upstream_unpaid".to_owned(), false));
    assert_eq!(world.books(&payer).await, (1, 0, 0));
}

#[tokio::test]
async fn a_redirect_of_the_upstream_is_the_client_s_to_follow() {
    let world = World::new().await;
    let raw = Raw::start(|_| "HTTP/1.1 302 Found\r\nlocation: /raw/there\r\ncontent-length: 0\r\n\r\n").await;
    let (front, payer) = (world.front_selling(&raw.route("")).await, world.payer(100).await);
    let answer = front.pay("/raw/here", &payer, 1).await;
    assert_eq!((answer.status(), header(&answer, "location")), (StatusCode::FOUND, Some("/raw/there")));
    assert_eq!(raw.calls(), 1);
}

/// The headers that the upstream says it got.
async fn echoed(answer: reqwest::Response) -> Vec<(String, String)> {
    assert_eq!(answer.status(), StatusCode::OK);
    let body: Value = answer.json().await.unwrap();
    serde_json::from_value(body["headers"].clone()).unwrap()
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn an_upstream_sees_our_headers_and_never_a_client_s_forgery() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let answer = front
        .request(Method::GET, "/echo")
        .headers(payer.voucher(1))
        .header("Sluice-Payer", "forged")
        .header("sluice_payer", "forged")
        .header("X-Sluice-Payer", "forged")
        .header("RDN_Balance", "forged")
        .header("X-Forwarded-For", "6.6.6.6")
        .header("X-Forwarded-Host", "forged")
        .header("X-Forwarded-Proto", "https")
        .header("Forwarded", "for=6.6.6.6")
        .header("X-Real-IP", "6.6.6.6")
        .header("Cookie", "RDN-Price=1; session=s; rdn_balance=2")
        .header("Connection", "X-Secret")
        .header("X-Secret", "hop")
        .header("TE", "trailers")
        .header("X-Kept", "kept")
        .header("Idempotency-Key", "mine")
        .send()
        .await
        .unwrap();
    let headers = echoed(answer).await;
    assert_eq!(value(&headers, "sluice-payer"), [payer.address()]);
    assert_eq!(value(&headers, "sluice-channel"), [payer.channel().to_string()]);
    assert_eq!(value(&headers, "sluice-price"), ["1"]);
    assert_eq!(value(&headers, "sluice-request-id").len(), 1);
    assert_eq!(value(&headers, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(value(&headers, "x-forwarded-host"), [front.address.to_string()]);
    assert_eq!(value(&headers, "x-forwarded-proto"), ["http"]);
    assert_eq!(value(&headers, "host"), [world.upstream.url().trim_start_matches("http://")]);
    assert_eq!(value(&headers, "cookie"), ["session=s"]);
    assert_eq!(value(&headers, "x-kept"), ["kept"]);
    assert_eq!(value(&headers, "idempotency-key"), ["mine"]);
    for (name, value) in &headers {
        assert!(!name.starts_with("rdn") && !name.contains("_") && value != "forged", "{name}: {value}");
        assert!(!["x-secret", "te", "forwarded", "x-real-ip", "x-sluice-payer"].contains(&name.as_str()), "{name}");
    }
}

#[tokio::test]
async fn a_client_sees_our_receipt_and_never_an_upstream_s_forgery() {
    let world = World::new().await;
    let raw = Raw::start(|_| {
        "HTTP/1.1 200 OK\r\nrdn-sender-balance: 999\r\nRDN_Invalid_Amount: 1\r\nrdn-cost: 7\r\nsluice-x: 1\r\n\
         connection: x-hop\r\nx-hop: 1\r\nset-cookie: RDN-Price=9\r\nset-cookie: a=b\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\nok"
    })
    .await;
    let (front, payer) = (world.front_selling(&raw.route("")).await, world.payer(100).await);
    let answer = front.pay("/raw", &payer, 1).await;
    let balances: Vec<_> = answer.headers().get_all("rdn-sender-balance").iter().collect();
    assert_eq!(balances, ["1"]);
    for name in ["rdn-invalid-amount", "rdn_invalid_amount", "rdn-cost", "sluice-x", "x-hop"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    assert_eq!(header(&answer, "set-cookie"), Some("a=b"));
    assert_eq!(header(&answer, "x-kept"), Some("1"));
}

#[tokio::test]
async fn method_path_query_and_body_reach_the_upstream_as_they_are() {
    let world = World::new().await;
    let raw = Raw::start(|_| OK).await;
    let (front, payer) = (world.front_selling(&raw.route("")).await, world.payer(100).await);
    let body = "x=1";
    let request = front.request(Method::PATCH, "/raw/%C3%BC/b%20c?d=%2F&e").headers(payer.voucher(1)).body(body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    let head = raw.heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("PATCH /raw/%C3%BC/b%20c?d=%2F&e HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-length: 3\r\n"), "{head}");
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let answer = front.pay("/events/20", &payer, 1).await;
    assert_eq!(header(&answer, "content-type"), Some("text/event-stream"));
    let mut events = answer.bytes_stream();
    let began = Instant::now();
    let first = events.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"id: 0"), "{first:?}");
    assert!(began.elapsed() < Duration::from_millis(600), "the upstream needs a second for all");
    let mut last = first;
    while let Some(event) = events.next().await {
        last = event.unwrap();
    }
    assert!(String::from_utf8(last.to_vec()).unwrap().contains("event 19"));
    world.settles(&payer, (1, 1, 0)).await;
}

/// Sends a request by hand, so that its body can be sent piece by piece.
async fn dribble(front: &Front, payer: &Payer, path: &str) -> (tokio::net::TcpStream, Vec<u8>) {
    let mut stream = tokio::net::TcpStream::connect(front.address).await.unwrap();
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n");
    for (name, value) in &payer.voucher(1) {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    stream.write_all(format!("{head}\r\n5\r\nfirst\r\n").as_bytes()).await.unwrap();
    let mut seen = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut seen)).await;
    seen.truncate(read.map_or(0, |read| read.unwrap()));
    (stream, seen)
}

#[tokio::test]
async fn a_streaming_route_forwards_a_request_as_it_arrives() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    // The upstream sends back what it gets; its answer begins before the request is over.
    let (mut stream, mut seen) = dribble(&front, &payer, "/upload").await;
    assert!(seen.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&seen));
    stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    while !String::from_utf8_lossy(&seen).contains("second") {
        let mut more = [0; 1024];
        let read = stream.read(&mut more).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend(&more[..read]);
    }
    assert!(String::from_utf8_lossy(&seen).contains("first"));
    world.settles(&payer, (1, 1, 0)).await;
}

#[tokio::test]
async fn any_other_route_waits_for_the_whole_body_because_its_hash_names_the_request() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let (_stream, seen) = dribble(&front, &payer, "/echo").await;
    assert!(seen.is_empty());
    assert_eq!(world.upstream.all_calls(), 0);
    assert_eq!(world.books(&payer).await, (0, 0, 0));
}

#[tokio::test]
async fn upgrades_are_refused_clearly() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let request = front.request(Method::GET, "/page").headers(payer.voucher(1));
    let answer = request.header("connection", "upgrade").header("upgrade", "websocket").send().await.unwrap();
    assert_eq!(fault(answer).await, (501, "upgrade_unsupported".to_owned(), false));
    assert_eq!(world.books(&payer).await, (0, 0, 0));
    assert_eq!(world.upstream.all_calls(), 0);
}

#[tokio::test]
async fn http_2_pays_as_well() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let answer = client.get(front.url("/echo")).headers(payer.voucher(1)).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    let headers = echoed(answer).await;
    assert_eq!(value(&headers, "x-forwarded-host"), [front.address.to_string()]);
}
