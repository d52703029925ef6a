//! Until when fronts may sell on a deployment: as long as the watcher knows its chain, and the wallet could answer a close.

use std::time::{Duration, SystemTime};

use channel::{Amount, Horizon};

use crate::{Fence, Ledger, LedgerError, rows};

/// A deployment's horizon, by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Safety {
    /// The deployment.
    pub deployment: String,
    /// How much is left of it now.
    pub horizon: Horizon,
    /// When the watcher's word ends,
    pub safe_until: Option<SystemTime>,
    /// and the wallet's.
    pub clear_until: Option<SystemTime>,
    /// Why it is no longer followed; `None` while it is.
    pub halted: Option<String>,
    /// What all its channels owe, as it was last summed up.
    pub exposure: Option<Amount>,
}

impl Ledger {
    /// How safe it is to sell on each deployment, by their names.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn safety(&self) -> Result<Vec<Safety>, LedgerError> {
        let sql = "-- safety
            SELECT d.id, d.safe_until, d.clear_until, c.halted,
                   floor(extract(epoch FROM d.safe_until - clock_timestamp()))::int8,
                   floor(extract(epoch FROM d.clear_until - clock_timestamp()))::int8, d.exposure
            FROM deployments d LEFT JOIN cursors c ON c.deployment = d.id ORDER BY d.id";
        let found = self.inner.database.read("safety", sql, &[]).await?;
        let safety = |row| {
            let halted: Option<String> = rows::get(row, 3)?;
            let horizon = Horizon { watcher: rows::get(row, 4)?, wallet: rows::get(row, 5)?, halted: halted.is_some() };
            Ok(Safety {
                deployment: rows::get(row, 0)?,
                horizon,
                safe_until: rows::get(row, 1)?,
                clear_until: rows::get(row, 2)?,
                halted,
                exposure: rows::optional_amount(row, 6)?,
            })
        };
        found.iter().map(safety).collect()
    }

    /// The wallet's all-clear: fronts may sell on this deployment for so long from now. False: the lease is not ours, and
    /// nothing was written.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn clear(&self, fence: &Fence, deployment: &str, lasts: Duration) -> Result<bool, LedgerError> {
        let sql = "-- clear
            UPDATE deployments SET clear_until = clock_timestamp() + make_interval(secs => $4)
            WHERE id = $3
              AND EXISTS (SELECT FROM leases WHERE name = $1 AND holder = $2 AND expires_at > clock_timestamp())
            RETURNING id";
        let params: &crate::database::Params<'_> = &[&fence.lease, &fence.holder, &deployment, &lasts.as_secs_f64()];
        Ok(!self.inner.database.write("clear", sql, params).await?.is_empty())
    }

    /// Sums up what all channels of a deployment owe, for sales that are limited by it. One front does it for all, every few
    /// seconds.
    ///
    /// # Errors
    /// When the database is away. After a minute without a sum, nothing is sold that would add to it.
    pub async fn tally(&self, deployment: &str) -> Result<(), LedgerError> {
        // The statement's time is before its snapshot: what was committed before that time is in the sum.
        let sql = "-- tally
            UPDATE deployments SET exposure_at = statement_timestamp(), exposure = (
                SELECT LEAST(COALESCE(sum(GREATEST(e.authorised - c.claimed, 0)), 0), 340282366920938463463374607431768211455)
                FROM channels c JOIN epochs e ON e.channel = c.id
                WHERE c.deployment = $1 AND c.status IN ('open', 'closing')
                  AND NOT EXISTS (SELECT FROM epochs n WHERE n.channel = e.channel AND n.number > e.number)
            ) WHERE id = $1";
        self.inner.database.write("tally", sql, &[&deployment]).await.map(drop)
    }
}
