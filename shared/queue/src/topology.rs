//! What there is on the broker, in one place.
//!
//! ```text
//! exchange sluice (direct) ── <kind>.<chain> ──▶ quorum queue sluice.<kind>.<chain>
//!                                                      │ unreadable, or delivered too often
//!                                                      ▼
//! exchange sluice.dead (fanout) ───────────────▶ quorum queue sluice.dead
//! ```
//! Quorum queues, because a ring that was confirmed should survive a node; dead-lettered at least once, because what
//! cannot be read is to be looked at by a person.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use crate::QueueError;
use ledger::JobKind;

/// Where jobs of a kind on a chain are rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// The kind of job.
    pub kind: JobKind,
    /// The chain.
    pub chain_id: u64,
}

/// The exchange that rings go through.
pub(crate) const EXCHANGE: &str = "sluice";
const DEAD: &str = "sluice.dead";
/// Rings that a line keeps; beyond it the broker refuses more, and the sweep rings later.
const LENGTH_MAX: i32 = 100_000;

impl Line {
    /// How rings find it.
    pub(crate) fn key(&self) -> String {
        format!("{}.{}", self.kind.as_str(), self.chain_id)
    }

    /// Its queue.
    pub(crate) fn queue(&self) -> String {
        format!("{EXCHANGE}.{}", self.key())
    }
}

/// Makes sure of a line, and of where its dead go. What is there already in this form is left alone.
pub(crate) async fn declare(channel: &Channel, line: Line, delivery_limit: u16) -> Result<(), lapin::Error> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Direct, durable, FieldTable::default()).await?;
    channel.exchange_declare(DEAD.into(), ExchangeKind::Fanout, durable, FieldTable::default()).await?;
    queue(channel, DEAD, quorum()).await?;
    bind(channel, DEAD, DEAD, "").await?;

    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(delivery_limit.into()));
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(DEAD.into()));
    arguments.insert("x-dead-letter-strategy".into(), AMQPValue::LongString("at-least-once".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(LENGTH_MAX));
    queue(channel, &line.queue(), arguments).await?;
    bind(channel, &line.queue(), EXCHANGE, &line.key()).await
}

/// How many messages are among the dead.
pub(crate) async fn dead(channel: &Channel) -> Result<u32, QueueError> {
    let look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    Ok(channel.queue_declare(DEAD.into(), look, FieldTable::default()).await?.message_count())
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    // Dead-lettering at least once asks for it.
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments
}

async fn queue(channel: &Channel, name: &str, arguments: FieldTable) -> Result<(), lapin::Error> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), durable, arguments).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), lapin::Error> {
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue.into(), exchange.into(), key.into(), options, arguments).await
}
