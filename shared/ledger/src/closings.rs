//! Closing signatures that we gave. Asked again, the same one is given.

use channel::{Amount, ChannelId, Signature};

use crate::numeric::Numeric;
use crate::{Ledger, LedgerError, rows};

impl Ledger {
    /// Keeps a closing signature, before it is given away. If one was kept before, that one stands and is returned.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] when the one kept before is for another amount.
    pub async fn store_closing(
        &self,
        channel: ChannelId,
        amount: Amount,
        signature: Signature,
    ) -> Result<Signature, LedgerError> {
        let sql = "-- store_closing
            INSERT INTO closings (channel, amount, signature) VALUES ($1, $2, $3) ON CONFLICT (channel) DO NOTHING";
        let params: &crate::database::Params<'_> =
            &[&channel.0.as_slice(), &Numeric(amount), &signature.as_bytes().as_slice()];
        self.inner.database.write("store_closing", sql, params).await?;
        match self.closing(channel).await? {
            Some((stored, signature)) if stored == amount => Ok(signature),
            Some((stored, _)) => Err(LedgerError::Conflict(format!("a close with {stored} was signed before"))),
            None => Err(LedgerError::NotFound("closing signature")),
        }
    }

    /// The closing signature that was given, and its amount.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn closing(&self, channel: ChannelId) -> Result<Option<(Amount, Signature)>, LedgerError> {
        let sql = "-- closing
            SELECT amount, signature FROM closings WHERE channel = $1";
        let found = self.inner.database.read("closing", sql, &[&channel.0.as_slice()]).await?;
        let read = |row| Ok((rows::amount(row, 0)?, rows::signature(rows::get(row, 1)?)?));
        found.first().map(read).transpose()
    }
}
