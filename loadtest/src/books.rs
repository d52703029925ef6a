//! What was served, what was charged and what the upstream was asked for must be the same, to the unit.

use std::collections::HashMap;
use std::time::Duration;

use alloy_primitives::B256;
use anyhow::{Result, ensure};
use channel::ChannelId;
use contracts::Deployment;

use crate::payers::Payers;
use crate::stage::Stage;

/// Captures may still be on their way when the last answer is read.
const PATIENCE: Duration = Duration::from_secs(20);

/// All books at one moment.
#[derive(Debug, Default)]
pub struct Books {
    /// Authorised and spent, by channel.
    channels: HashMap<ChannelId, (u64, u64)>,
    spent: u64,
    held: u64,
    upstream_calls: u64,
}

/// Reads them.
///
/// # Errors
/// When PostgreSQL or the upstream does not answer.
pub async fn read(stage: &Stage) -> Result<Books> {
    let mut books = Books { upstream_calls: stage.upstream_calls().await?, ..Books::default() };
    let sql = "SELECT channel, authorised::int8, spent::int8, held::int8 FROM epochs WHERE authorised > 0";
    for row in stage.sql().await?.query(sql, &[]).await? {
        let [authorised, spent, held] = [1, 2, 3].map(|column| u64::try_from(row.get::<_, i64>(column)));
        let (authorised, spent) = (authorised?, spent?);
        books.channels.insert(ChannelId(B256::try_from(row.get::<_, &[u8]>(0))?), (authorised, spent));
        (books.spent, books.held) = (books.spent + spent, books.held + held?);
    }
    Ok(books)
}

/// Fails unless exactly so many answers, at a price of 1, were charged since `before`, the upstream was called for so many
/// of them, and each channel is where its payer is.
///
/// # Errors
/// What does not agree.
pub async fn agree(stage: &Stage, before: &Books, served: u64, calls: u64) -> Result<()> {
    testkit::wait::until("the books to agree", PATIENCE, async || {
        let after = read(stage).await?;
        let (charged, called) = (after.spent - before.spent, after.upstream_calls - before.upstream_calls);
        ensure!(after.held == 0, "{} are still held", after.held);
        ensure!(charged == served, "{served} were served, and {charged} charged");
        ensure!(called == calls, "{calls} calls were sold, and the upstream was called {called} times");
        at_one(&stage.exact, &stage.deployments[0], &after)?;
        Ok(())
    })
    .await
}

/// Whether each channel of these payers is authorised and charged for what its payer signed and got.
fn at_one(payers: &Payers, deployment: &Deployment, books: &Books) -> Result<()> {
    for (channel, balance) in payers.balances(deployment) {
        let (authorised, spent) = books.channels.get(&channel).copied().unwrap_or_default();
        ensure!(
            authorised == balance && spent == balance,
            "{channel}: its payer paid {balance}, the ledger has {authorised} authorised and {spent} spent"
        );
    }
    Ok(())
}
