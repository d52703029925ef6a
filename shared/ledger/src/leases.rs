//! Who is active. Times are the database's, so that nobody's clock matters.

use std::time::Duration;

use crate::{Ledger, LedgerError};

impl Ledger {
    /// Takes the lease `name` for `holder`, or prolongs it, for `ttl` from now. False: somebody else has it.
    ///
    /// # Errors
    /// When the database is away. Then count the lease as lost once `ttl` is over since it was last taken.
    pub async fn lease(&self, name: &str, holder: &str, ttl: Duration) -> Result<bool, LedgerError> {
        let sql = "-- lease
            INSERT INTO leases AS l (name, holder, expires_at)
            VALUES ($1, $2, now() + make_interval(secs => $3))
            ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
            WHERE l.holder = excluded.holder OR l.expires_at < now()
            RETURNING name";
        let taken = self.inner.database.write("lease", sql, &[&name, &holder, &ttl.as_secs_f64()]).await?;
        Ok(!taken.is_empty())
    }

    /// Gives the lease up, if `holder` has it: the next one need not wait for its end.
    ///
    /// # Errors
    /// When the database is away; then it ends by itself.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<(), LedgerError> {
        let sql = "-- release_lease
            DELETE FROM leases WHERE name = $1 AND holder = $2";
        self.inner.database.write("release_lease", sql, &[&name, &holder]).await.map(drop)
    }
}
