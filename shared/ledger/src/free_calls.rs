//! What clients get for nothing, counted across all fronts. Times are the database's.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::{Ledger, LedgerError, rows};

/// How long free calls are counted together. Hours and days of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From minute 0 on.
    Hour,
    /// From midnight on.
    Day,
}

/// Whether a client had a free call left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeCall {
    /// It had, and has so many more.
    Granted {
        /// In this window.
        left: u32,
    },
    /// It had not.
    Exhausted {
        /// Until the next window.
        ends_in: Duration,
    },
}

impl Window {
    const fn unit(self) -> (&'static str, i32) {
        match self {
            Window::Hour => ("hour", 1),
            Window::Day => ("day", 24),
        }
    }
}

impl Ledger {
    /// Counts a free call of `client` under this name, unless it had `most` in this window already.
    ///
    /// # Errors
    /// When the database is away; it may be counted. Serve nothing for it.
    pub async fn take_free_call(
        &self,
        name: &str,
        client: IpAddr,
        window: Window,
        most: u32,
    ) -> Result<FreeCall, LedgerError> {
        let (unit, hours) = window.unit();
        // $1 name, $2 client, $3 hour or day, $4 its hours, $5 most
        let sql = "-- take_free_call
            WITH this AS (
                SELECT date_trunc($3, now(), 'UTC') AS starts_at,
                       date_trunc($3, now(), 'UTC') + make_interval(hours => $4) AS ends_at
            ), taken AS (
                INSERT INTO free_calls AS f (name, client, starts_at, ends_at, used)
                SELECT $1, $2, starts_at, ends_at, 1 FROM this
                ON CONFLICT (name, client, starts_at) DO UPDATE SET used = f.used + 1 WHERE f.used < $5
                RETURNING used
            )
            SELECT (SELECT used FROM taken), greatest(extract(epoch FROM ends_at - clock_timestamp()), 0)::float8
            FROM this";
        let params: &[&(dyn postgres_types::ToSql + Sync)] = &[&name, &client, &unit, &hours, &i64::from(most)];
        let row = self.inner.database.write("take_free_call", sql, params).await?;
        let row = row.first().ok_or_else(|| LedgerError::corrupt(&"no window"))?;
        match rows::get::<Option<i64>>(row, 0)? {
            Some(used) => {
                let left = u32::try_from(i64::from(most).saturating_sub(used)).unwrap_or(0);
                Ok(FreeCall::Granted { left })
            }
            None => Ok(FreeCall::Exhausted { ends_in: Duration::from_secs_f64(rows::get(row, 1)?) }),
        }
    }
}
