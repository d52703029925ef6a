//! What the chain and the ledger say about who has what.

use alloy_primitives::U256;
use anyhow::{Context, Result};
use tokio_postgres::NoTls;

use crate::cluster::{Cluster, PAYER};

/// Everybody's books at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Books {
    /// On chain.
    payer: U256,
    /// On chain.
    payee: U256,
    /// In the ledger.
    spent: U256,
    /// In the ledger.
    claimed: U256,
    /// In the ledger.
    pub(super) open_channels: i64,
}

impl Books {
    pub(super) async fn read(cluster: &Cluster) -> Result<Books> {
        let (client, connection) = tokio_postgres::connect(&cluster.database, NoTls).await?;
        let connection = tokio::spawn(connection);
        let sql = "-- demo_books
            SELECT (SELECT COALESCE(sum(spent + held), 0)::text FROM epochs),
                   (SELECT COALESCE(sum(claimed), 0)::text FROM channels),
                   (SELECT count(*) FROM channels WHERE status <> 'closed')";
        let row = client.query_one(sql, &[]).await?;
        drop(client);
        connection.await??;
        let amount = |column: usize| row.get::<_, &str>(column).parse().context("the ledger holds no amount");
        let contracts = &cluster.contracts;
        Ok(Books {
            payer: contracts.balance(&cluster.chain, contracts.accounts[PAYER]).await?,
            payee: contracts.balance(&cluster.chain, contracts.payee).await?,
            spent: amount(0)?,
            claimed: amount(1)?,
            open_channels: row.get(2),
        })
    }

    /// What was sold and is not claimed.
    pub(super) fn unclaimed(&self) -> U256 {
        self.spent.saturating_sub(self.claimed)
    }

    /// What was claimed since.
    pub(super) fn claimed_since(&self, before: &Books) -> U256 {
        self.claimed.saturating_sub(before.claimed)
    }

    /// What was paid since, as each of the books tells it.
    pub(super) fn compare(&self, after: &Books) -> Vec<(&'static str, U256)> {
        println!("Tokens on chain        {:>18} {:>18}", "before", "after");
        println!("    {:<18} {:>18} {:>18}", "the payer", self.payer, after.payer);
        println!("    {:<18} {:>18} {:>18}\n", "the payee", self.payee, after.payee);
        vec![
            ("the chain: the payer has less", self.payer.saturating_sub(after.payer)),
            ("the chain: the payee has more", after.payee.saturating_sub(self.payee)),
            ("the ledger: charged, or held for a call", after.spent - self.spent),
            ("the ledger: claimed, as seen on chain", after.claimed_since(self)),
        ]
    }
}
