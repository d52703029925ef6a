//! How long connections are kept, and what becomes of answers that nobody takes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use reqwest::StatusCode;
use runtime::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::world::World;

const REQUEST: &[u8] = b"GET /free.txt HTTP/1.1\r\nhost: x\r\n\r\n";

fn timeouts(header: u64, keep_alive: u64) -> impl FnOnce(&mut Config) {
    move |config| {
        config.front.timeouts.header = Duration::from_millis(header);
        config.front.timeouts.keep_alive = Duration::from_millis(keep_alive);
    }
}

/// A request and its answer.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(REQUEST).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(crate::world::FILE.as_bytes()) {
        assert!(stream.read_buf(&mut heard).await.unwrap() > 0, "{}", String::from_utf8_lossy(&heard));
    }
}

/// How long it takes until the other end hangs up.
async fn until_the_end(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "");
    began.elapsed()
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_longer_than_a_head_may_take() {
    let world = World::new().await;
    let front = world.front_with(timeouts(200, 1000)).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    for _ in 0..3 {
        ask(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let left = until_the_end(&mut stream).await;
    assert!((200..900).contains(&left.as_millis()), "{left:?}");
}

#[tokio::test]
async fn a_head_that_was_begun_is_finished_in_time_or_never() {
    let world = World::new().await;
    let front = world.front_with(timeouts(400, 60_000)).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    ask(&mut stream).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    // In three pieces, but in time.
    for piece in [&REQUEST[..10], &REQUEST[10..20]] {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stream.write_all(&REQUEST[20..]).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    while tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await.is_ok() {}

    // A byte now and then does not help.
    let began = Instant::now();
    for byte in REQUEST {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
}

/// An HTTP/2 connection whose streams each may be sent so much before somebody reads.
async fn speak_http2(address: SocketAddr, window: u32) -> (SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).initial_stream_window_size(window);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn get(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> hyper::Result<hyper::Response<Incoming>> {
    let request = hyper::Request::get(format!("http://x{path}")).body(Empty::new()).unwrap();
    sender.send_request(request).await
}

#[tokio::test]
async fn an_idle_http_2_connection_is_told_to_end() {
    let world = World::new().await;
    let front = world.front_with(timeouts(300, 1000)).await;
    let (mut sender, connection) = speak_http2(front.address, 65_535).await;
    for _ in 0..2 {
        let answer = get(&mut sender, "/free.txt").await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), crate::world::FILE);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let began = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(5), connection).await.unwrap().unwrap();
    assert!(ended.is_ok(), "in good order: {ended:?}");
    assert!((150..900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_that_is_not_taken_on_http_2_is_given_up_and_the_others_go_on() {
    let world = World::new().await;
    std::fs::write(world.folder().join("file.txt"), vec![b'x'; 4 << 20]).unwrap();
    let front = world
        .front_with(|config| {
            config.front.timeouts.body_idle = Duration::from_millis(400);
            config.front.limits.in_flight = 1;
        })
        .await;
    let (mut sender, _connection) = speak_http2(front.address, 1 << 16).await;
    let lazy = get(&mut sender, "/free.txt").await.unwrap();
    assert_eq!(lazy.status(), StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(get(&mut sender, "/free.txt").await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let eager = get(&mut sender, "/free.txt").await.unwrap();
    assert_eq!(eager.status(), StatusCode::OK);
    assert_eq!(eager.into_body().collect().await.unwrap().to_bytes().len(), 4 << 20);
    assert!(lazy.into_body().collect().await.is_err());
}

#[tokio::test]
async fn an_answer_that_is_taken_slowly_on_http_2_is_taken_whole() {
    let world = World::new().await;
    std::fs::write(world.folder().join("file.txt"), vec![b'x'; 1 << 20]).unwrap();
    let front = world.front_with(|config| config.front.timeouts.body_idle = Duration::from_millis(500)).await;
    let (mut sender, _connection) = speak_http2(front.address, 1 << 16).await;
    let mut body = get(&mut sender, "/free.txt").await.unwrap().into_body();
    let (began, mut taken, mut pause) = (Instant::now(), 0, 0);
    while let Some(frame) = body.frame().await {
        let length = frame.unwrap().into_data().unwrap().len();
        taken += length;
        if taken / (1 << 17) > pause {
            pause += 1;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }
    assert_eq!(taken, 1 << 20);
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_that_arrives_slowly_is_the_upstream_s_matter() {
    let world = World::new().await;
    let front = world.front_with(|config| config.front.timeouts.body_idle = Duration::from_millis(30)).await;
    let payer = world.payer(10).await;
    let (mut sender, _connection) = speak_http2(front.address, 1 << 16).await;
    let mut request = hyper::Request::get("http://x/events/20").body(Empty::new()).unwrap();
    *request.headers_mut() = payer.voucher(1);
    let answer = sender.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("event 19"));
}
