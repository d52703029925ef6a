//! How much a client may ask, and how slowly.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Front, World, failure, fault};

/// Sends bytes, and reads what comes until the front closes the connection or this long has passed.
async fn say(front: &Front, bytes: &[u8], patience: Duration) -> String {
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(patience, stream.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn headers_that_are_too_large_are_431() {
    let world = World::new().await;
    let front = world.front().await;
    let answer = front.request(Method::GET, "/page").header("x-large", "x".repeat(20_000)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn a_path_that_is_too_long_is_414() {
    let world = World::new().await;
    let front = world.front().await;
    let answer = front.get(&format!("/page?{}", "x".repeat(9_000))).await;
    assert_eq!(fault(answer).await, (414, "uri_too_long".to_owned(), false));
}

#[tokio::test]
async fn a_path_with_two_meanings_is_400() {
    let world = World::new().await;
    let front = world.front().await;
    for path in ["/free.txt/../page", "/a//b", "/a%2fb", "/%2e%2e/page"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = say(&front, request.as_bytes(), Duration::from_secs(5)).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("bad_path"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_and_not_charged() {
    let world = World::new().await;
    let (front, payer) =
        (world.front_with(|config| config.front.limits.body_bytes = 1000).await, world.payer(100).await);
    for path in ["/page", "/upload"] {
        let large = front.request(Method::POST, path).headers(payer.voucher(1)).body(vec![0; 1001]);
        assert_eq!(fault(large.send().await.unwrap()).await, (413, "body_too_large".to_owned(), false));
        assert_eq!(world.books(&payer).await, (0, 0, 0));
    }
    let chunks = futures::stream::iter((0..11).map(|_| Ok::<_, std::io::Error>(vec![0; 100])));
    let endless =
        front.request(Method::POST, "/page").headers(payer.voucher(1)).body(reqwest::Body::wrap_stream(chunks));
    assert_eq!(fault(endless.send().await.unwrap()).await, (413, "body_too_large".to_owned(), false));
    assert_eq!(world.books(&payer).await, (0, 0, 0));
    assert_eq!(world.upstream.all_calls(), 0);
    let just_right = front.request(Method::POST, "/page").headers(payer.voucher(1)).body(vec![0; 1000]);
    assert_eq!(just_right.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_streamed_body_that_is_too_large_is_413_and_credited() {
    let world = World::new().await;
    let (front, payer) =
        (world.front_with(|config| config.front.limits.body_bytes = 1000).await, world.payer(100).await);
    let chunks = futures::stream::iter((0..11).map(|_| Ok::<_, std::io::Error>(vec![0; 100])));
    let endless =
        front.request(Method::POST, "/upload").headers(payer.voucher(1)).body(reqwest::Body::wrap_stream(chunks));
    let answer = endless.send().await;
    // Its answer may have begun before the body was too large; then it is cut off.
    match answer {
        Ok(answer) if answer.status() == StatusCode::OK => assert!(answer.bytes().await.is_err()),
        Ok(answer) => assert_eq!(fault(answer).await.0, 413),
        Err(error) => panic!("{error}"),
    }
    assert_eq!(world.books(&payer).await.2, 0);
}

#[tokio::test]
async fn a_body_that_dribbles_is_408_and_not_charged() {
    let world = World::new().await;
    let change = |config: &mut runtime::Config| config.front.timeouts.body_idle = Duration::from_millis(200);
    let (front, payer) = (world.front_with(change).await, world.payer(100).await);
    let mut request = "POST /page HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n".to_owned();
    for (name, value) in &payer.voucher(1) {
        request += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let answer = say(&front, format!("{request}\r\nhalf").as_bytes(), Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{answer}");
    assert_eq!(world.books(&payer).await, (0, 0, 0));
}

#[tokio::test]
async fn who_says_nothing_or_never_ends_its_headers_is_hung_up_on() {
    let world = World::new().await;
    let front = world.front_with(|config| config.front.timeouts.header = Duration::from_millis(300)).await;
    for words in ["", "P", "PRI * HTTP/2.0\r\n", "GET /page HTTP/1.1\r\nhost: x\r\nx-slow:"] {
        let began = Instant::now();
        let answer = say(&front, words.as_bytes(), Duration::from_secs(5)).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{words:?} {answer}");
    }
}

#[tokio::test]
async fn too_many_newcomers_are_refused_at_once_instead_of_waiting() {
    let world = World::new().await;
    let (_known, stranger) = (world.payer(100).await, world.stranger().await);
    let front = world.front_with(|config| config.front.limits.waiting_for_sync = 1).await;
    // Nobody watches the chain here, so whoever waits waits to the end of its patience.
    let timed = async |delay| {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let began = Instant::now();
        let answer = front.pay("/page", &stranger, 1).await;
        assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
        assert_eq!(failure(&answer), ["rdn-nonexisting-channel"]);
        began.elapsed()
    };
    let patience = world.config("").front.timeouts.sync;
    let (first, second) = tokio::join!(timed(0), timed(100));
    assert!(first >= patience, "{first:?}");
    assert!(second < patience / 2, "{second:?}");
}

#[tokio::test]
async fn too_many_requests_in_flight_are_503_overloaded() {
    let world = World::new().await;
    let (front, payer) = (world.front_with(|config| config.front.limits.in_flight = 1).await, world.payer(100).await);
    let (slow, shed) = tokio::join!(front.pay("/slow/500", &payer, 1), async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        fault(front.get("/free.txt").await).await
    });
    assert_eq!(shed, (503, "overloaded".to_owned(), true));
    assert_eq!(slow.status(), StatusCode::OK);
    slow.bytes().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(front.get("/free.txt").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn payments_that_find_no_place_to_be_checked_are_503_at_once_and_cost_nothing() {
    let world = World::new().await;
    let front = world.front_with(|config| config.front.limits.waiting_for_check = 1).await;
    let payers = join_all((0..16).map(|_| world.payer(100))).await;
    let answers = join_all(payers.iter().map(|payer| front.pay("/file.txt", payer, 10))).await;
    let (mut sold, mut shed) = (0, 0);
    for (answer, payer) in answers.into_iter().zip(&payers) {
        if answer.status() == StatusCode::OK {
            sold += 1;
            assert_eq!(world.books(payer).await, (10, 10, 0));
        } else {
            shed += 1;
            assert_eq!(fault(answer).await, (503, "overloaded".to_owned(), true));
            assert_eq!(world.books(payer).await, (0, 0, 0));
        }
    }
    assert!(sold > 0 && shed > 0, "{sold} sold, {shed} turned away");
    // The places are free again.
    let late = world.payer(100).await;
    assert_eq!(front.pay("/file.txt", &late, 10).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn connections_above_the_limit_wait_for_a_place() {
    let world = World::new().await;
    let front = world.front_with(|config| config.front.limits.connections = 2).await;
    let (first, second) =
        (TcpStream::connect(front.address).await.unwrap(), TcpStream::connect(front.address).await.unwrap());
    let request = b"GET /free.txt HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(say(&front, request, Duration::from_millis(500)).await, "");
    drop((first, second));
    let answer = say(&front, request, Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_with_enough_connections_gets_no_more_while_others_are_served() {
    let world = World::new().await;
    let front = world.front_with(|config| config.front.limits.connections_per_client = 3).await;
    let connect = async |from: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(front.address).await.unwrap()
    };
    let is_served = async |mut stream: TcpStream| {
        let asked = stream.write_all(b"GET /free.txt HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut status = [0; 12];
        asked.is_ok() && stream.read_exact(&mut status).await.is_ok() && &status == b"HTTP/1.1 200"
    };
    let greedy = [127, 0, 0, 2];
    let mut idle = vec![connect(greedy).await, connect(greedy).await, connect(greedy).await];
    assert!(!is_served(connect(greedy).await).await);
    assert!(is_served(connect([127, 0, 0, 3]).await).await);
    idle.pop();
    // The front notices in its own time.
    let again = async || {
        for _ in 0..100 {
            if is_served(connect(greedy).await).await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    };
    assert!(again().await);
}

#[tokio::test]
async fn a_trusted_proxy_opens_as_many_connections_as_it_likes() {
    let world = World::new().await;
    let change = |config: &mut runtime::Config| {
        config.front.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.front.limits.connections_per_client = 1;
    };
    let front = world.front_with(change).await;
    let _idle = (TcpStream::connect(front.address).await.unwrap(), TcpStream::connect(front.address).await.unwrap());
    assert_eq!(front.get("/free.txt").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_sends_its_whole_body_before_it_looks_still_hears_the_402() {
    let world = World::new().await;
    let front = world.front().await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let mut request = b"POST /page HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n".to_vec();
    request.resize(request.len() + 900_000, b'x');
    for piece in request.chunks(100_000) {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 402");
}

#[tokio::test]
async fn who_does_not_take_its_answer_is_hung_up_on() {
    let world = World::new().await;
    std::fs::write(world.folder().join("file.txt"), vec![b'x'; 32 << 20]).unwrap();
    let change = |config: &mut runtime::Config| {
        config.front.timeouts.body_idle = Duration::from_millis(300);
        config.front.limits.in_flight = 1;
    };
    let front = world.front_with(change).await;
    let mut lazy = TcpStream::connect(front.address).await.unwrap();
    lazy.write_all(b"GET /free.txt HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(front.get("/free.txt").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(front.get("/free.txt").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_can_be_framed_in_two_ways_never_becomes_two() {
    let world = World::new().await;
    let raw = crate::world::Raw::start(|_| "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let routes = format!(
        "[[front.routes]]\nprefix = \"/raw\"\nupstream = \"http://{}\"\nprice = 0\nstream_requests = true",
        raw.address
    );
    let front = world.front_selling(&routes).await;
    let hidden = "GET /raw/hidden HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = hidden.len();
    for framing in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n{hidden}"),
        format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        format!("content-length: 0, {length}\r\n\r\n{hidden}"),
        format!("content-length: +{length}\r\n\r\n{hidden}"),
        format!("transfer-encoding: identity\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("transfer-encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("x: a\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("connection: content-length\r\ncontent-length: {length}\r\n\r\n{hidden}"),
    ] {
        let before = raw.calls();
        let request = format!("POST /raw/seen HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{framing}");
        let answer = say(&front, request.as_bytes(), Duration::from_secs(2)).await;
        let heads = raw.heads.lock().unwrap()[before..].to_vec();
        assert!(
            heads.len() <= 1 && heads.iter().all(|head| head.starts_with("POST /raw/seen ")),
            "{framing:?} {heads:?}"
        );
        assert!(heads.len() == 1 || answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{framing:?} {answer}");
        for head in heads {
            let framings =
                ["content-length:", "transfer-encoding:"].iter().filter(|name| head.contains(**name)).count();
            assert!(framings <= 1, "{framing:?} {head:?}");
        }
    }
}
