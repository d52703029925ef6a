//! A line for each request: who, what, and what it cost. Never a signature.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use testkit::wait;
use tokio::io::AsyncWriteExt;

use crate::program::Program;
use crate::world::{FILE, Front, World};

/// The lines, once there are so many.
async fn lines(file: &Path, count: usize) -> Vec<Value> {
    let read = || -> Vec<Value> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        // The last one may be half written.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    wait::until("the lines", Duration::from_secs(5), async || {
        anyhow::ensure!(read().len() >= count, "{:?}", read());
        Ok(())
    })
    .await
    .unwrap();
    read()
}

async fn logged(world: &World) -> (Front, std::path::PathBuf) {
    let file = world.folder().join("access.log");
    (world.front_with(|config| config.front.access_log = Some(file.clone())).await, file)
}

#[tokio::test]
async fn tells_who_asked_what_and_what_was_charged() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let (front, file) = logged(&world).await;
    front.pay("/file.txt?token=secret", &payer, 10).await;
    front.get("/file.txt").await;
    front.pay("/file.txt", &payer, 10).await;
    front.get("/free.txt").await;
    front.pay("/page", &payer, 11).await;
    front.pay("/fail", &payer, 12).await;
    front.get("/nothing//here").await;
    front.request(Method::DELETE, "/file.txt").send().await.unwrap();

    let lines = lines(&file, 8).await;
    let first = &lines[0];
    assert_eq!((first["client"].as_str(), first["method"].as_str()), (Some("127.0.0.1"), Some("GET")));
    assert_eq!((first["path"].as_str(), first["route"].as_str()), (Some("/file.txt"), Some("/file.txt")));
    assert_eq!((first["status"].as_u64(), first["bytes"].as_u64()), (Some(200), Some(FILE.len() as u64)));
    assert_eq!(first["payer"].as_str(), Some(&*payer.address()));
    assert_eq!(first["channel"].as_str(), Some(&*payer.channel().to_string()));
    assert!(first["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 20_000.0));
    let time: jiff::Timestamp = first["time"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(time).abs() < jiff::SignedDuration::from_secs(60));

    let told = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} {}", line["status"], text("decision"), text("reason"), text("price"))
    };
    let told: Vec<_> = lines.iter().map(told).collect();
    assert_eq!(
        told,
        [
            "200 sold paid 10",
            "402 unpaid no_payment -",
            "402 refused replayed -",
            "200 - - -",
            "200 sold paid 1",
            "500 sold paid -",
            "400 - - -",
            "405 - - -",
        ]
    );
    let text = std::fs::read_to_string(&file).unwrap();
    let signature = payer.voucher(10)["rdn-balance-signature"].to_str().unwrap().to_owned();
    assert!(!text.contains("secret") && !text.contains(signature.trim_start_matches("0x")));
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_a_line_too() {
    let world = World::new().await;
    let (front, file) = logged(&world).await;
    let payer = world.payer(100).await;
    let mut stream = tokio::net::TcpStream::connect(front.address).await.unwrap();
    let mut request = String::from("GET /slow/700 HTTP/1.1\r\nhost: x\r\n");
    for (name, value) in &payer.voucher(1) {
        request += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    world.settles(&payer, (1, 0, 1)).await;
    drop(stream);
    let lines = lines(&file, 1).await;
    assert_eq!((lines[0]["status"].as_u64(), lines[0]["decision"].as_str()), (Some(499), Some("sold")));
    world.settles(&payer, (1, 1, 0)).await;
}

#[tokio::test]
async fn goes_on_in_a_new_file_after_a_hangup_and_is_whole_after_a_shutdown() {
    let world = World::new().await;
    let (file, moved) = (world.folder().join("access.log"), world.folder().join("access.log.1"));
    let settings = [("SLUICE_FRONT__ACCESS_LOG", file.to_str().unwrap())];
    let mut program = Program::start_with(&world, &settings);
    program.becomes("/readyz", StatusCode::OK).await;
    let get = async |path: &str| program.client.get(format!("http://{}{path}", program.listen)).send().await.unwrap();
    get("/free.txt").await;
    assert_eq!(lines(&file, 1).await.len(), 1);
    std::fs::rename(&file, &moved).unwrap();
    get("/file.txt").await;
    assert_eq!(lines(&moved, 2).await.len(), 2, "until it is told, it goes on in the file it has");

    program.process.signal(Signal::SIGHUP).unwrap();
    wait::until("the new file", Duration::from_secs(5), async || {
        get("/free.txt").await;
        anyhow::ensure!(file.exists());
        Ok(())
    })
    .await
    .unwrap();
    let before = std::fs::read_to_string(&file).unwrap().lines().count();
    for _ in 0..50 {
        get("/free.txt").await;
    }
    program.process.stop(Duration::from_secs(20)).await.unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().lines().count() >= before + 50);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_said_before_a_port_is_bound() {
    let world = World::new().await;
    let mut config = world.config("");
    config.front.access_log = Some(world.folder().join("nowhere/access.log"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = front::serve(&config, world.ledger.clone(), listener, runtime::Shutdown::default()).await;
    assert!(refused.unwrap_err().to_string().contains("access log"));
}
