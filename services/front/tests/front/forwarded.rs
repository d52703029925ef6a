//! Whose word on the client's address is taken.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Front, Payer, World};

fn trusting(config: &mut runtime::Config) {
    config.front.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
}

fn with_proxy_protocol(config: &mut runtime::Config) {
    trusting(config);
    config.front.proxy_protocol = true;
}

async fn forwarded_for(answer: reqwest::Response) -> Value {
    assert_eq!(answer.status(), StatusCode::OK);
    let body: Value = answer.json().await.unwrap();
    let headers: Vec<(String, String)> = serde_json::from_value(body["headers"].clone()).unwrap();
    headers.into_iter().filter(|(name, _)| name.starts_with("x-forwarded")).collect()
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let world = World::new().await;
    let (front, payer) = (world.front_with(trusting).await, world.payer(100).await);
    let request = front.request(Method::GET, "/echo").headers(payer.voucher(1));
    let request = request.header("x-forwarded-for", "203.0.113.7").header("x-forwarded-proto", "https");
    let told = forwarded_for(request.header("x-forwarded-host", "shop.example").send().await.unwrap()).await;
    assert_eq!(told["x-forwarded-for"], "203.0.113.7, 127.0.0.1");
    assert_eq!(told["x-forwarded-proto"], "https");
    assert_eq!(told["x-forwarded-host"], "shop.example");
}

fn preface(addresses: &[u8], family: u8, command: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
    header.extend(addresses);
    header
}

/// What a front answers to a paid request on a connection that begins with these bytes.
async fn after(front: &Front, payer: &Payer, amount: u128, first: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    for piece in first {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let mut request = "GET /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 6.6.6.6\r\n".to_owned();
    for (name, value) in &payer.voucher(amount) {
        request += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let _ = stream.write_all(format!("{request}\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_proxy_header_names_the_client_who_is_not_a_proxy_itself() {
    let world = World::new().await;
    let (front, payer) = (world.front_with(with_proxy_protocol).await, world.payer(100).await);
    let ipv4 = preface(&[203, 0, 113, 7, 127, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90], 0x11, 1);
    let answer = after(&front, &payer, 1, &[&ipv4]).await;
    assert!(answer.contains(r#"["x-forwarded-for","203.0.113.7"]"#), "{answer}");

    let mut ipv6 = vec![0; 36];
    ipv6[..2].copy_from_slice(&[0x20, 0x01]);
    ipv6[15] = 9;
    let ipv6 = preface(&ipv6, 0x21, 1);
    let (head, tail) = ipv6.split_at(20);
    let answer = after(&front, &payer, 2, &[head, tail]).await;
    assert!(answer.contains(r#"["x-forwarded-for","2001::9"]"#), "{answer}");
}

#[tokio::test]
async fn a_load_balancer_s_own_check_is_from_itself() {
    let world = World::new().await;
    let (front, payer) = (world.front_with(with_proxy_protocol).await, world.payer(100).await);
    let answer = after(&front, &payer, 1, &[&preface(&[], 0x00, 0)]).await;
    assert!(answer.contains(r#"["x-forwarded-for","6.6.6.6, 127.0.0.1"]"#), "{answer}");
}

#[tokio::test]
async fn a_trusted_proxy_without_its_header_is_hung_up_on() {
    let world = World::new().await;
    let (front, payer) = (world.front_with(with_proxy_protocol).await, world.payer(100).await);
    assert_eq!(after(&front, &payer, 1, &[]).await, "");
    let huge = preface(&[0; 5000], 0x11, 1);
    assert_eq!(after(&front, &payer, 1, &[&huge]).await, "");
    assert_eq!(world.books(&payer).await, (0, 0, 0));
}

#[tokio::test]
async fn a_connection_that_owes_its_header_keeps_nobody_waiting() {
    let world = World::new().await;
    let (front, payer) = (world.front_with(with_proxy_protocol).await, world.payer(100).await);
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(front.address).await.unwrap());
    }
    let ipv4 = preface(&[203, 0, 113, 7, 127, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90], 0x11, 1);
    let answer = tokio::time::timeout(Duration::from_secs(2), after(&front, &payer, 1, &[&ipv4])).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_proxy_header_of_a_stranger_is_no_http() {
    let world = World::new().await;
    let change = |config: &mut runtime::Config| {
        config.front.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        config.front.proxy_protocol = true;
    };
    let (front, payer) = (world.front_with(change).await, world.payer(100).await);
    let ipv4 = preface(&[203, 0, 113, 7, 127, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90], 0x11, 1);
    assert!(after(&front, &payer, 1, &[&ipv4]).await.starts_with("HTTP/1.1 400"));
    // Without one it is served as anybody is, and its own word on its address is not taken.
    let answer = after(&front, &payer, 1, &[]).await;
    assert!(answer.contains(r#"["x-forwarded-for","127.0.0.1"]"#), "{answer}");
}
