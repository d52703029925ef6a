//! The pool, for everything but payments. Every statement has a name, a time limit and an honest error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use postgres_types::ToSql;
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::address::Address;
use crate::session::{CONNECT_TIMEOUT, Pooled};
use crate::{LedgerError, Settings};

/// The parameters of a statement.
pub(crate) type Params<'a> = [&'a (dyn ToSql + Sync)];

/// How long a single statement may take, and how long one waits for a connection.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Database {
    pool: Pool,
}

impl Database {
    /// A pool that connects when it is used.
    pub(crate) fn new(settings: &Settings) -> Result<Database, LedgerError> {
        let Address { config, tls } = settings.address()?;
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(config, Pooled(tls), manager);
        let timeouts = Timeouts {
            wait: Some(STATEMENT_TIMEOUT),
            create: Some(CONNECT_TIMEOUT * 2),
            recycle: Some(STATEMENT_TIMEOUT),
        };
        let pool = Pool::builder(manager).max_size(settings.pool_size).timeouts(timeouts).runtime(Runtime::Tokio1);
        let pool = pool.build().map_err(|error| LedgerError::Refused(error.to_string()))?;
        Ok(Database { pool })
    }

    /// A connection of the pool.
    pub(crate) async fn client(&self) -> Result<Object, LedgerError> {
        self.pool.get().await.map_err(|error| match error {
            // The pool's own words say nothing more.
            PoolError::Backend(error) => LedgerError::Unavailable(Arc::new(error)),
            error => LedgerError::Unavailable(Arc::new(error)),
        })
    }

    /// Reads.
    pub(crate) async fn read(
        &self,
        name: &'static str,
        sql: &str,
        params: &Params<'_>,
    ) -> Result<Vec<Row>, LedgerError> {
        let late = LedgerError::unavailable("the database is too slow");
        self.run(name, sql, params, LedgerError::before_commit, late).await
    }

    /// Runs one statement that changes something, and commits it.
    pub(crate) async fn write(
        &self,
        name: &'static str,
        sql: &str,
        params: &Params<'_>,
    ) -> Result<Vec<Row>, LedgerError> {
        self.run(name, sql, params, LedgerError::in_commit, LedgerError::OutcomeUnknown).await
    }

    async fn run(
        &self,
        name: &'static str,
        sql: &str,
        params: &Params<'_>,
        kind: fn(tokio_postgres::Error) -> LedgerError,
        late: LedgerError,
    ) -> Result<Vec<Row>, LedgerError> {
        let client = self.client().await?;
        let run = async {
            let statement = client.prepare_cached(sql).await.map_err(LedgerError::before_commit)?;
            client.query(&statement, params).await.map_err(kind)
        };
        match timeout(STATEMENT_TIMEOUT, timed(name, run)).await {
            Ok(done) => done,
            Err(_) => {
                // Whatever still runs there must not meet the next user.
                drop(Object::take(client));
                Err(late)
            }
        }
    }
}

/// Runs a transaction under its name.
pub(crate) async fn timed<T>(name: &'static str, run: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let done = run.await;
    metrics::histogram!("ledger_tx_seconds", "tx" => name).record(started.elapsed().as_secs_f64());
    done
}
