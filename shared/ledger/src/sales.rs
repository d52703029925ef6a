//! What was sold, by route, payer and day.
//!
//! ```text
//! a batch of payments ─► one row of `sales_log`, in the same commit          append-only: no row that all payments want
//!                             │ fold_sales: taken away and added, in one statement
//!                             ▼
//!                         `sales`, by day, deployment, route and payer       kept for ever
//! ```
//! Reading adds what is not folded yet, in one snapshot, so it is exact at any moment, and *invariant:* the sum of all sales
//! is the sum of `spent` over all epochs. For that, what was claimed without a voucher of ours, or sold before sales were
//! noted, stands there with no route and no calls.

use alloy_primitives::Address;
use channel::Amount;
use jiff::civil::Date;
use tokio_postgres::Row;

use crate::database::Params;
use crate::{Ledger, LedgerError, metric, rows};

/// Which sales [`Ledger::sales`] sums up, and how. Amounts of different deployments are never added.
#[derive(Clone, Debug, Default)]
pub struct SalesQuery {
    /// Of this deployment only.
    pub deployment: Option<String>,
    /// From this day on. Days are of UTC, by the database's clock.
    pub from: Option<Date>,
    /// Up to this day, which is included.
    pub to: Option<Date>,
    /// One line for each day.
    pub by_day: bool,
    /// One line for each route.
    pub by_route: bool,
    /// One line for each payer.
    pub by_payer: bool,
}

/// A line of [`Ledger::sales`]. What is not told apart is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sales {
    /// The day, of UTC.
    pub day: Option<Date>,
    /// The deployment, and with it the token.
    pub deployment: String,
    /// The route's name; empty for what was not sold on any.
    pub route: Option<String>,
    /// Who paid.
    pub payer: Option<Address>,
    /// What was charged, in base units.
    pub amount: Amount,
    /// How many calls were charged.
    pub calls: u64,
}

/// The most lines that [`Ledger::sales`] reads.
pub const SALES_MAX: usize = 100_000;

/// What one statement folds at most, so that it takes no more than a moment: rows, and the sales in them. The more it folds,
/// the less each costs: a payer's sum is written once for all of them.
const FOLD_ROWS: i64 = 8_192;
const FOLD_SALES: i64 = 262_144;
/// Statements of one [`Ledger::fold_sales`]: more in all than fronts write between two calls.
const FOLD_STEPS: usize = 64;

impl Ledger {
    /// What was sold, exactly, up to the last commit; ordered by day, deployment, route and payer.
    ///
    /// # Errors
    /// [`LedgerError::TooMuch`] beyond [`SALES_MAX`] lines; or when the database is away.
    pub async fn sales(&self, query: &SalesQuery) -> Result<Vec<Sales>, LedgerError> {
        // $1 deployment, $2 from, $3 to, $4 $5 $6 by day, route, payer, $7 limit
        let sql = "-- sales
            WITH all_sales AS (
                SELECT day, deployment, route, payer, amount, calls FROM sales
                UNION ALL
                SELECT (l.at AT TIME ZONE 'UTC')::date, c.deployment, u.route, c.payer, u.amount, u.calls
                FROM sales_log l
                CROSS JOIN LATERAL unnest(l.routes, l.channels, l.amounts, l.calls) AS u(route, channel, amount, calls)
                JOIN channels c ON c.id = u.channel
            )
            SELECT CASE WHEN $4 THEN day END, deployment, CASE WHEN $5 THEN route END, CASE WHEN $6 THEN payer END,
                   sum(amount), sum(calls)::int8
            FROM all_sales
            WHERE ($1::text IS NULL OR deployment = $1)
              AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)
            GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT $7";
        let SalesQuery { deployment, from, to, by_day, by_route, by_payer } = query;
        let limit = i64::try_from(SALES_MAX).unwrap_or(i64::MAX).saturating_add(1);
        let params: &Params<'_> = &[deployment, from, to, by_day, by_route, by_payer, &limit];
        let found = self.inner.database.read("sales", sql, params).await?;
        if found.len() > SALES_MAX {
            return Err(LedgerError::TooMuch { most: SALES_MAX });
        }
        found.iter().map(sales).collect()
    }

    /// Adds the oldest rows of the journal to the sums, and takes them away. To be called every half a minute, by any
    /// process and by several at once. Changes nothing that [`Ledger::sales`] says. Returns how many rows they were.
    ///
    /// # Errors
    /// When the database is away; what was not folded now is folded later.
    pub async fn fold_sales(&self) -> Result<usize, LedgerError> {
        // Each row is taken by one folder, and sums are locked in the order of their key. Channels are never deleted, so
        // the join loses nothing.
        let sql = "-- fold_sales
            WITH free AS (
                SELECT id, calls FROM sales_log ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
            ), counted AS (
                SELECT id, sum(cardinality(calls)) OVER (ORDER BY id) AS sales FROM free
            ), taken AS (
                DELETE FROM sales_log WHERE id = ANY (ARRAY(SELECT id FROM counted WHERE sales <= $2))
                RETURNING at, routes, channels, amounts, calls
            ), sold AS (
                SELECT (at AT TIME ZONE 'UTC')::date AS day, unnest(routes) AS route, unnest(channels) AS channel,
                       unnest(amounts) AS amount, unnest(calls) AS calls
                FROM taken
            ), by_channel AS (
                SELECT day, route, channel, sum(amount) AS amount, sum(calls)::int8 AS calls FROM sold GROUP BY 1, 2, 3
            ), by_payer AS (
                SELECT b.day, c.deployment, b.route, c.payer, sum(b.amount) AS amount, sum(b.calls)::int8 AS calls
                FROM by_channel b JOIN channels c ON c.id = b.channel
                GROUP BY 1, 2, 3, 4
            ), folded AS (
                INSERT INTO sales (day, deployment, route, payer, amount, calls)
                SELECT day, deployment, route, payer, amount, calls FROM by_payer ORDER BY 1, 2, 3, 4
                ON CONFLICT (day, deployment, route, payer) DO UPDATE
                SET amount = sales.amount + excluded.amount, calls = sales.calls + excluded.calls
            )
            SELECT (SELECT count(*) FROM taken), (SELECT count(*) = $1 OR max(sales) > $2 FROM counted),
                   deployment, route, sum(amount)
            FROM by_payer GROUP BY 3, 4";
        let mut folded = 0;
        for _ in 0..FOLD_STEPS {
            let sold = self.inner.database.write("fold_sales", sql, &[&FOLD_ROWS, &FOLD_SALES]).await?;
            let Some(first) = sold.first() else { break };
            for row in &sold {
                metric::sold(rows::get(row, 2)?, rows::get(row, 3)?, rows::amount(row, 4)?);
            }
            let (taken, is_full): (i64, bool) = (rows::get(first, 0)?, rows::get(first, 1)?);
            folded += usize::try_from(taken).map_err(|error| LedgerError::corrupt(&error))?;
            if !is_full {
                break;
            }
        }
        Ok(folded)
    }
}

fn sales(row: &Row) -> Result<Sales, LedgerError> {
    let payer = rows::get::<Option<&[u8]>>(row, 3)?.map(Address::try_from).transpose();
    Ok(Sales {
        day: rows::get(row, 0)?,
        deployment: rows::get(row, 1)?,
        route: rows::get(row, 2)?,
        payer: payer.map_err(|error| LedgerError::corrupt(&error))?,
        amount: rows::amount(row, 4)?,
        calls: rows::unsigned(row, 5)?,
    })
}
