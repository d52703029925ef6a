//! What the background is there for, done once from beginning to end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use channel::{Amount, Status};
use testkit::cluster::Cluster;
use testkit::wait;
use tests::ByHand;

use crate::world::{PATIENCE, answer, ledger};

/// What is paid on a channel of an errand.
pub const PAID: u128 = 3;
const SMALL: Amount = Amount::new(1_000);

/// Opens a channel and pays: jobs of kind `sync`.
pub async fn open_and_pay(cluster: &Cluster, index: usize) -> Result<ByHand> {
    let payer = ByHand::open(cluster, index, SMALL).await?;
    pay(cluster, &payer).await?;
    Ok(payer)
}

/// Pays for so many pages.
pub async fn pay(cluster: &Cluster, payer: &ByHand) -> Result<()> {
    for paid in 1..=PAID {
        let (status, reason) = answer(payer, &format!("{}/page", cluster.url()), Amount::new(paid)).await?;
        ensure!(status == 200, "{status} {reason}");
    }
    Ok(())
}

/// Opens a channel, pays, and asks for our signature under the close: jobs of kind `sync` and `sign`.
pub async fn close_together(cluster: &Cluster, index: usize) -> Result<Duration> {
    let began = Instant::now();
    let payer = open_and_pay(cluster, index).await?;
    let answer = payer.ask_to_close(&cluster.url(), Amount::new(PAID)).send().await?;
    ensure!(answer.status() == 200, "no signature: {answer:?}");
    Ok(began.elapsed())
}

/// Opens a channel, pays, and asks the contract to close at less: jobs of kind `sync` and `challenge`.
pub async fn close_dishonestly(cluster: &Cluster, index: usize) -> Result<()> {
    let payer = open_and_pay(cluster, index).await?;
    payer.close_alone(&cluster.chain, Amount::new(1)).await?;
    until_closed(cluster, &payer).await
}

/// Waits until all that was paid is taken on chain.
pub async fn until_closed(cluster: &Cluster, payer: &ByHand) -> Result<()> {
    let ledger = ledger(cluster).await?;
    wait::until("the answer", PATIENCE, async || {
        let (channel, _) = ledger.view(payer.channel()).await?.context("the ledger knows the channel")?;
        let facts = &channel.facts;
        ensure!(facts.status == Status::Closed, "{facts:?}");
        ensure!(facts.claimed == Amount::new(PAID), "closed at {}", facts.claimed);
        Ok(())
    })
    .await
}
