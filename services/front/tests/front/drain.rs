//! The process: it starts when the database does, says so, and ends in good order.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::StatusCode;
use testkit::haproxy::{Backend, Client, Haproxy};
use testkit::postgres::Postgres;
use testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::program::Program;
use crate::world::{FILE, World};

/// What comes until the connection is closed.
async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn sigterm_lets_requests_in_flight_end_and_exits_with_0() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let mut program = Program::start(&world);
    program.becomes("/readyz", StatusCode::OK).await;
    assert_eq!(program.probe("/startupz").await, Some(StatusCode::OK));
    assert_eq!(program.probe("/livez").await, Some(StatusCode::OK));

    let mut idle = program.ask("/free.txt", &reqwest::header::HeaderMap::new()).await;
    let mut in_flight = program.ask("/slow/900", &payer.voucher(1)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    program.process.signal(Signal::SIGTERM).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(program.probe("/readyz").await, Some(StatusCode::SERVICE_UNAVAILABLE));
    // Load balancers have not noticed yet: it still answers.
    let mut late = program.ask("/free.txt", &reqwest::header::HeaderMap::new()).await;
    assert!(to_the_end(&mut late).await.starts_with("HTTP/1.1 200"));

    let answer = to_the_end(&mut in_flight).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("at last\n"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(to_the_end(&mut idle).await.starts_with("HTTP/1.1 200"));
    assert!(TcpStream::connect(program.listen).await.is_err());
    wait::until("the front to end", Duration::from_secs(5), async || {
        anyhow::ensure!(program.process.check_running().is_err(), "it runs");
        Ok(())
    })
    .await
    .unwrap();
    let ended = program.process.check_running().unwrap_err().to_string();
    assert!(ended.contains("exit status: 0"), "{ended}");
    world.settles(&payer, (1, 1, 0)).await;
}

/// Reads until the answer that is under way has come to this.
async fn hear(stream: &mut TcpStream, end: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(end.as_bytes()) {
        assert!(stream.read_buf(&mut heard).await.unwrap() > 0, "{}", String::from_utf8_lossy(&heard));
    }
    String::from_utf8(heard).unwrap()
}

/// Whoever keeps a connection learns in time that it ends, and never writes a request into one that was just closed.
#[tokio::test]
async fn a_front_that_drains_says_with_each_answer_that_it_is_the_last_of_its_connection() {
    const REQUEST: &[u8] = b"GET /free.txt HTTP/1.1\r\nhost: x\r\n\r\n";
    let world = World::new().await;
    let payer = world.payer(100).await;
    let program = Program::start(&world);
    program.becomes("/readyz", StatusCode::OK).await;
    let mut kept = program.ask("/free.txt", &reqwest::header::HeaderMap::new()).await;
    assert!(!hear(&mut kept, FILE).await.contains("connection:"));
    // Its head is sent before SIGTERM, its end after the drain delay.
    let mut streamed = program.ask("/events/20", &payer.voucher(1)).await;
    assert!(!hear(&mut streamed, "data: event 0\n\n\r\n").await.contains("connection:"));

    program.process.signal(Signal::SIGTERM).unwrap();
    program.becomes("/readyz", StatusCode::SERVICE_UNAVAILABLE).await;
    kept.write_all(REQUEST).await.unwrap();
    let last = to_the_end(&mut kept).await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"), "{last}");

    hear(&mut streamed, "\r\n0\r\n\r\n").await;
    assert!(TcpStream::connect(program.listen).await.is_err(), "it accepts no more");
    streamed.write_all(REQUEST).await.unwrap();
    let last = to_the_end(&mut streamed).await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"), "{last}");
}

#[tokio::test]
async fn it_waits_for_a_database_that_is_away() {
    let mut postgres = Postgres::start().await.unwrap();
    let world = World::on(&postgres.fresh_database().await.unwrap()).await;
    let payer = world.payer(100).await;
    postgres.kill9().unwrap();
    let program = Program::start(&world);
    program.becomes("/livez", StatusCode::OK).await;
    assert_eq!(program.probe("/startupz").await, Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(program.probe("/readyz").await, Some(StatusCode::SERVICE_UNAVAILABLE));
    postgres.start_again().await.unwrap();
    program.becomes("/readyz", StatusCode::OK).await;
    let mut answer = program.ask("/file.txt", &payer.voucher(10)).await;
    let mut head = [0; 15];
    answer.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn metrics_tell_what_was_sold_and_refused() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let program = Program::start(&world);
    program.becomes("/readyz", StatusCode::OK).await;
    let url = |path| format!("http://{}{path}", program.listen);
    let began = Instant::now();
    for request in [
        program.client.get(url("/page")),
        program.client.get(url("/page")).headers(payer.voucher(7)),
        program.client.get(url("/page")).headers(payer.voucher(1)),
        program.client.get(url("/free.txt")),
        program.client.get(url("/fail")).headers(payer.voucher(2)),
    ] {
        request.send().await.unwrap().bytes().await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    world.settles(&payer, (2, 1, 0)).await;
    let page =
        program.client.get(format!("http://{}/metrics", program.ops)).send().await.unwrap().text().await.unwrap();
    for line in [
        r#"front_http_requests_total{route="api",method="GET",code="402"} 2"#,
        r#"front_http_requests_total{route="api",method="GET",code="200"} 1"#,
        r#"front_http_requests_total{route="/free.txt",method="GET",code="200"} 1"#,
        r#"front_payment_decisions_total{route="api",decision="unpaid",reason="no_payment"} 1"#,
        r#"front_payment_decisions_total{route="api",decision="refused",reason="amount"} 1"#,
        r#"front_payment_decisions_total{route="api",decision="sold",reason="paid"} 2"#,
        r#"front_holds_total{outcome="held"} 2"#,
        r#"front_holds_total{outcome="captured"} 1"#,
        r#"front_holds_total{outcome="released"} 1"#,
        r#"front_upstream_calls_total{route="api",outcome="500"} 1"#,
        "front_http_requests_in_flight 0",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    let money = [payer.address().to_lowercase(), payer.channel().to_string()];
    assert!(money.iter().all(|id| !page.to_lowercase().contains(id)));
}

#[tokio::test]
async fn a_front_that_drains_behind_haproxy_loses_no_request_and_clients_keep_their_addresses() {
    let world = World::new().await;
    let payer = world.payer(1000).await;
    let settings = [
        ("SLUICE_FRONT__PROXY_PROTOCOL", "true"),
        ("SLUICE_FRONT__TRUSTED_PROXIES", "[\"127.0.0.1/32\"]"),
        ("SLUICE_FRONT__TIMEOUTS__DRAIN_DELAY_MS", "1500"),
    ];
    let mut programs = [Program::start_with(&world, &settings), Program::start_with(&world, &settings)];
    for program in &programs {
        program.becomes("/readyz", StatusCode::OK).await;
    }
    let backends = programs.each_ref().map(|program| Backend { listen: program.listen, health: program.ops });
    let balancer = Haproxy::start(&backends, Client::ProxyV2).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().local_address("127.0.0.9".parse().ok()).build().unwrap();
    let url = format!("{}/echo", balancer.url());
    wait::until("the load balancer to find the fronts", Duration::from_secs(10), async || {
        let status = client.get(&url).send().await?.status();
        anyhow::ensure!(status == StatusCode::PAYMENT_REQUIRED, "{status}");
        Ok(())
    })
    .await
    .unwrap();

    for amount in 1..=200 {
        if amount == 50 {
            programs[0].process.signal(Signal::SIGTERM).unwrap();
        }
        let answer = client.get(&url).headers(payer.voucher(amount)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{amount}");
        let body = answer.text().await.unwrap();
        assert!(body.contains(r#"["x-forwarded-for","127.0.0.9"]"#), "{body}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(programs[0].process.check_running().unwrap_err().to_string().contains("exit status: 0"));
    world.settles(&payer, (200, 200, 0)).await;
}
