//! The process: it starts when the database does, says so, and ends in good order.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use testkit::postgres::Postgres;
use testkit::process::Process;
use testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::World;

struct Program {
    process: Process,
    listen: SocketAddr,
    ops: SocketAddr,
    client: Client,
}

impl Program {
    fn start(world: &World) -> Program {
        let port = || SocketAddr::from(([127, 0, 0, 1], testkit::ports::free().unwrap()));
        let (listen, ops) = (port(), port());
        let config = world.config_file(listen, ops);
        let mut command = Command::new(env!("CARGO_BIN_EXE_front"));
        let process =
            Process::spawn("front", command.arg("--config").arg(config), &world.folder().join("log")).unwrap();
        Program { process, listen, ops, client: Client::builder().no_proxy().build().unwrap() }
    }

    async fn probe(&self, path: &str) -> Option<StatusCode> {
        Some(self.client.get(format!("http://{}{path}", self.ops)).send().await.ok()?.status())
    }

    async fn becomes(&self, path: &str, status: StatusCode) {
        wait::until(path, Duration::from_secs(15), async || {
            anyhow::ensure!(self.probe(path).await == Some(status), "not {status} yet");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// A request on a connection of its own, which stays open.
    async fn ask(&self, path: &str, headers: &reqwest::header::HeaderMap) -> TcpStream {
        let mut stream = TcpStream::connect(self.listen).await.unwrap();
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        stream
    }
}

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
    program.process.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
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
