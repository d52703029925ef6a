//! What plans are made on, and the jobs that come of them.

use std::time::Duration;

use channel::{Amount, Channel, ChannelId, Epoch, Moment};
use tokio_postgres::Row;

use crate::numeric::Numeric;
use crate::rows::{self, account_columns};
use crate::{JobKind, Ledger, LedgerError, NewJob};

/// A channel that something may have to be done about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// The channel,
    pub channel: Channel,
    /// and its newest epoch.
    pub epoch: Epoch,
    /// How long there has been a voucher above what was claimed; zero when there is none.
    pub unclaimed_for: Duration,
    /// How long ago a close was agreed to; zero when none was.
    pub agreed_for: Duration,
}

/// Why something is to be claimed: it is written into the job's amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimCause {
    /// The policy wants this much claimed, cumulative.
    Planned(Amount),
    /// An operator wants it, as long as it is worth its gas.
    Asked,
    /// An operator wants it, whatever it costs.
    Forced,
}

/// The most of [`Ledger::prospects`] that one page has, and of jobs that one statement adds.
const PAGE_MAX: u32 = 1_000;

/// `SELECT` of prospects; the argument says which. Nothing is planned for a deployment that a person has to look at.
macro_rules! prospects {
    ($name:literal, $which:literal) => {
        concat!(
            "-- ",
            $name,
            "
            SELECT ",
            account_columns!(),
            ", greatest(extract(epoch FROM clock_timestamp() - e.unclaimed_since), 0)::float8,
               greatest(extract(epoch FROM clock_timestamp() - c.agreed_at), 0)::float8
            FROM channels c JOIN epochs e ON e.channel = c.id
            WHERE c.status IN ('open', 'closing') AND ",
            $which,
            " AND e.number = (SELECT max(number) FROM epochs WHERE channel = c.id)
              AND NOT EXISTS (SELECT FROM cursors h WHERE h.deployment = c.deployment AND h.halted IS NOT NULL)
            ORDER BY c.id LIMIT "
        )
    };
}

impl Prospect {
    /// What plans depend on, at the chain's newest block, of this number and time, and at this price of gas.
    pub fn moment(&self, (head, time): (u64, u64), gas_price: u128) -> Moment {
        let Prospect { unclaimed_for, agreed_for, .. } = *self;
        Moment { head, time, gas_price, unclaimed_for, agreed_for }
    }
}

impl Ledger {
    /// Channels of a deployment about which something may have to be done: with something to claim, or to be ended. In the
    /// order of their keys, from above `after` on, at most `limit` and never more than 1 000.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn prospects(
        &self,
        deployment: &str,
        after: Option<ChannelId>,
        limit: u32,
    ) -> Result<Vec<Prospect>, LedgerError> {
        let sql = concat!(
            prospects!(
                "prospects",
                "c.deployment = $1 AND ($2::bytea IS NULL OR c.id > $2)
                 AND (e.unclaimed_since IS NOT NULL OR c.status = 'closing' OR c.agreed_close IS NOT NULL)"
            ),
            "$3"
        );
        let after = after.as_ref().map(|id| id.0.as_slice());
        let limit = i64::from(limit.min(PAGE_MAX));
        self.inner.database.read("prospects", sql, &[&deployment, &after, &limit]).await?.iter().map(prospect).collect()
    }

    /// One channel as plans see it; `None` when it is unknown, gone or closed, or its deployment is halted.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn prospect(&self, channel: ChannelId) -> Result<Option<Prospect>, LedgerError> {
        let sql = concat!(prospects!("prospect", "c.id = $1"), "1");
        let found = self.inner.database.read("prospect", sql, &[&channel.0.as_slice()]).await?;
        found.first().map(prospect).transpose()
    }

    /// Adds jobs, and rings. Those are left out of which one of the same kind and key is open. Returns which were added, by
    /// their places in `jobs`; at most the first 1 000 are looked at.
    ///
    /// # Errors
    /// When the database is away: all or none were added.
    pub async fn add_jobs(&self, jobs: &[NewJob]) -> Result<Vec<usize>, LedgerError> {
        let jobs = jobs.get(..PAGE_MAX as usize).unwrap_or(jobs);
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let columns = JobColumns::of(jobs);
        let added = self.inner.database.write("add_jobs", ADD_JOBS, &columns.params()).await?;
        let added: Vec<(&str, &str)> =
            added.iter().map(|row| Ok((rows::get(row, 0)?, rows::get(row, 1)?))).collect::<Result<_, LedgerError>>()?;
        let is_added = |job: &NewJob| added.contains(&(job.kind.as_str(), &*job.key));
        Ok((0..jobs.len()).filter(|place| is_added(&jobs[*place])).collect())
    }
}

