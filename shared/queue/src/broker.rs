use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lapin::uri::AMQPUri;
use runtime::Check;
use runtime::config::Queue;

use crate::{Publisher, QueueError, link, metric};

/// The broker as a process knows it: where it is, and who has trouble with it. Its clones are one.
#[derive(Clone, Debug)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Queue,
    /// By its nodes, without what is secret: not opened yet.
    nodes: Vec<AMQPUri>,
    /// Of each connection that should be there: what is wrong with it, if anything.
    connections: Mutex<BTreeMap<String, Option<String>>>,
}

impl Broker {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When an address is none, or a file of secrets or certificates cannot be used.
    pub fn new(settings: &Queue) -> Result<Broker, QueueError> {
        let nodes = settings.nodes().map(|node| node.expose().parse().map_err(QueueError::Address));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        link::secrets(settings)?;
        metric::describe();
        Ok(Broker { inner: Arc::new(Inner { settings: settings.clone(), nodes, connections: Mutex::default() }) })
    }

    /// Hands rings to it.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.clone())
    }

    /// For `/readyz?verbose`: a process is ready without its broker.
    pub fn readiness(&self) -> Check {
        let broker = self.clone();
        Check::informative("broker", move || std::future::ready(broker.check()))
    }

    /// What is wrong with the connections that this process should have.
    ///
    /// # Errors
    /// Each connection's trouble, in one line.
    pub fn check(&self) -> Result<(), String> {
        let connections = self.inner.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let troubles = connections.iter().filter_map(|(name, trouble)| Some(format!("{name}: {}", trouble.as_ref()?)));
        let troubles: Vec<String> = troubles.collect();
        if troubles.is_empty() { Ok(()) } else { Err(troubles.join("; ")) }
    }

    pub(crate) fn settings(&self) -> &Queue {
        &self.inner.settings
    }

    /// The node to be tried at this attempt: all of them in turn.
    pub(crate) fn node(&self, attempt: usize) -> AMQPUri {
        self.inner.nodes[attempt % self.inner.nodes.len()].clone()
    }

    /// Notes how a connection is doing.
    pub(crate) fn note(&self, name: &str, trouble: Option<&QueueError>) {
        let up = if trouble.is_none() { 1.0 } else { 0.0 };
        metrics::gauge!("queue_connected", "connection" => name.to_owned()).set(up);
        let trouble = trouble.map(|error| runtime::telemetry::with_causes(error));
        self.inner.connections.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), trouble);
    }

    /// A connection is not wanted any more.
    pub(crate) fn forget(&self, name: &str) {
        metrics::gauge!("queue_connected", "connection" => name.to_owned()).set(0.0);
        self.inner.connections.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}
