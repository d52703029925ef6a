//! A connection on which anything can be said, and how the answer is read.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Hears;
use crate::world::{Front, Payer, World};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a whole answer: time for a second one, which there must not be.
const ENCORE: Duration = Duration::from_millis(20);

/// A front, and somebody who goes on paying whatever others send.
pub struct Bench {
    pub world: World,
    pub front: Front,
    pub payer: Payer,
    customer: Payer,
    paid: u128,
    failures: Vec<String>,
}

impl Bench {
    pub async fn new(change: impl FnOnce(&mut runtime::Config)) -> Bench {
        let world = World::new().await;
        let front = world.front_with(change).await;
        Bench::at(world, front).await
    }

    /// A front with more routes; `UPSTREAM` stands for the upstream's URL.
    pub async fn selling(routes: &str) -> Bench {
        let world = World::new().await;
        let front = world.front_selling(&routes.replace("UPSTREAM", &world.upstream.url())).await;
        Bench::at(world, front).await
    }

    async fn at(world: World, front: Front) -> Bench {
        let (payer, customer) = (world.payer(1000).await, world.payer(1_000_000).await);
        Bench { world, front, payer, customer, paid: 0, failures: Vec::new() }
    }

    /// Sends pieces with a pause between them, and notes it if the answer is another or the front is not there any more.
    pub async fn expects(&mut self, what: &str, pieces: &[Vec<u8>], pause: Duration, hears: Hears) {
        let heard = said(&say(&self.front, pieces, pause).await);
        self.notes(what, &format!("{hears:?}"), &heard).await;
    }

    /// Notes an answer that is not the expected one.
    pub async fn notes(&mut self, what: &str, expected: &str, heard: &str) {
        if heard != expected {
            self.failures.push(format!("{what}: expected {expected}, heard {heard}"));
        }
        self.paid += 1;
        let paid = self.front.pay("/page", &self.customer, self.paid).await;
        assert_eq!(paid.status(), 200, "{what}: the front does not serve any more");
    }

    /// Every row was answered as its table says, and nothing was charged to who sent them.
    pub async fn done(self) {
        assert!(self.failures.is_empty(), "\n{}\n", self.failures.join("\n"));
        assert_eq!(self.world.books(&self.payer).await, (0, 0, 0));
    }
}

/// Text as it goes over the wire: a line's end is CR LF, and a character below U+0100 is one byte.
pub fn lines(text: &str) -> Vec<u8> {
    let bytes = |c: char| if c == '\n' { vec![b'\r', b'\n'] } else { exactly(&c.to_string()) };
    text.chars().flat_map(bytes).collect()
}

/// Text as it stands: a character below U+0100 is one byte.
pub fn exactly(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("tables have no other characters")).collect()
}

/// Everything the front says to these pieces.
async fn say(front: &Front, pieces: &[Vec<u8>], pause: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            tokio::time::sleep(pause).await;
        }
        let (piece, ends) = piece.strip_suffix(b"EOF").map_or((piece.as_slice(), false), |piece| (piece, true));
        if stream.write_all(piece).await.is_err() {
            break; // it has heard enough
        }
        if ends {
            stream.shutdown().await.unwrap();
        }
    }
    let mut heard = Vec::new();
    let mut patience = PATIENCE;
    loop {
        let mut buffer = [0; 4096];
        match tokio::time::timeout(patience, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return heard,
            Ok(Ok(length)) => heard.extend_from_slice(&buffer[..length]),
            Err(_) if is_whole(&heard) => return heard,
            Err(_) => return b"nothing, and no hanging up".to_vec(),
        }
        patience = if is_whole(&heard) { ENCORE } else { PATIENCE };
    }
}

/// Whether the first answer is complete.
fn is_whole(heard: &[u8]) -> bool {
    let heard = String::from_utf8_lossy(heard);
    let Some((head, body)) = heard.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    length.is_none_or(|length| body.len() >= length)
}

/// What was heard, in the words of the tables.
fn said(heard: &[u8]) -> String {
    if heard.is_empty() {
        return format!("{:?}", Hears::Hangup);
    }
    let heard = String::from_utf8_lossy(heard);
    if heard.matches("HTTP/1.").count() != 1 {
        return format!("not one answer: {heard}");
    }
    let (head, body) = heard.split_once("\r\n\r\n").unwrap_or((&heard, ""));
    let status: u16 = head[9..12].parse().unwrap();
    let json = serde_json::from_str::<serde_json::Value>(body).unwrap_or_default();
    let failures: Vec<_> = FAILURES.into_iter().filter(|name| head.contains(&format!("\r\n{name}: "))).collect();
    if status == 402 && body.is_empty() {
        format!("Refused({:?})", failures.join(" "))
    } else if let Some(reason) = json["reason"].as_str() {
        format!("Fault({status}, {reason:?})")
    } else if let Some(text) = json.as_str() {
        format!("Says({status}, {text:?})")
    } else if body.is_empty() {
        format!("Bare({status})")
    } else {
        format!("Body({status}, {body:?})")
    }
}

const FAILURES: [&str; 4] =
    ["rdn-nonexisting-channel", "rdn-insufficient-confirmations", "rdn-invalid-balance-proof", "rdn-invalid-amount"];
