//! A connection to the broker.

use std::path::Path;
use std::time::Duration;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use runtime::config::Queue;
use tokio::time::timeout;

use crate::{Broker, QueueError};

/// A connection and its one channel; dropped, both are closed.
pub(crate) struct Link {
    connection: Connection,
    pub(crate) channel: Channel,
}

impl Link {
    /// Connects to one node, at each attempt to the next. `purpose` is what the broker's operators see.
    pub(crate) async fn open(broker: &Broker, attempt: usize, purpose: &str) -> Result<Link, QueueError> {
        let settings = broker.settings();
        let secrets = secrets(settings)?;
        let uri = complete(broker.node(attempt), settings, secrets.password);
        let properties = ConnectionProperties::default().with_connection_name(format!("sluice {purpose}").into());
        let runtime = lapin::runtime::default_runtime()?;
        in_time(settings.timeout, async {
            let connection = Connection::connect_uri_with_config(uri, properties, secrets.tls, runtime).await?;
            let channel = connection.create_channel().await?;
            Ok(Link { connection, channel })
        })
        .await
    }

    /// Whether the broker said that it takes no messages for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().connected() && self.connection.status().blocked()
    }
}

fn complete(mut uri: AMQPUri, settings: &Queue, password: Option<String>) -> AMQPUri {
    uri.query.heartbeat = Some(settings.heartbeat_s);
    uri.query.connection_timeout = u64::try_from(settings.timeout.as_millis()).ok();
    if let Some(password) = password {
        uri.authority.userinfo.password = password;
    }
    uri
}

/// What is read from files: for every connection anew, so that they may be replaced.
pub(crate) struct Secrets {
    password: Option<String>,
    tls: OwnedTLSConfig,
}

pub(crate) fn secrets(settings: &Queue) -> Result<Secrets, QueueError> {
    let password = settings.password_file.as_deref().map(secret).transpose()?;
    let password = password.map(|text| text.lines().next().unwrap_or_default().to_owned());
    let cert_chain = settings.ca_file.as_deref().map(certificate).transpose()?;
    let identity = match (&settings.certificate, &settings.key) {
        (Some(ours), Some(key)) => {
            Some(OwnedIdentity::PKCS8 { pem: certificate(ours)?.into_bytes(), key: secret(key)?.into_bytes() })
        }
        _ => None,
    };
    Ok(Secrets { password, tls: OwnedTLSConfig { identity, cert_chain } })
}

fn secret(path: &Path) -> Result<String, QueueError> {
    let read = secret_file::read(path).map(|text| text.to_string());
    read.map_err(|source| QueueError::Secret { path: path.to_owned(), source })
}

fn certificate(path: &Path) -> Result<String, QueueError> {
    std::fs::read_to_string(path).map_err(|source| QueueError::Certificate { path: path.to_owned(), source })
}

/// The broker's answer, unless it takes too long.
pub(crate) async fn in_time<T>(
    at_most: Duration,
    answer: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    timeout(at_most, answer).await.unwrap_or(Err(QueueError::Silent))
}
