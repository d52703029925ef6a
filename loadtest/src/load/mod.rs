//! The load itself: connections that send what was signed ahead, and what came of it.
//!
//! ```text
//! closed loop   each connection sends its next request when the last one is answered: how much can be had
//! open loop     requests are due at times of their own, whoever is still busy: how long payers wait
//! ```
//! In an open loop a request's time counts from when it was *due*, not from when a connection was free to send it: what
//! waits behind a slow answer is slow, too (no coordinated omission).
//!
//! One thread does all of it, so that what it costs beside the servers on the same machine is small and known.

mod connection;
mod http2;
mod pace;
mod supply;
mod tally;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::LocalSet;

use self::connection::Connection;
use self::pace::Due;

pub use self::connection::Answer;
pub use self::pace::Pace;
pub use self::supply::{Lines, Request, Supply};
pub use self::tally::Tally;

/// Time for servers and connections to get going, which is not counted.
const WARM_UP: Duration = Duration::from_millis(500);

/// Where honest payers are.
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How requests go to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// On connections of their own.
    Http1,
    /// So many side by side on each connection.
    Http2 {
        /// How many.
        streams: usize,
    },
}

/// One measurement.
pub struct Load {
    /// Where to; connections are spread over them.
    pub targets: Vec<SocketAddr>,
    /// How many connections, all kept alive, or so many streams.
    pub connections: usize,
    /// Which of both.
    pub wire: Wire,
    /// The address they come from: each is a client of its own to a front.
    pub from: IpAddr,
    /// When requests are sent.
    pub pace: Pace,
    /// For how long, after the warm-up.
    pub time: Duration,
    /// What is sent.
    pub supply: Supply,
}

/// What came of it.
pub struct Outcome {
    /// Answers and their times, without the warm-up.
    pub tally: Tally,
    /// Answers of the warm-up: they were paid for, too.
    pub warm_up: Tally,
    /// From the end of the warm-up to the last answer.
    pub took: Duration,
    /// What was not sent.
    pub left: Supply,
}

impl Load {
    /// Runs it in a thread of its own; `measure` is called at the end of the warm-up, and again at the end.
    ///
    /// # Errors
    /// When no connection can be made, or the supply ends before the time does.
    pub async fn run<M>(self, mut measure: impl FnMut() -> Result<M> + Send + 'static) -> Result<(Outcome, [M; 2])>
    where
        M: Send + 'static,
    {
        let (done, outcome) = tokio::sync::oneshot::channel();
        thread::Builder::new().name("load".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let ran = runtime
                .map_err(anyhow::Error::from)
                .and_then(|runtime| LocalSet::new().block_on(&runtime, self.run_here(&mut measure)));
            let _ = done.send(ran);
        })?;
        outcome.await.context("the thread of the load ended early")?
    }

    async fn run_here<M>(self, measure: &mut impl FnMut() -> Result<M>) -> Result<(Outcome, [M; 2])> {
        let Load { targets, connections, wire, from, pace, time, supply } = self;
        let mut open = Vec::with_capacity(connections);
        for target in targets.iter().cycle() {
            match wire {
                Wire::Http1 => open.push(Link::Http1(Connection::open(from, *target).await?)),
                Wire::Http2 { streams } => {
                    open.extend(http2::open(from, *target, streams).await?.into_iter().map(Link::Http2))
                }
            }
            if open.len() >= connections {
                break;
            }
        }
        let began = Instant::now();
        let (counts_from, until) = (began + WARM_UP, began + WARM_UP + time);
        let due = Arc::new(Due::new(&pace, began, until)?);
        let sums = Rc::new(RefCell::new((Tally::default(), Tally::default())));
        let supply = Rc::new(RefCell::new(supply));
        let mut running = Vec::with_capacity(connections);
        for (number, mut link) in open.into_iter().enumerate() {
            let (due, sums, supply) = (due.clone(), sums.clone(), supply.clone());
            running.push(tokio::task::spawn_local(async move {
                while let Some(at) = due.next().await {
                    let request = supply.borrow_mut().next(number).context("what was signed ahead did not last")?;
                    let answer = link.exchange(&request.bytes).await;
                    let mut sums = sums.borrow_mut();
                    let tally = if at < counts_from { &mut sums.0 } else { &mut sums.1 };
                    tally.add(&answer, at);
                    if !answer.is_ok_and(|answer| answer.serves()) {
                        supply.borrow_mut().take_back(number, request);
                    }
                }
                anyhow::Ok(())
            }));
        }
        tokio::time::sleep_until(counts_from.into()).await;
        let first = measure()?;
        for task in running {
            task.await??;
        }
        let took = counts_from.elapsed();
        let last = measure()?;
        let (warm_up, tally) = sums.take();
        Ok((Outcome { tally, warm_up, took, left: supply.take() }, [first, last]))
    }
}

/// Where one request at a time goes.
enum Link {
    Http1(Connection),
    Http2(http2::Place),
}

impl Link {
    async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        match self {
            Link::Http1(connection) => connection.exchange(request).await,
            Link::Http2(place) => place.exchange(request).await,
        }
    }
}
