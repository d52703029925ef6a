//! What the payer saw, request by request.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use channel::Amount;
use payer::Receipt;

/// The table.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    /// How long each paid request took.
    times: Vec<Duration>,
}

#[derive(Debug, Default)]
struct Row {
    what: &'static str,
    status: u16,
    asked: u64,
    paid: u64,
    refused: u64,
    credited: u64,
    cost: Amount,
}

impl Table {
    /// A request that was paid if it cost something; a failed call is credited, not paid.
    pub(super) fn paid_request(&mut self, what: &'static str, status: u16, receipt: &Receipt, time: Duration) {
        let row = self.row(what, status);
        row.paid += u64::from(!receipt.cost.is_zero());
        row.credited += u64::from(!receipt.in_doubt.is_zero());
        row.cost = row.cost.saturating_add(receipt.cost);
        if receipt.channel.is_some() {
            self.times.push(time);
        }
    }

    /// A request that was not to be served.
    pub(super) fn refused(&mut self, what: &'static str, status: u16) {
        self.row(what, status).refused += u64::from(status == 402);
    }

    /// What all requests cost.
    pub(super) fn paid(&self) -> Amount {
        self.rows.iter().fold(Amount::ZERO, |sum, row| sum.saturating_add(row.cost))
    }

    fn row(&mut self, what: &'static str, status: u16) -> &mut Row {
        let known = self.rows.iter().position(|row| row.what == what && row.status == status);
        let index = known.unwrap_or_else(|| {
            self.rows.push(Row { what, status, ..Row::default() });
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        row.asked += 1;
        row
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<24}{:>7}{:>9}{:>7}{:>9}{:>10}{:>8}",
            "", "status", "requests", "paid", "refused", "credited", "cost"
        )?;
        let mut sum = Row { what: "together", ..Row::default() };
        for row in &self.rows {
            write_row(f, row, &row.status.to_string())?;
            sum.asked += row.asked;
            sum.paid += row.paid;
            sum.refused += row.refused;
            sum.credited += row.credited;
            sum.cost = sum.cost.saturating_add(row.cost);
        }
        write_row(f, &sum, "")?;
        let mut times = self.times.clone();
        times.sort_unstable();
        let ms = |percent: usize| {
            let time = times.get(times.len() * percent / 100).copied().unwrap_or_default();
            time.as_secs_f64() * 1_000.0
        };
        let (p50, p99) = (ms(50), ms(99));
        writeln!(
            f,
            "\nA paid request took {p50:.1} ms (p50), {p99:.1} ms (p99); one at a time, as µRaiden's payers do."
        )
    }
}

fn write_row(f: &mut Formatter<'_>, row: &Row, status: &str) -> fmt::Result {
    let Row { what, asked, paid, refused, credited, cost, .. } = row;
    writeln!(f, "{what:<24}{status:>7}{asked:>9}{paid:>7}{refused:>9}{credited:>10}{:>8}", cost.to_string())
}
