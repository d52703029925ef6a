//! Floods that nobody pays for: who pays is served all the same, and memory stays flat.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use reqwest::header::HeaderMap;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::program::Program;
use crate::world::{Payer, World};

/// Connections of a flood, and requests that one sends before it listens.
const CONNECTIONS: usize = 8;
const AT_ONCE: usize = 50;
/// What memory may grow by, in KiB, whatever was sent: caches and pools that fill.
const FLAT: u64 = 8 << 10;

/// A front that believes the requests of this machine on who they are from.
async fn front(world: &World, settings: &[(&str, &str)]) -> Program {
    let trusting = ("SLUICE_FRONT__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    let settings = [&[trusting, ("RUST_LOG", "warn")], settings].concat();
    let program = Program::start_with(world, &settings);
    program.becomes("/readyz", reqwest::StatusCode::OK).await;
    program
}

/// The memory that a process has in use, in KiB.
fn memory(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A connection on which many requests are sent at once.
struct Hose {
    stream: BufReader<TcpStream>,
}

impl Hose {
    async fn open(address: SocketAddr) -> Hose {
        Hose { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) }
    }

    /// Sends these requests and reads as many answers: their statuses.
    async fn send(&mut self, requests: &[String]) -> Vec<u16> {
        self.stream.write_all(requests.concat().as_bytes()).await.unwrap();
        let mut statuses = Vec::new();
        for _ in requests {
            statuses.push(self.answer().await);
        }
        statuses
    }

    async fn answer(&mut self) -> u16 {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            assert!(self.stream.read_line(&mut head).await.unwrap() > 0, "hung up on");
            if let Some(said) = head[start..].strip_prefix("content-length: ") {
                length = said.trim_end().parse().unwrap();
            }
        }
        self.stream.read_exact(&mut vec![0; length]).await.unwrap();
        head[9..12].parse().unwrap()
    }
}

/// A GET, with these headers, from this client.
fn get(path: &str, client: IpAddr, headers: &HeaderMap) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap())).collect();
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {client}\r\n{headers}\r\n")
}

/// Sends `count` requests, as `request` makes them, over some connections; counts the answers by status.
async fn flood(address: SocketAddr, count: usize, request: impl Fn(usize) -> String + Copy) -> Vec<(u16, usize)> {
    let part = async |part: usize| {
        let mut hose = Hose::open(address).await;
        let numbers: Vec<usize> = (part..count).step_by(CONNECTIONS).collect();
        let mut statuses = Vec::new();
        for numbers in numbers.chunks(AT_ONCE) {
            statuses.extend(hose.send(&numbers.iter().map(|n| request(*n)).collect::<Vec<_>>()).await);
        }
        statuses
    };
    let mut statuses = join_all((0..CONNECTIONS).map(part)).await.concat();
    statuses.sort_unstable();
    statuses.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect()
}

/// A payment that nobody signed.
fn forged(payer: &Payer) -> HeaderMap {
    let mut signature = [0x11; 65];
    signature[64] = 27;
    payer.headers("1", &signature)
}

fn client(number: usize) -> IpAddr {
    IpAddr::from((0x0100_0000 + u32::try_from(number).unwrap()).to_be_bytes())
}

const ATTACKER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 66));
const CUSTOMER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));

#[tokio::test]
async fn who_never_pays_costs_no_memory() {
    let world = World::new().await;
    let front = front(&world, &[]).await;
    let unpaid = |n: usize| get(&format!("/page/{n}?{n}"), client(n % 5), &HeaderMap::new());
    flood(front.listen, 5_000, unpaid).await;
    let before = memory(&front);
    assert_eq!(flood(front.listen, 60_000, unpaid).await, [(402, 60_000)]);
    let grown = memory(&front).saturating_sub(before);
    assert!(grown < FLAT, "{before} KiB and {grown} more");
}

#[tokio::test]
async fn forged_payments_of_one_client_leave_the_others_served() {
    let world = World::new().await;
    let (payer, victim) = (world.payer(100_000).await, world.payer(100).await);
    let front = front(&world, &[]).await;
    let stop = AtomicBool::new(false);
    let paying = async {
        let (mut hose, mut paid) = (Hose::open(front.listen).await, 0);
        while !stop.load(Ordering::Relaxed) || paid < 50 {
            paid += 1;
            let request = get("/page", CUSTOMER, &payer.voucher(paid));
            assert_eq!(hose.send(&[request]).await, [200], "the {paid}th payment");
        }
        paid
    };
    let before = memory(&front);
    let flooding = async {
        let answers = flood(front.listen, 20_000, |_| get("/page", ATTACKER, &forged(&victim))).await;
        stop.store(true, Ordering::Relaxed);
        answers
    };
    let (paid, answers) = tokio::join!(paying, flooding);
    let [(402, looked_at), (429, turned_away)] = answers[..] else { panic!("{answers:?}") };
    assert!(looked_at < 1_000 && turned_away > 19_000, "{answers:?}");
    world.settles(&payer, (paid, paid, 0)).await;
    assert_eq!(world.books(&victim).await, (0, 0, 0));
    let grown = memory(&front).saturating_sub(before);
    assert!(grown < FLAT, "{before} KiB and {grown} more");
}

