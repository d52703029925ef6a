use std::fmt;
use std::time::Duration;

use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};
use ledger::{Bell, JobId, JobKind, Ledger};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::link::{Link, in_time};
use crate::topology::{self, Line};
use crate::{Broker, QueueError, message};

/// The first and the longest pause between two attempts to reach the broker.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// What a worker is told.
#[derive(Debug)]
pub enum Call {
    /// There is this job.
    Rung(Rung),
    /// Nothing rang: look for what is due.
    Look,
}

/// A ring that was delivered. Dropped without an answer, it is delivered again once the connection is gone.
#[derive(Debug)]
pub struct Rung {
    /// The job.
    pub job: JobId,
    /// The W3C `traceparent` of who caused it.
    pub trace: Option<String>,
    delivery: Box<Delivery>,
}

/// What a worker hears, of jobs of some kinds on one chain: rings of the broker, through broken connections and restarts
/// of it; while there is none, the ledger's own.
pub struct Rings {
    broker: Option<Broker>,
    lines: Vec<Line>,
    name: String,
    bell: Bell,
    state: State,
    attempt: usize,
    pause: Duration,
}

#[derive(Debug)]
enum State {
    Away { until: Instant },
    Connecting(AbortOnDropHandle<Result<Ear, QueueError>>),
    Open(Box<Ear>),
}

/// An open connection and what comes over it.
struct Ear {
    _link: Link,
    heard: SelectAll<BoxStream<'static, Heard>>,
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear").finish_non_exhaustive()
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rings").field("name", &self.name).field("state", &self.state).finish_non_exhaustive()
    }
}

/// `None`: the broker ended this consumer.
type Heard = (Line, Option<Result<Delivery, lapin::Error>>);

impl Rings {
    /// The rings for these kinds of jobs on this chain.
    pub fn new(broker: Option<&Broker>, ledger: &Ledger, chain_id: u64, kinds: &[JobKind]) -> Rings {
        let lines: Vec<Line> = kinds.iter().map(|kind| Line { kind: *kind, chain_id }).collect();
        let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        Rings {
            broker: broker.cloned(),
            lines,
            name: format!("{}.{chain_id}", words.join("+")),
            bell: ledger.listen(kinds),
            state: State::Away { until: Instant::now() },
            attempt: 0,
            pause: BACK_OFF.0,
        }
    }

    /// The next ring; [`Call::Look`] when nothing rang for as long as `[queue]` says, and without a broker every `poll`.
    ///
    /// May be dropped at any time.
    pub async fn next(&mut self, poll: Duration) -> Call {
        let Some(broker) = self.broker.clone() else {
            self.bell.wait(poll).await;
            return Call::Look;
        };
        if matches!(self.state, State::Open(_)) {
            return timeout(broker.settings().look, self.heard(&broker)).await.unwrap_or(Call::Look);
        }
        self.attempt_to_connect(&broker);
        self.wait_without_broker(&broker, poll).await;
        Call::Look
    }

    async fn heard(&mut self, broker: &Broker) -> Call {
        while let State::Open(ear) = &mut self.state {
            let (line, delivery) = match ear.heard.next().await {
                Some((line, Some(Ok(delivery)))) => (line, delivery),
                Some((_, Some(Err(error)))) => {
                    self.lost(broker, &error.into());
                    return Call::Look;
                }
                Some((_, None)) | None => {
                    self.lost(broker, &QueueError::Cancelled);
                    return Call::Look;
                }
            };
            if let Some(job) = message::read(&delivery.data) {
                return Call::Rung(Rung { job, trace: trace(&delivery), delivery: Box::new(delivery) });
            }
            tracing::error!(line = line.key(), "a message makes no sense and is put among the dead");
            metrics::counter!("queue_unreadable_total", "kind" => line.kind.as_str()).increment(1);
            if let Err(error) = delivery.reject(BasicRejectOptions { requeue: false }).await {
                self.lost(broker, &error.into());
            }
        }
        Call::Look
    }

    fn attempt_to_connect(&mut self, broker: &Broker) {
        if matches!(self.state, State::Away { until } if until <= Instant::now()) {
            let consuming = consume(broker.clone(), self.attempt, self.lines.clone(), self.name.clone());
            self.state = State::Connecting(AbortOnDropHandle::new(tokio::spawn(consuming)));
        }
    }

    /// Until the ledger rings, or it is time to look, or to try again; or the broker is back: what was rung meanwhile was
    /// perhaps taken by nobody.
    async fn wait_without_broker(&mut self, broker: &Broker, poll: Duration) {
        match &mut self.state {
            State::Open(_) => {}
            State::Away { until } => {
                let left = until.saturating_duration_since(Instant::now());
                self.bell.wait(poll.min(left)).await;
            }
            State::Connecting(connecting) => tokio::select! {
                () = self.bell.wait(poll) => {}
                connected = connecting => match connected {
                    Ok(Ok(ear)) => {
                        tracing::info!(rings = self.name, "listening to the broker");
                        broker.note(&self.name, None);
                        (self.state, self.pause) = (State::Open(Box::new(ear)), BACK_OFF.0);
                    }
                    Ok(Err(error)) => self.lost(broker, &error),
                    Err(_) => self.lost(broker, &QueueError::Cancelled),
                },
            },
        }
    }

    fn lost(&mut self, broker: &Broker, error: &QueueError) {
        tracing::warn!(rings = self.name, error = error as &dyn std::error::Error, "no rings from the broker");
        self.state = State::Away { until: Instant::now() + self.pause };
        self.pause = (self.pause * 2).min(BACK_OFF.1);
        self.attempt += 1;
        broker.note(&self.name, Some(error));
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        if let Some(broker) = &self.broker {
            broker.forget(&self.name);
        }
    }
}

async fn consume(broker: Broker, attempt: usize, lines: Vec<Line>, name: String) -> Result<Ear, QueueError> {
    let link = Link::open(&broker, attempt, &name).await?;
    let settings = broker.settings();
    let mut heard = SelectAll::new();
    for line in lines {
        heard.push(in_time(settings.timeout, listen(&link, line, settings)).await?);
    }
    Ok(Ear { _link: link, heard })
}

async fn listen(
    link: &Link,
    line: Line,
    settings: &runtime::config::Queue,
) -> Result<BoxStream<'static, Heard>, QueueError> {
    topology::declare(&link.channel, line, settings.delivery_limit).await?;
    // Counted for each consumer by itself: jobs of one kind do not keep those of another waiting.
    link.channel.basic_qos(settings.prefetch, BasicQosOptions::default()).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let consumer = link.channel.basic_consume(line.queue().into(), "".into(), options, arguments).await?;
    Ok(consumer.map(Some).chain(stream::iter([None])).map(move |delivery| (line, delivery)).boxed())
}

fn trace(delivery: &Delivery) -> Option<String> {
    match delivery.properties.headers().as_ref()?.inner().get("traceparent")? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}

impl Rung {
    /// The job's row says what became of it: the ring is not needed any more. After the commit, never before.
    pub async fn done(self) {
        if let Err(error) = self.delivery.ack(BasicAckOptions::default()).await {
            // It is delivered again, and finds the job done.
            tracing::debug!(job.id = self.job.0, %error, "a ring could not be acknowledged");
        }
    }

    /// Nothing was done about it: deliver it again, so often as `[queue]` says.
    pub async fn again(self) {
        let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        if let Err(error) = self.delivery.nack(options).await {
            tracing::debug!(job.id = self.job.0, %error, "a ring could not be given back");
        }
    }
}