/// Adds the jobs that are not open already, and rings once for each kind.
pub(crate) const ADD_JOBS: &str = "-- add_jobs
    WITH added AS (
        INSERT INTO jobs (kind, key, deployment, channel, amount)
        SELECT u.kind, u.key, u.deployment, u.channel, u.amount
        FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::numeric[])
             AS u(kind, key, deployment, channel, amount)
        ON CONFLICT (kind, key) WHERE state = 'open' DO NOTHING
        RETURNING kind, key
    ), rung AS MATERIALIZED (
        SELECT kind, pg_notify('sluice_jobs', kind) FROM (SELECT DISTINCT kind FROM added) k
    )
    SELECT a.kind, a.key FROM added a JOIN rung USING (kind)";

/// Jobs as parameters of [`ADD_JOBS`].
pub(crate) struct JobColumns<'a> {
    kinds: Vec<&'static str>,
    keys: Vec<&'a str>,
    deployments: Vec<&'a str>,
    channels: Vec<Option<&'a [u8]>>,
    amounts: Vec<Option<Numeric>>,
}

impl<'a> JobColumns<'a> {
    pub(crate) fn of(jobs: &'a [NewJob]) -> JobColumns<'a> {
        JobColumns {
            kinds: jobs.iter().map(|job| job.kind.as_str()).collect(),
            keys: jobs.iter().map(|job| job.key.as_str()).collect(),
            deployments: jobs.iter().map(|job| job.deployment.as_str()).collect(),
            channels: jobs.iter().map(|job| job.channel.as_ref().map(|id| id.0.as_slice())).collect(),
            amounts: jobs.iter().map(|job| job.amount.map(Numeric)).collect(),
        }
    }

    pub(crate) fn params(&self) -> [&(dyn postgres_types::ToSql + Sync); 5] {
        [&self.kinds, &self.keys, &self.deployments, &self.channels, &self.amounts]
    }
}

impl NewJob {
    /// A job about a channel. There is one of a kind for each channel at a time.
    pub fn about(kind: JobKind, channel: &Channel, amount: Option<Amount>) -> NewJob {
        let (key, deployment) = (channel.id.to_string(), channel.deployment.clone());
        NewJob { kind, key, deployment, channel: Some(channel.id), amount }
    }

    /// The answer to a close request, with the voucher over `amount`. A better voucher makes another job.
    pub fn challenge(channel: &Channel, amount: Amount) -> NewJob {
        let job = NewJob::about(JobKind::Challenge, channel, Some(amount));
        NewJob { key: format!("{}:{amount}", channel.id), ..job }
    }

    /// A claim.
    pub fn claim(channel: &Channel, cause: ClaimCause) -> NewJob {
        let amount = match cause {
            ClaimCause::Planned(amount) => Some(amount),
            ClaimCause::Asked => None,
            ClaimCause::Forced => Some(Amount::ZERO),
        };
        NewJob::about(JobKind::Claim, channel, amount)
    }

    /// Why, of a claim.
    pub fn claim_cause(&self) -> ClaimCause {
        match self.amount {
            None => ClaimCause::Asked,
            Some(Amount::ZERO) => ClaimCause::Forced,
            Some(amount) => ClaimCause::Planned(amount),
        }
    }
}

fn prospect(row: &Row) -> Result<Prospect, LedgerError> {
    let (channel, epoch) = rows::account(row)?;
    let age = |at| {
        let seconds = rows::get::<Option<f64>>(row, at)?.unwrap_or_default();
        Duration::try_from_secs_f64(seconds).map_err(|error| LedgerError::corrupt(&error))
    };
    let at = row.len();
    Ok(Prospect { channel, epoch, unclaimed_for: age(at - 2)?, agreed_for: age(at - 1)? })
}
