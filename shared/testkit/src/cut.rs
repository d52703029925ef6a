//! A TCP proxy that stands between two processes and cuts their connections at chosen moments.
//!
//! The moment that matters most is [`Fault::BeforeAnswerTo`]: the server has received and done it, the client never
//! learns. A cut is a reset, as when a machine dies; whoever was waiting gets an error, not an end of file.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How long a server that has begun to answer must be quiet before it counts as done.
const DONE: Duration = Duration::from_millis(100);

/// What to do to the bytes that pass, counted per connection from when the fault is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// New connections are reset at once, the others at their next byte.
    Refuse,
    /// Connections stand, but nothing passes any more, in either direction.
    Blackhole,
    /// Each piece, in either direction, is late by this much.
    Delay(Duration),
    /// Cut when the client has sent so many bytes, which the server still gets.
    AfterSent(usize),
    /// Cut when the client has received so many bytes.
    AfterReceived(usize),
    /// Cut when the server has received something that contains these bytes and has answered: the client gets nothing
    /// of the answer. Empty: any request.
    BeforeAnswerTo(Vec<u8>),
}

/// A running proxy. Dropped, its connections are cut.
#[derive(Debug)]
pub struct Cut {
    address: SocketAddr,
    control: Arc<Control>,
    server: JoinHandle<()>,
}

impl Cut {
    /// In front of `target`, on a free port, at first without fault.
    pub async fn start(target: SocketAddr) -> Result<Cut> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let address = listener.local_addr()?;
        let plan = Mutex::new(Plan { target, fault: Fault::None, once: false, number: 0 });
        let control = Arc::new(Control { plan, cut: watch::Sender::new(0), cuts: AtomicU64::new(0) });
        let shared = control.clone();
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, shared.clone()));
            }
        });
        Ok(Cut { address, control, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, for all connections.
    pub fn set(&self, fault: Fault) {
        self.control.set(fault, false);
    }

    /// Until it has cut one connection.
    pub fn once(&self, fault: Fault) {
        self.control.set(fault, true);
    }

    /// From now on new connections lead there; those that stand stay where they are.
    pub fn point_at(&self, target: SocketAddr) {
        self.control.plan().target = target;
    }

    /// Cuts every connection now; new ones are treated as before.
    pub fn cut_all(&self) {
        self.control.cut.send_modify(|count| *count += 1);
    }

    /// How many connections a fault has cut so far.
    pub fn cuts(&self) -> u64 {
        self.control.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.server.abort();
        self.cut_all();
    }
}

#[derive(Debug)]
struct Control {
    plan: Mutex<Plan>,
    cut: watch::Sender<u64>,
    cuts: AtomicU64,
}

#[derive(Debug)]
struct Plan {
    target: SocketAddr,
    fault: Fault,
    once: bool,
    /// Tells connections that the plan has changed, and their counts begin anew.
    number: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// What happens to a piece of data.
enum Verdict {
    Pass,
    Swallow,
    /// Pass so many bytes of it, then cut.
    Cut(usize),
    /// Swallow it and all that follows, and cut when there is no more.
    CutWhenDone,
}

/// The connection is to be cut.
struct Severed;

impl From<std::io::Error> for Severed {
    fn from(_: std::io::Error) -> Self {
        Severed
    }
}

impl Control {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, fault: Fault, once: bool) {
        let mut plan = self.plan();
        *plan = Plan { target: plan.target, fault, once, number: plan.number + 1 };
    }

    /// Counts a cut; false when this fault was meant for one connection and another came first.
    fn claim(&self, number: u64) -> bool {
        let mut plan = self.plan();
        if plan.number != number {
            return false;
        }
        self.cuts.fetch_add(1, Ordering::SeqCst);
        if plan.once {
            *plan = Plan { target: plan.target, fault: Fault::None, once: false, number: number + 1 };
        }
        true
    }
}

/// What one connection remembers of its two directions.
#[derive(Default)]
struct Link {
    asked: AtomicBool,
}

async fn connection(mut client: TcpStream, control: Arc<Control>) {
    let _ = client.set_nodelay(true);
    let (target, refused) = {
        let plan = control.plan();
        (plan.target, plan.fault == Fault::Refuse)
    };
    let server = if refused { None } else { TcpStream::connect(target).await.ok() };
    if let Some(mut server) = server {
        let _ = server.set_nodelay(true);
        let link = Link::default();
        let (client_reads, client_writes) = client.split();
        let (server_reads, server_writes) = server.split();
        let both = async {
            tokio::try_join!(
                pump(Way::ToServer, client_reads, server_writes, &control, &link),
                pump(Way::ToClient, server_reads, client_writes, &control, &link),
            )
        };
        let mut cut = control.cut.subscribe();
        let ended = tokio::select! {
            ended = both => ended.map(drop),
            _ = cut.changed() => Err(Severed),
        };
        if ended.is_ok() {
            return;
        }
        let _ = server.set_zero_linger();
    }
    let _ = client.set_zero_linger();
}

async fn pump(
    way: Way,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    control: &Control,
    link: &Link,
) -> Result<(), Severed> {
    let mut buffer = vec![0; 16 << 10];
    let (mut number, mut passed) = (0, 0);
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        let piece = &buffer[..length];
        let (fault, current) = {
            let plan = control.plan();
            (plan.fault.clone(), plan.number)
        };
        if number != current {
            (number, passed) = (current, 0);
        }
        if let Fault::Delay(time) = fault {
            sleep(time).await;
        }
        match judge(way, &fault, piece, passed, link) {
            Verdict::Cut(length) if control.claim(number) => {
                to.write_all(&piece[..length]).await?;
                sleep(DONE).await; // so that what was passed arrives before the reset overtakes it
                return Err(Severed);
            }
            Verdict::CutWhenDone if control.claim(number) => {
                while let Ok(read) = timeout(DONE, from.read(&mut buffer)).await {
                    if read? == 0 {
                        break;
                    }
                }
                return Err(Severed);
            }
            Verdict::Swallow => {}
            Verdict::Pass | Verdict::Cut(_) | Verdict::CutWhenDone => to.write_all(piece).await?,
        }
        passed += length;
    }
}

fn judge(way: Way, fault: &Fault, piece: &[u8], passed: usize, link: &Link) -> Verdict {
    match (fault, way) {
        (Fault::Refuse, _) => Verdict::Cut(0),
        (Fault::Blackhole, _) => Verdict::Swallow,
        (Fault::AfterSent(limit), Way::ToServer) | (Fault::AfterReceived(limit), Way::ToClient)
            if passed + piece.len() >= *limit =>
        {
            Verdict::Cut(limit.saturating_sub(passed))
        }
        (Fault::BeforeAnswerTo(request), Way::ToServer) => {
            if request.is_empty() || piece.windows(request.len()).any(|part| part == request) {
                link.asked.store(true, Ordering::SeqCst);
            }
            Verdict::Pass
        }
        (Fault::BeforeAnswerTo(_), Way::ToClient) if link.asked.load(Ordering::SeqCst) => Verdict::CutWhenDone,
        _ => Verdict::Pass,
    }
}
