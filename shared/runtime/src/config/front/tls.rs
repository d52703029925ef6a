use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::millis;

/// A second port, which speaks TLS. The fronts alone read its files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Where it is.
    pub listen: SocketAddr,
    /// The certificate and its intermediates, PEM, ours first.
    pub certificate: PathBuf,
    /// Its private key, PEM, mode 0600 or 0400.
    pub key: PathBuf,
    /// How often the two files are looked at for a new certificate.
    #[serde(default = "poll", with = "millis", rename = "poll_ms")]
    pub poll: Duration,
}

fn poll() -> Duration {
    Duration::from_secs(10)
}

impl Tls {
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        for path in [&mut self.certificate, &mut self.key] {
            *path = folder.join(&*path);
        }
    }

    pub(super) fn problems(&self, others: [SocketAddr; 2], problems: &mut Vec<String>) {
        if self.listen.port() != 0 && others.contains(&self.listen) {
            problems.push("front.tls.listen: must differ from front.listen and front.ops_listen".to_owned());
        }
        if self.poll.is_zero() {
            problems.push("front.tls.poll_ms: must be above 0".to_owned());
        }
    }
}
