//! One connection, set up as every connection of the ledger must be.

use std::future::poll_fn;
use std::ops::Deref;
use std::time::Duration;

use deadpool_postgres::Connect;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::tls::{MakeTlsConnect, NoTls};
use tokio_postgres::{AsyncMessage, Client, Config, Error, Notification, Socket};

use crate::address::Address;
use crate::tls::Tls;

/// How long a server may take to answer a connection attempt.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection of its owner's own. Dropping it cuts the connection, even in the middle of a commit.
pub(crate) struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    /// Connects. `purpose` is what operators see in `pg_stat_activity`.
    pub(crate) async fn open(address: &Address, purpose: &str) -> Result<Session, Error> {
        let (client, driver) = open(&address.config, &address.tls, purpose, None).await?;
        Ok(Session { client, driver })
    }

    /// Connects, and passes on what LISTEN hears. The channel closes with the connection.
    pub(crate) async fn listening(address: &Address, heard: mpsc::Sender<Notification>) -> Result<Session, Error> {
        let (client, driver) = open(&address.config, &address.tls, "sluice listener", Some(heard)).await?;
        Ok(Session { client, driver })
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// How the pool connects.
pub(crate) struct Pooled(pub(crate) Tls);

impl Connect for Pooled {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let config = config.clone();
        Box::pin(async move { open(&config, &self.0, "sluice", None).await })
    }
}

async fn open(
    config: &Config,
    tls: &Tls,
    purpose: &str,
    heard: Option<mpsc::Sender<Notification>>,
) -> Result<(Client, JoinHandle<()>), Error> {
    let mut config = config.clone();
    config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(Duration::from_secs(15)).application_name(purpose);
    let (client, driver) = match tls.mode {
        SslMode::Disable => connect(&config, NoTls, heard).await?,
        _ => connect(&config, tls.clone(), heard).await?,
    };
    client.batch_execute(SETTINGS).await?;
    Ok((client, driver))
}

async fn connect<T>(
    config: &Config,
    tls: T,
    heard: Option<mpsc::Sender<Notification>>,
) -> Result<(Client, JoinHandle<()>), Error>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    let (client, mut connection) = config.connect(tls).await?;
    let driver = tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                // Dropping the connection is what makes the waiting commit's outcome unknown to its sender.
                Ok(AsyncMessage::Notice(notice)) if is_cancelled_commit(&notice) => {
                    tracing::error!(notice = notice.message(), "a commit was not confirmed by the standby");
                    return;
                }
                Ok(AsyncMessage::Notice(notice)) => tracing::debug!(notice = notice.message(), "PostgreSQL notices"),
                Ok(AsyncMessage::Notification(notification)) => {
                    // A full queue loses a ring, never a job: everybody who listens also polls.
                    let _ = heard.as_ref().map(|heard| heard.try_send(notification));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a database connection was lost");
                    return;
                }
            }
        }
    });
    Ok((client, driver))
}

/// A front that stops in the middle of a transaction must not keep its rows; and every plan here is by key, whatever
/// the statistics of a young table say. There is no `statement_timeout`: it would cancel the wait for the standby.
const SETTINGS: &str = "-- settings
    SET idle_in_transaction_session_timeout = '10s';
    SET lock_timeout = '2s';
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off;";

/// PostgreSQL commits and then waits for the standby. When that wait is cancelled the commit stands, on one node, with
/// a warning for all that is said about it. A server that does not name the routine is believed the worst.
fn is_cancelled_commit(notice: &DbError) -> bool {
    let cancelled = notice.routine().is_none_or(|routine| routine == "SyncRepWaitForLSN");
    notice.parsed_severity() == Some(Severity::Warning) && cancelled
}
