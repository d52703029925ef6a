use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use serde::Deserialize;

use super::Secret;
use super::front::millis;

/// How to reach the message broker, and every limit on it. Without the section there is none: then watcher and wallet hear
/// of jobs from the ledger alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// `amqp://user:password@host:port/virtual-host`, or `amqps://`.
    pub url: Secret,
    /// Further nodes of the same broker, for when the first is away.
    pub urls: Vec<Secret>,
    /// A file whose first line is the password, which then needs not stand in the addresses; mode 0600 or 0400.
    pub password_file: Option<PathBuf>,
    /// Authorities (PEM) to trust beside the system's, for `amqps`.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate (PEM), for a broker that asks for one,
    pub certificate: Option<PathBuf>,
    /// and its key, PEM, mode 0600 or 0400.
    pub key: Option<PathBuf>,
    /// Rings that a worker takes ahead of its work, of each kind of job.
    pub prefetch: u16,
    /// How long the broker may take to answer before the connection counts as broken.
    #[serde(with = "millis", rename = "timeout_ms")]
    pub timeout: Duration,
    /// Between two heartbeats; a connection without any for twice as long is broken.
    pub heartbeat_s: u16,
    /// How often a ring that nobody could answer is delivered before it is put among the dead.
    pub delivery_limit: u16,
    /// After how long a job that was rung and is still due is rung again.
    #[serde(with = "millis", rename = "ring_again_ms")]
    pub ring_again: Duration,
    /// How often workers look for jobs that nobody rang for.
    #[serde(with = "millis", rename = "look_ms")]
    pub look: Duration,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            url: Secret::default(),
            urls: Vec::new(),
            password_file: None,
            ca_file: None,
            certificate: None,
            key: None,
            prefetch: 16,
            timeout: Duration::from_secs(5),
            heartbeat_s: 10,
            delivery_limit: 20,
            ring_again: Duration::from_secs(30),
            look: Duration::from_secs(2),
        }
    }
}

impl Queue {
    /// The addresses of the broker's nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.url).chain(&self.urls)
    }

    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let files = [&mut self.password_file, &mut self.ca_file, &mut self.certificate, &mut self.key];
        for path in files.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        if !self.nodes().all(is_address) {
            // Not what was written: there may be a password in it.
            problems.push(
                "queue.url: must be amqp://user@host:port/virtual-host or amqps://…, as each of queue.urls".to_owned(),
            );
        }
        if self.certificate.is_some() != self.key.is_some() {
            problems.push("queue.certificate: needs queue.key, and the other way round".to_owned());
        }
        let zero = [
            ("prefetch", self.prefetch == 0),
            ("timeout_ms", self.timeout.is_zero()),
            ("heartbeat_s", self.heartbeat_s == 0),
            ("delivery_limit", self.delivery_limit == 0),
            ("ring_again_ms", self.ring_again.is_zero()),
            ("look_ms", self.look.is_zero()),
        ];
        for (key, _) in zero.iter().filter(|(_, is_zero)| *is_zero) {
            problems.push(format!("queue.{key}: must be above 0"));
        }
    }
}

fn is_address(node: &Secret) -> bool {
    let parsed = node.expose().parse::<Uri>();
    parsed.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("amqp" | "amqps")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}
