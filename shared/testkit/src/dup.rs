//! Stands between an exchange and its queues: what a broker may do to messages, done on purpose. It doubles them, delays
//! them (and so changes their order), corrupts them and loses them, after the publisher was told that they are safe.
//!
//! The queues are taken off the exchange and a queue of ours is put in their place; what comes to it is handed on to the
//! queue it was for. Whoever binds the queues anew restores the straight way for a moment; messages come by both then.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How often the queues are taken off the exchange again.
const AGAIN: Duration = Duration::from_millis(200);

/// What is done to each message.
#[derive(Clone, Debug)]
pub struct Mischief {
    /// How often it is handed on.
    pub copies: u32,
    /// The longest that a copy is held back; each by itself, so that their order changes.
    pub delay: Duration,
    /// Whether a broken copy goes along.
    pub corrupt: bool,
    /// Every so many messages one is lost.
    pub lose_every: Option<u64>,
    /// Of the delays.
    pub seed: u64,
}

impl Default for Mischief {
    fn default() -> Self {
        Self { copies: 1, delay: Duration::ZERO, corrupt: false, lose_every: None, seed: 0 }
    }
}

/// The mischief while it lasts. Dropped, messages that are held back are lost, and nothing comes to the queues before they
/// are bound again: see [`Dup::stop`].
pub struct Dup {
    _connection: Connection,
    channel: Channel,
    exchange: String,
    lines: HashMap<String, String>,
    seen: Arc<AtomicU64>,
    running: [JoinHandle<Result<()>>; 2],
}

impl Dup {
    /// Between this exchange and these queues, each by the key that it is bound with. They must be there.
    pub async fn start(url: &str, exchange: &str, lines: &[(&str, &str)], mischief: Mischief) -> Result<Dup> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let tap = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let tap = tap.name().as_str().to_owned();
        let lines: HashMap<String, String> =
            lines.iter().map(|(key, queue)| ((*key).to_owned(), (*queue).to_owned())).collect();
        for key in lines.keys() {
            let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
            channel.queue_bind(tap.as_str().into(), exchange.into(), key.as_str().into(), options, arguments).await?;
        }
        take_off(&channel, exchange, &lines).await?;
        let seen = Arc::new(AtomicU64::new(0));
        let passing = pass_on(channel.clone(), tap, lines.clone(), mischief, seen.clone());
        let taking = keep_off(channel.clone(), exchange.to_owned(), lines.clone());
        let running = [tokio::spawn(passing), tokio::spawn(taking)];
        Ok(Dup { _connection: connection, channel, exchange: exchange.to_owned(), lines, seen, running })
    }

    /// How many messages came by.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Lets messages go their straight way again. What is held back still comes.
    pub async fn stop(self) -> Result<()> {
        self.running[1].abort();
        for (key, queue) in &self.lines {
            let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
            let (queue, exchange, key) = (queue.as_str().into(), self.exchange.as_str().into(), key.as_str().into());
            self.channel.queue_bind(queue, exchange, key, options, arguments).await?;
        }
        Ok(())
    }
}

impl Drop for Dup {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

async fn take_off(channel: &Channel, exchange: &str, lines: &HashMap<String, String>) -> Result<()> {
    for (key, queue) in lines {
        let (queue, key) = (queue.as_str().into(), key.as_str().into());
        channel.queue_unbind(queue, exchange.into(), key, FieldTable::default()).await?;
    }
    Ok(())
}

async fn keep_off(channel: Channel, exchange: String, lines: HashMap<String, String>) -> Result<()> {
    loop {
        sleep(AGAIN).await;
        take_off(&channel, &exchange, &lines).await?;
    }
}

async fn pass_on(
    channel: Channel,
    tap: String,
    lines: HashMap<String, String>,
    mischief: Mischief,
    seen: Arc<AtomicU64>,
) -> Result<()> {
    let mut random = StdRng::seed_from_u64(mischief.seed);
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut coming = channel.basic_consume(tap.as_str().into(), "".into(), options, arguments).await?;
    while let Some(delivery) = coming.next().await {
        let delivery = delivery?;
        let number = seen.fetch_add(1, Ordering::Relaxed) + 1;
        let queue = lines.get(delivery.routing_key.as_str()).context("a message for nobody")?;
        if mischief.lose_every.is_none_or(|every| !number.is_multiple_of(every)) {
            for _ in 0..mischief.copies {
                let delay = mischief.delay.mul_f64(random.random_range(0.0..=1.0));
                tokio::spawn(hand_on(channel.clone(), queue.clone(), copy(&delivery, false), delay));
            }
            if mischief.corrupt {
                tokio::spawn(hand_on(channel.clone(), queue.clone(), copy(&delivery, true), Duration::ZERO));
            }
        }
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

type Copy = (Vec<u8>, lapin::BasicProperties);

/// A broken one lacks its end.
fn copy(delivery: &Delivery, broken: bool) -> Copy {
    let length = if broken { delivery.data.len() / 2 } else { delivery.data.len() };
    (delivery.data[..length].to_vec(), delivery.properties.clone())
}

/// Straight into the queue, past the exchange.
async fn hand_on(channel: Channel, queue: String, (body, properties): Copy, delay: Duration) -> Result<()> {
    sleep(delay).await;
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), queue.as_str().into(), options, &body, properties).await?;
    Ok(())
}
