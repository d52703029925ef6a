//! Reading channels, outside of any payment.

use alloy_primitives::Address;
use channel::{Channel, ChannelId, Epoch};

use crate::rows::{self, accounts};
use crate::{Ledger, LedgerError};

/// Which channels [`Ledger::channels`] lists.
#[derive(Clone, Debug)]
pub struct ChannelFilter {
    /// Of this deployment only.
    pub deployment: Option<String>,
    /// Of this payer only.
    pub payer: Option<Address>,
    /// Also those that the chain shows as closed, or no longer shows.
    pub ended: bool,
    /// Only those whose key is above this one: the last of the page before.
    pub after: Option<ChannelId>,
    /// At most this many, at most 1 000.
    pub limit: u32,
}

impl Default for ChannelFilter {
    fn default() -> ChannelFilter {
        ChannelFilter { deployment: None, payer: None, ended: false, after: None, limit: 1_000 }
    }
}

impl Ledger {
    /// A channel with its newest epoch, as it was a moment ago.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn view(&self, channel: ChannelId) -> Result<Option<(Channel, Epoch)>, LedgerError> {
        let sql = accounts!("view", "WHERE c.id = $1 ORDER BY e.number DESC LIMIT 1");
        let found = self.inner.database.read("view", sql, &[&channel.0.as_slice()]).await?;
        found.first().map(rows::account).transpose()
    }

    /// Channels with their newest epochs, by key.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn channels(&self, filter: &ChannelFilter) -> Result<Vec<(Channel, Epoch)>, LedgerError> {
        let sql = accounts!(
            "channels",
            "WHERE ($1::text IS NULL OR c.deployment = $1) AND ($2::bytea IS NULL OR c.payer = $2)
               AND ($3 OR c.status IN ('open', 'closing')) AND c.id > $4
               AND e.number = (SELECT max(number) FROM epochs WHERE channel = c.id)
             ORDER BY c.id LIMIT $5"
        );
        let payer = filter.payer.as_ref().map(|payer| payer.as_slice());
        // Every key is above none at all, so that any page is where the index says, whatever plan the server keeps.
        let after = filter.after.as_ref().map_or(&[][..], |id| id.0.as_slice());
        let limit = i64::from(filter.limit.min(1_000));
        let params: &crate::database::Params<'_> = &[&filter.deployment, &payer, &filter.ended, &after, &limit];
        let found = self.inner.database.read("channels", sql, params).await?;
        found.iter().map(rows::account).collect()
    }
}
