//! Readiness, liveness and the environment, over HTTP as an orchestrator sees them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use runtime::{Check, Ops, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, "GET", path).await
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("listening");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

async fn status(address: SocketAddr, path: &str) -> String {
    get(address, path).await[9..12].to_owned()
}

async fn until(address: SocketAddr, path: &str, expected: &str) {
    for _ in 0..100 {
        if status(address, path).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} never answered {expected}");
}

#[tokio::test]
async fn a_process_is_ready_once_started_and_until_it_drains() {
    let healthy = Arc::new(AtomicBool::new(false));
    let seen = healthy.clone();
    let check = Check::required("ledger", move || {
        let ok = seen.load(Ordering::Relaxed);
        async move { if ok { Ok(()) } else { Err("away".to_owned()) } }
    });
    let optional = Check::informative("upstream", || async { Err("slow".to_owned()) });
    let shutdown = Shutdown::default();
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let (address, ops) =
        Ops::serve(any_port, metrics, vec![check, optional], shutdown.clone()).await.expect("a free port");

    assert_eq!(status(address, "/livez").await, "200");
    assert_eq!(status(address, "/startupz").await, "503");
    ops.started();
    assert_eq!(status(address, "/startupz").await, "200");
    assert_eq!(status(address, "/readyz").await, "503", "the ledger was never seen");

    healthy.store(true, Ordering::Relaxed);
    until(address, "/readyz", "200").await;
    healthy.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(status(address, "/readyz").await, "200", "a moment's outage empties no load balancer");
    let verbose = get(address, "/readyz?verbose").await;
    assert!(verbose.contains(r#""ledger":"away""#) && verbose.contains(r#""upstream":"slow""#), "{verbose}");

    shutdown.begin();
    assert_eq!(status(address, "/readyz").await, "503");
    assert_eq!(status(address, "/livez").await, "200", "liveness depends on nothing");
}

#[tokio::test]
async fn a_process_does_what_it_offers_when_it_is_asked_to_by_post() {
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let (address, ops) = Ops::serve(any_port, metrics, vec![], Shutdown::default()).await.expect("a free port");
    assert_eq!(ask(address, "POST", "/turn").await[9..12], *"404", "not offered yet");
    ops.add_action("turn", || async { Ok(serde_json::json!({ "turned": 1 })) });
    ops.add_action("jump", || async { Err(serde_json::json!({ "problems": ["too high"] })) });

    let turned = ask(address, "POST", "/turn").await;
    assert!(turned.starts_with("HTTP/1.1 200") && turned.ends_with(r#"{"turned":1}"#), "{turned}");
    let refused = ask(address, "POST", "/jump").await;
    assert!(refused.starts_with("HTTP/1.1 422") && refused.ends_with(r#"{"problems":["too high"]}"#), "{refused}");
    for (method, path, expected) in [("GET", "/turn", "405"), ("POST", "/turn/", "404"), ("POST", "/livez", "405")] {
        assert_eq!(ask(address, method, path).await[9..12], *expected, "{method} {path}");
    }
}
