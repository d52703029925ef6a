//! The upstream fails in every way it can, or the front dies in the middle of its answer: what was paid is charged or
//! credit again within a minute.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use channel::Amount;
use futures::future::try_join_all;
use nix::sys::signal::Signal;
use testkit::cluster::Options;
use testkit::history::{Ask, Call, Told, check};
use testkit::rounds::rounds;
use tests::ByHand;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{SETTLED, Scene, Setting, clean};

/// How an answer fails, and what comes of it for the payer. A head that arrived is worth its price.
const FAILURES: [(&str, Told); 5] = [
    ("/raw/reset", Told::Credited),
    ("/raw/broken", Told::Credited),
    ("/raw/silent", Told::Credited),
    ("/raw/half", Told::Unknown),
    ("/raw/stalls", Told::Unknown),
];
const HEAD: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 8\r\n\r\n";
/// Longer than a front waits for a head or for more of a body.
const FOR_EVER: Duration = Duration::from_secs(30);

/// An upstream that fails by path, until it is healed.
#[derive(Debug)]
struct Raw {
    address: SocketAddr,
    is_healed: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Raw {
    async fn start() -> Result<Raw> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, calls) = (listener.local_addr()?, Arc::new(Mutex::new(Vec::new())));
        let is_healed = Arc::new(AtomicBool::new(false));
        let (log, healed) = (calls.clone(), is_healed.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, log.clone(), healed.clone()));
            }
        });
        Ok(Raw { address, is_healed, calls })
    }
}

/// One request per connection. What fails here, the front finds failed.
async fn answer(
    mut stream: TcpStream,
    calls: Arc<Mutex<Vec<Call>>>,
    is_healed: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..length]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let value = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let call = Call { sale: value("sluice-request-id").unwrap_or_default(), request: value("idempotency-key") };
    calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    let path = head.split(' ').nth(1).unwrap_or_default();
    match path {
        _ if is_healed.load(Ordering::SeqCst) => stream.write_all(format!("{HEAD}all well").as_bytes()).await,
        "/raw/reset" => stream.set_zero_linger(),
        "/raw/broken" => {
            stream.write_all(b"HTTP/1.1 500 Broken\r\nconnection: close\r\ncontent-length: 6\r\n\r\nbroken").await
        }
        "/raw/half" => stream.write_all(format!("{HEAD}half").as_bytes()).await,
        "/raw/stalls" => {
            stream.write_all(format!("{HEAD}half").as_bytes()).await?;
            tokio::time::sleep(FOR_EVER).await;
            Ok(())
        }
        _ => {
            tokio::time::sleep(FOR_EVER).await;
            Ok(())
        }
    }
}

/// The payer's request of this number, with the voucher of that number: the same, unless it is repeated from credit.
async fn send(scene: &Scene, payer: &ByHand, front: usize, [number, voucher]: [u128; 2], path: &str) -> Result<Told> {
    let (request, channel) = (format!("{number} of {}", payer.channel()), payer.channel());
    let ask = Ask { request, channel, voucher: Amount::new(voucher), price: Amount::new(1) };
    scene.send(payer, front, &ask, path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_upstream_does_each_sale_is_charged_or_credit_within_a_minute() -> Result<()> {
    let raw = Raw::start().await?;
    let more = format!("\n[[front.routes]]\nprefix = \"/raw\"\nupstream = \"http://{}\"\nprice = 1\n", raw.address);
    let fronts = vec![
        ("SLUICE_FRONT__TIMEOUTS__UPSTREAM_HEAD_MS", "1000"),
        ("SLUICE_FRONT__TIMEOUTS__UPSTREAM_IDLE_MS", "1000"),
    ];
    let options = Options { fronts: 3, more, ..Options::default() };
    let mut scene = Scene::set(Setting { options, fronts, ..Setting::default() }).await?;
    let mut next = 1;
    for _ in 0..rounds(1, 20) {
        for (path, expected) in FAILURES {
            let all = scene.payers.iter().map(|payer| send(&scene, payer, 0, [next; 2], path));
            let told = try_join_all(all).await?;
            ensure!(told.iter().all(|told| *told == expected), "{path}: {told:?}");
            next += 1;
        }
    }
    // A front dies before the head came, and one in the middle of an answer.
    let all = async |front: usize, number: u128, path: &'static str, after: Duration| {
        tokio::time::sleep(after).await;
        try_join_all(scene.payers.iter().map(|payer| send(&scene, payer, front, [number; 2], path))).await
    };
    let silent = all(1, next, "/raw/silent", Duration::ZERO);
    let stalls = all(2, next + 1, "/raw/stalls", Duration::from_millis(200));
    let (silent, stalls, killed) = tokio::join!(silent, stalls, async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        for front in [1, 2] {
            scene.history.nemesis(&format!("kill -9 of front {front}"));
            scene.cluster.fronts[front].process()?.signal(Signal::SIGKILL)?;
        }
        anyhow::Ok(Instant::now())
    });
    let (silent, stalls, killed) = (silent?, stalls?, killed?);
    ensure!(silent.iter().chain(&stalls).all(|told| *told == Told::Unknown), "{silent:?} {stalls:?}");
    scene.books().await?;
    println!("every sale was charged or credit again {:?} after the fronts died", killed.elapsed());
    ensure!(killed.elapsed() <= SETTLED);
    for front in [1, 2] {
        scene.cluster.fronts[front].kill9()?;
    }

    raw.is_healed.store(true, Ordering::SeqCst);
    let credited =
        (1..next).filter(|voucher| FAILURES[usize::try_from((voucher - 1) % 5).unwrap_or(0)].1 == Told::Credited);
    let newest = next + 1;
    for number in credited {
        let path = FAILURES[usize::try_from((number - 1) % 5)?].0;
        let all = scene.payers.iter().map(|payer| send(&scene, payer, 0, [number, newest], path));
        let told = try_join_all(all).await?;
        ensure!(told.iter().all(|told| *told == Told::Served), "{path} repeated: {told:?}");
    }
    let mut books = scene.books().await?;
    books.calls.extend(raw.calls.lock().unwrap_or_else(PoisonError::into_inner).clone());
    clean(&check(&scene.history.lines(), &books).given_away_at_most(0))
}
