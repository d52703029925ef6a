//! Group commit alone: callers in this program ask the ledger, without HTTP and without signatures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use anyhow::{Context, Result};
use channel::{Amount, Request, RequestHash, Sold, Step, Terms, VerifiedVoucher, Voucher};
use contracts::Deployment;
use ledger::{Ledger, Order, Settings, Settlement, When};
use tokio::task::JoinSet;

use crate::load::{Answer, Tally};
use crate::payers;

/// Each channel's one voucher pays for all of its calls.
const AUTHORISED: u128 = 1 << 40;

/// Sells one unit after the other to `callers` callers at a time, for this long; what is charged later is held, and captured
/// at once.
///
/// # Errors
/// When the ledger sells nothing.
pub async fn run(
    database: &str,
    deployment: &Deployment,
    channels: usize,
    callers: usize,
    settle: When,
    time: Duration,
) -> Result<Tally> {
    let ledger = Ledger::connect(&Settings { single_node: true, ..Settings::new(database) }).await?;
    let vouchers: Arc<[VerifiedVoucher]> = vouchers(deployment, channels)?.into();
    let mut running = JoinSet::new();
    let until = Instant::now() + time;
    for caller in 0..callers {
        let (ledger, vouchers, name) = (ledger.clone(), vouchers.clone(), Arc::from(deployment.name.as_str()));
        running.spawn(async move {
            let mut tally = Tally::default();
            let mine = vouchers.iter().skip(caller).step_by(callers).cycle();
            for voucher in mine {
                let began = Instant::now();
                if began >= until {
                    break;
                }
                let order = order(voucher, &name, settle);
                let receipt = ledger.sell(order).await?.ok().context("the ledger refused to sell")?;
                if let (When::Later, Sold::New { hold, .. }) = (settle, receipt.sold) {
                    ledger.settle(&hold, Settlement::Capture(hold.amount)).await?;
                }
                tally.add(&Ok(Answer { status: 200, first_byte: Instant::now() }), began);
            }
            anyhow::Ok(tally)
        });
    }
    let mut all = Tally::default();
    while let Some(tally) = running.join_next().await {
        all.merge(&tally??)?;
    }
    ledger.close().await;
    Ok(all)
}

fn order(voucher: &VerifiedVoucher, deployment: &Arc<str>, settle: When) -> Order {
    Order {
        deployment: deployment.clone(),
        route: deployment.clone(),
        voucher: *voucher,
        price: Amount::new(1),
        terms: Terms { step: Step::Any, ..Terms::default() },
        request: Request { id: None, hash: RequestHash(B256::ZERO) },
        settle,
    }
}

fn vouchers(deployment: &Deployment, channels: usize) -> Result<Vec<VerifiedVoucher>> {
    let contract = deployment.kind.contract();
    let sign = |(key, _): (channel::Key, _)| {
        let (opening, amount) = (payers::opening(&key), Amount::new(AUTHORISED));
        let digest = contract.digest(deployment, &opening, amount);
        let channel = contract.channel_id(deployment, &opening);
        let voucher = Voucher { channel, epoch: 0, amount, signature: key.sign(digest) };
        voucher.verify(digest, key.address()).ok().context("what was just signed does not verify")
    };
    payers::keys(deployment, channels)?.into_iter().map(sign).collect()
}
