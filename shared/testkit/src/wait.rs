//! Waiting for something to become true, with a bound.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const POLL: Duration = Duration::from_millis(20);

/// Tries until it succeeds or the time is over; then the last error says why.
pub async fn until<T>(what: &str, within: Duration, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + within;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if Instant::now() >= end {
            return Err(error).with_context(|| format!("waited {within:?} for {what}"));
        }
        tokio::time::sleep(POLL).await;
    }
}