#[tokio::test]
async fn next_door_to_a_forger_who_paid_lately_still_pays_and_who_did_not_waits() {
    let world = World::new().await;
    let (known, newcomer, victim) = (world.payer(100).await, world.payer(100).await, world.payer(100).await);
    // Nothing comes back within the test.
    let few = [("SLUICE_FRONT__BUDGET__PER_MINUTE", "1"), ("SLUICE_FRONT__BUDGET__BURST", "20")];
    let front = front(&world, &few).await;
    let mut hose = Hose::open(front.listen).await;
    let paid = get("/page", ATTACKER, &known.voucher(1));
    assert_eq!(hose.send(&[paid]).await, [200]);
    let answers = flood(front.listen, 500, |_| get("/page", ATTACKER, &forged(&victim))).await;
    let [(402, 20..30), (429, _)] = answers[..] else { panic!("{answers:?}") };
    for amount in 2..10 {
        assert_eq!(hose.send(&[get("/page", ATTACKER, &known.voucher(amount))]).await, [200]);
    }
    assert_eq!(hose.send(&[get("/page", ATTACKER, &newcomer.voucher(1))]).await, [429]);
    assert_eq!(hose.send(&[get("/page", CUSTOMER, &newcomer.voucher(1))]).await, [200]);
}

#[tokio::test]
async fn a_client_that_is_sent_away_hears_when_to_come_back() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let change = |config: &mut runtime::Config| {
        config.front.budget = runtime::config::Budget { per_minute: 1, burst: 1 };
    };
    let front = world.front_with(change).await;
    for _ in 0..2 {
        let answer = front.request(reqwest::Method::GET, "/page").headers(forged(&payer)).send().await.unwrap();
        assert_eq!(answer.status(), 402);
    }
    let answer = front.pay("/page", &payer, 1).await;
    assert_eq!(crate::world::fault(answer).await, (429, "too_many_checks".to_owned(), true));
    assert_eq!(world.books(&payer).await, (0, 0, 0));
}

#[tokio::test]
async fn payments_for_channels_that_are_not_there_are_looked_into_so_often_and_not_more() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let strangers = join_all((0..600).map(|_| world.stranger())).await;
    let vouchers: Vec<HeaderMap> = strangers.iter().map(|stranger| stranger.voucher(1)).collect();
    let settings = [("SLUICE_FRONT__TIMEOUTS__SYNC_MS", "20"), ("SLUICE_FRONT__BUDGET__PER_MINUTE", "1")];
    let front = front(&world, &settings).await;
    let answers = flood(front.listen, vouchers.len(), |n| get("/page", ATTACKER, &vouchers[n])).await;
    let [(402, looked_at), (429, _)] = answers[..] else { panic!("{answers:?}") };
    assert!((120..=120 + CONNECTIONS).contains(&looked_at), "{looked_at}");
    let jobs = world.open_jobs("sync").await;
    assert!(jobs <= looked_at, "{jobs} jobs");
    assert_eq!(Hose::open(front.listen).await.send(&[get("/page", CUSTOMER, &payer.voucher(1))]).await, [200]);
}

#[tokio::test]
async fn forgers_at_many_addresses_naming_many_channels_cost_no_memory() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let front = front(&world, &[]).await;
    let headers = forged(&payer);
    let forge = |n: usize| {
        let mut headers = headers.clone();
        headers.insert("rdn-sender-address", format!("0x{n:040x}").parse().unwrap());
        get("/page", client(n), &headers)
    };
    flood(front.listen, 1_000, forge).await;
    let before = memory(&front);
    assert_eq!(flood(front.listen, 20_000, |n| forge(n + 1_000)).await, [(402, 20_000)]);
    let grown = memory(&front).saturating_sub(before);
    assert!(grown < FLAT, "{before} KiB and {grown} more");
    assert_eq!(Hose::open(front.listen).await.send(&[get("/page", CUSTOMER, &payer.voucher(1))]).await, [200]);
}
