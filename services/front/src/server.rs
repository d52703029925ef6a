//! Listening: connections are taken one by one, bounded in number, and ended in good order.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use runtime::Shutdown;
use runtime::config;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::connection::{self, End, Speaker};
use crate::front::Front;
use crate::metrics::Present;
use crate::tls::Tls;

/// After a connection could not be accepted (no file descriptors left): time for some to close.
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// The ports of a front, bound.
#[derive(Debug)]
pub struct Listeners {
    /// Plain HTTP.
    pub plain: TcpListener,
    /// TLS, if `[front.tls]` says so.
    pub tls: Option<TcpListener>,
}

impl Listeners {
    /// Binds the ports that the configuration names.
    ///
    /// # Errors
    /// When one of them cannot be.
    pub async fn bind(front: &config::Front) -> anyhow::Result<Listeners> {
        let tls = match &front.tls {
            Some(tls) => Some(bind(tls.listen).await?),
            None => None,
        };
        Ok(Listeners { plain: bind(front.listen).await?, tls })
    }
}

impl From<TcpListener> for Listeners {
    /// Plain HTTP alone.
    fn from(plain: TcpListener) -> Listeners {
        Listeners { plain, tls: None }
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Answers requests until the shutdown, and then until those in flight are answered, but no longer than the grace.
///
/// ```text
/// SIGTERM ─► drain delay: still accepting, load balancers notice; on HTTP/1.1 each answer is the last of its connection
///         ─► no new connections, the open ones end with their requests
///         ─► grace: answers and calls in flight end ─► done
/// ```
pub(crate) async fn serve(front: Arc<Front>, listeners: Listeners, shutdown: Shutdown) {
    let drain_delay = front.timeouts.drain_delay;
    let house = House::open(front);
    let is_draining = house.end.is_draining.clone();
    let mut last_orders = pin!(async {
        shutdown.begun().await;
        is_draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(drain_delay).await;
    });
    loop {
        let accepted = tokio::select! {
            () = &mut last_orders => break,
            accepted = house.accept(&listeners) => accepted,
        };
        match accepted {
            Ok(accepted) => house.welcome(accepted),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
            }
        }
    }
    drop(listeners);
    house.close().await;
}

/// A connection that has a place.
struct Accepted {
    stream: TcpStream,
    address: SocketAddr,
    /// If it is to begin with a handshake.
    tls: Option<Arc<Tls>>,
    place: Option<OwnedSemaphorePermit>,
}

struct House {
    front: Arc<Front>,
    speaker: Arc<Speaker>,
    places: Arc<Semaphore>,
    connections: TaskTracker,
    end: End,
}

impl House {
    fn open(front: Arc<Front>) -> House {
        House {
            speaker: Arc::new(connection::speaker(&front.limits)),
            places: Arc::new(Semaphore::new(front.limits.connections)),
            connections: TaskTracker::new(),
            end: End::default(),
            front,
        }
    }

    /// A connection to either port, once there is a place for it.
    async fn accept(&self, listeners: &Listeners) -> std::io::Result<Accepted> {
        let place = self.places.clone().acquire_owned().await.ok();
        let secure = async {
            match (&listeners.tls, &self.front.tls) {
                (Some(listener), Some(tls)) => (listener.accept().await, Some(tls.clone())),
                _ => std::future::pending().await,
            }
        };
        let (accepted, tls) = tokio::select! {
            accepted = listeners.plain.accept() => (accepted, None),
            secure = secure => secure,
        };
        let (stream, address) = accepted?;
        stream.set_nodelay(true)?;
        Ok(Accepted { stream, address, tls, place })
    }

    fn welcome(&self, accepted: Accepted) {
        let Accepted { stream, address, tls, place } = accepted;
        let (front, speaker, end) = (self.front.clone(), self.speaker.clone(), self.end.clone());
        self.connections.spawn(async move {
            let _present = (Present::new("front_connections"), place);
            connection::serve(front, &speaker, tls.as_deref(), stream, address, end).await;
        });
    }

    async fn close(self) {
        self.end.closing.cancel();
        self.connections.close();
        let over = async {
            self.connections.wait().await;
            self.front.settled().await;
        };
        if tokio::time::timeout(self.front.timeouts.grace, over).await.is_err() {
            tracing::warn!("some requests were not over within the grace; their holds expire");
        }
    }
}
