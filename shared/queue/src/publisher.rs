use std::collections::HashSet;

use futures::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use ledger::Ring;
use runtime::trace::{Kind, Span};
use tokio::time::Instant;

use crate::link::{Link, in_time};
use crate::topology::{self, EXCHANGE, Line};
use crate::{Broker, QueueError, message};

/// What the connection is called.
const NAME: &str = "relay";
/// Persistent: on disk before it is confirmed.
const PERSISTENT: u8 = 2;

/// Hands rings to the broker and has each confirmed.
pub struct Publisher {
    broker: Broker,
    link: Option<(Link, HashSet<Line>)>,
    attempt: usize,
}

impl Publisher {
    /// Connects when there is something to ring, and again after trouble.
    pub(crate) fn new(broker: Broker) -> Publisher {
        Publisher { broker, link: None, attempt: 0 }
    }

    /// Rings. Returns once the broker has them all, on disk.
    ///
    /// # Errors
    /// Some of them may have been rung; ringing again is harmless.
    pub async fn ring(&mut self, rings: &[Ring]) -> Result<(), QueueError> {
        // What is sent while the broker takes nothing would pile up here.
        let rung = if self.is_blocked() { Err(QueueError::Blocked) } else { self.connect_and_ring(rings).await };
        // A blocked connection is kept: the broker does not even see its end before it takes messages again.
        if rung.is_err() && !self.is_blocked() {
            self.link = None;
            self.attempt += 1;
        }
        self.broker.note(NAME, rung.as_ref().err());
        rung
    }

    /// How many messages wait among the dead for a person to look, while there is a connection to ask over.
    pub async fn dead(&self) -> Option<u32> {
        let (link, _) = self.link.as_ref().filter(|(link, _)| !link.is_blocked())?;
        in_time(self.broker.settings().timeout, topology::dead(&link.channel)).await.ok()
    }

    fn is_blocked(&self) -> bool {
        self.link.as_ref().is_some_and(|(link, _)| link.is_blocked())
    }

    async fn connect_and_ring(&mut self, rings: &[Ring]) -> Result<(), QueueError> {
        let at_most = self.broker.settings().timeout;
        let delivery_limit = self.broker.settings().delivery_limit;
        let (link, declared) = match &mut self.link {
            Some(open) => open,
            closed => {
                let link = Link::open(&self.broker, self.attempt, NAME).await?;
                link.channel.confirm_select(ConfirmSelectOptions::default()).await?;
                closed.insert((link, HashSet::new()))
            }
        };
        let began = Instant::now();
        in_time(at_most, publish_all(&link.channel, declared, delivery_limit, rings)).await?;
        metrics::histogram!("queue_confirm_seconds").record(began.elapsed().as_secs_f64());
        Ok(())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.broker.forget(NAME);
    }
}

async fn publish_all(
    channel: &Channel,
    declared: &mut HashSet<Line>,
    delivery_limit: u16,
    rings: &[Ring],
) -> Result<(), QueueError> {
    let mut sent = Vec::with_capacity(rings.len());
    for ring in rings {
        let line = Line { kind: ring.kind, chain_id: ring.chain_id };
        if !declared.contains(&line) {
            topology::declare(channel, line, delivery_limit).await?;
            declared.insert(line);
        }
        sent.push(publish(channel, line.key(), ring));
    }
    try_join_all(sent).await.map(drop)
}

/// A ring that comes back has no queue; one that is refused found it full.
async fn publish(channel: &Channel, key: String, ring: &Ring) -> Result<(), QueueError> {
    let (options, body) =
        (BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() }, message::write(ring.job));
    let span = traced(ring, &key);
    let properties = properties(ring, span.traceparent());
    let sent = channel.basic_publish(EXCHANGE.into(), key.as_str().into(), options, &body, properties);
    if sent.await?.await? == Confirmation::Ack(None) { Ok(()) } else { Err(QueueError::NotTaken(key)) }
}

/// Until it is confirmed, as a part of what caused it.
fn traced(ring: &Ring, key: &str) -> Span {
    let span = Span::caused(ring.trace.as_deref(), Kind::Producer, "send ring");
    span.note("messaging.system", "rabbitmq");
    span.note("messaging.operation.type", "send");
    span.note("messaging.destination.name", EXCHANGE);
    span.note("messaging.rabbitmq.destination.routing_key", key.to_owned());
    span.note("messaging.message.id", ring.job.0.to_string());
    span
}

/// `traceparent`: of the ring, if it is traced itself.
fn properties(ring: &Ring, traceparent: Option<String>) -> BasicProperties {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(ring.job.0.to_string().into());
    let Some(trace) = traceparent.or_else(|| ring.trace.clone()) else { return properties };
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongString(trace.as_str().into()));
    properties.with_headers(headers)
}
