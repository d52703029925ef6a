//! Payments a second: `cargo run --release -p ledger --example throughput [callers] [channels] [seconds]`.
//!
//! Callers charge one unit each, one payment at a time, from random channels of a throw-away PostgreSQL; every answer
//! is a durable commit. What was sold is folded afterwards; a front does it meanwhile. Vouchers are signed beforehand: signatures are the front's business.

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use channel::Step;
use common::*;
use ledger::{Ledger, Order, Settlement, When};
use rand::Rng;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse());
    let callers: u64 = arguments.next().transpose()?.unwrap_or(256);
    let channels: u64 = arguments.next().transpose()?.unwrap_or(4_096);
    let seconds: u64 = arguments.next().transpose()?.unwrap_or(5);

    let (ledger, url) = ledger_with(channels, u128::from(u64::MAX)).await;
    let vouchers: Arc<Vec<_>> = Arc::new((0..channels).map(|n| voucher(n, 1_000_000_000)).collect());
    for settle in [When::Now, When::Later] {
        let (paid, mut latencies) = run(&ledger, &vouchers, settle, callers, Duration::from_secs(seconds)).await?;
        latencies.sort_unstable();
        let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
        println!(
            "{}: {} payments/s, p50 {:?}, p99 {:?} ({callers} callers, {channels} channels)",
            if settle == When::Now { "charge" } else { "hold and capture" },
            paid / seconds,
            at(50),
            at(99),
        );
        let started = Instant::now();
        while ledger.fold_sales().await? > 0 {}
        println!("    folded in {:?}", started.elapsed());
    }
    let client = sql(&url).await;
    println!("violations: {}, unexplained sales: {}", violations(&client).await, unexplained(&client).await);
    Ok(())
}

async fn run(
    ledger: &Ledger,
    vouchers: &Arc<Vec<channel::VerifiedVoucher>>,
    settle: When,
    callers: u64,
    time: Duration,
) -> anyhow::Result<(u64, Vec<Duration>)> {
    let paid = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + time;
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (ledger, vouchers, paid) = (ledger.clone(), vouchers.clone(), paid.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < until {
                    let voucher = vouchers[rand::rng().random_range(0..vouchers.len())];
                    let started = Instant::now();
                    let order = Order { settle, terms: terms(Step::Any), ..order(voucher) };
                    let receipt =
                        ledger.sell(order).await?.map_err(|refused| anyhow::anyhow!("{}", refused.refusal))?;
                    if settle == When::Later {
                        ledger.settle(&hold_of(receipt), Settlement::Capture(amount(1))).await?;
                    }
                    latencies.push(started.elapsed());
                    paid.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    Ok((paid.load(Ordering::Relaxed), latencies))
}
