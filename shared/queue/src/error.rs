use std::path::PathBuf;

use secret_file::SecretFileError;

/// Why the broker was of no use. All of it is tried again; the ledger knows what is to be done.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The broker is away, or broke the connection.
    #[error("the broker is away")]
    Away(#[from] lapin::Error),
    /// The broker did not answer in time.
    #[error("the broker does not answer")]
    Silent,
    /// The broker takes no messages: it is short of memory or disk.
    #[error("the broker takes no messages now")]
    Blocked,
    /// The broker took our consumer away, as when its queue was removed.
    #[error("the broker ended our consumer")]
    Cancelled,
    /// The broker has no place for a ring, or refused it.
    #[error("the broker did not take a ring for {0}")]
    NotTaken(String),
    /// An address of the broker is none. It is not shown: there may be a password in it.
    #[error("queue.url or one of queue.urls: {0}")]
    Address(String),
    /// A certificate cannot be read.
    #[error("{path} cannot be read")]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The password or our key is missing, or is no secret.
    #[error("{path}")]
    Secret {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: SecretFileError,
    },
}
