//! Against a real RabbitMQ and a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod durable;
mod mischief;
mod rings;
mod tls;
mod trouble;
