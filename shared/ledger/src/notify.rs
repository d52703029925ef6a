//! LISTEN: one connection a process hears that jobs were added or ended, and tells who is interested.
//!
//! A ring may be lost (a lost connection, a slow listener). Everybody who waits for one therefore also looks by itself
//! from time to time; after a reconnection all bells ring once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::time::{sleep, timeout};
use tokio_postgres::Notification;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::Address;
use crate::session::Session;
use crate::{JobId, JobKind, LedgerError, Settings};

/// Rings that a slow bell may be behind before it just rings.
const RINGS_MAX: usize = 1_024;
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
enum Ring {
    Added(Arc<str>),
    Ended(JobId),
    /// Something may have been missed.
    Missed,
}

/// Rings when there may be something to do.
pub struct Bell {
    rings: broadcast::Receiver<Ring>,
    interest: Interest,
}

enum Interest {
    Kinds(Vec<JobKind>),
    Job(JobId),
}

impl Bell {
    /// Waits for a ring, at most this long. Look for work either way.
    pub async fn wait(&mut self, at_most: Duration) {
        // Late is as good as rung: the caller looks.
        let _ = timeout(at_most, self.rung()).await;
    }

    async fn rung(&mut self) {
        loop {
            match self.rings.recv().await {
                Ok(Ring::Added(kind)) if !self.is_about(&kind) => {}
                Ok(Ring::Ended(job)) if !matches!(self.interest, Interest::Job(mine) if mine == job) => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The listener has ended. What is left is looking from time to time.
                Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
            }
        }
    }

    fn is_about(&self, word: &str) -> bool {
        matches!(&self.interest, Interest::Kinds(kinds) if kinds.iter().any(|kind| kind.as_str() == word))
    }
}

/// The connection that listens, and where it tells.
pub(crate) struct Listener {
    rings: broadcast::Sender<Ring>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    pub(crate) fn start(settings: &Settings) -> Result<Listener, LedgerError> {
        let (rings, _) = broadcast::channel(RINGS_MAX);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(stop.clone().run_until_cancelled_owned(listen(settings.address()?, rings.clone())));
        tasks.close();
        Ok(Listener { rings, stop, tasks })
    }

    /// Ends the task and its connection.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }

    pub(crate) fn bell_for(&self, kinds: &[JobKind]) -> Bell {
        Bell { rings: self.rings.subscribe(), interest: Interest::Kinds(kinds.to_vec()) }
    }

    pub(crate) fn bell_of(&self, job: JobId) -> Bell {
        Bell { rings: self.rings.subscribe(), interest: Interest::Job(job) }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen(address: Address, rings: broadcast::Sender<Ring>) {
    loop {
        let (heard, mut notifications) = mpsc::channel(RINGS_MAX);
        match connect(&address, heard).await {
            Ok(_session) => {
                let _ = rings.send(Ring::Missed);
                while let Some(notification) = notifications.recv().await {
                    if let Some(ring) = ring(&notification) {
                        // Nobody may be interested.
                        let _ = rings.send(ring);
                    }
                }
            }
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "cannot listen for jobs"),
        }
        sleep(RECONNECT_AFTER).await;
    }
}

async fn connect(address: &Address, heard: mpsc::Sender<Notification>) -> Result<Session, tokio_postgres::Error> {
    let session = Session::listening(address, heard).await?;
    session.batch_execute("LISTEN sluice_jobs; LISTEN sluice_done").await?;
    Ok(session)
}

fn ring(notification: &Notification) -> Option<Ring> {
    match notification.channel() {
        "sluice_jobs" => Some(Ring::Added(notification.payload().into())),
        "sluice_done" => notification.payload().parse().ok().map(|id| Ring::Ended(JobId(id))),
        _ => None,
    }
}
