//! A server that speaks TLS, and refuses plain connections over TCP.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::Result;

use super::{Postgres, server_user};
use crate::authority::Issued;

/// Who the server is, and whom it asks who they are.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Its certificate.
    pub server: Issued,
    /// The authority, in PEM, whose certificates clients must have; without it they need none.
    pub clients: Option<String>,
}

const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";
const CLIENTS: &str = "clients.crt";
const ACCESS: &str = "access.conf";

impl Postgres {
    /// Shows another certificate from the next connection on.
    pub async fn present(&self, server: &Issued) -> Result<()> {
        let tls = Tls { server: server.clone(), clients: None };
        tls.write_certificate(self.scratch.path())?;
        self.execute("postgres", "SELECT pg_reload_conf()").await
    }
}

impl Tls {
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let clients = self.clients.as_deref().map_or("", |_| " clientcert=verify-ca");
        let access = format!("local all all trust\nhostssl all all 127.0.0.1/32 trust{clients}\n");
        write(&folder.join(ACCESS), &access)?;
        write(&folder.join(CLIENTS), self.clients.as_deref().unwrap_or_default())?;
        self.write_certificate(folder)
    }

    fn write_certificate(&self, folder: &Path) -> Result<()> {
        write(&folder.join(CERTIFICATE), &self.server.certificate)?;
        write(&folder.join(KEY), &self.server.key)
    }

    pub(super) fn settings(&self, folder: &Path) -> Vec<(&'static str, String)> {
        let file = |name| folder.join(name).to_string_lossy().into_owned();
        let mut settings = vec![
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", file(CERTIFICATE)),
            ("ssl_key_file", file(KEY)),
            ("hba_file", file(ACCESS)),
        ];
        settings.extend(self.clients.as_ref().map(|_| ("ssl_ca_file", file(CLIENTS))));
        settings
    }
}

/// For the server alone, which refuses a key that others can read.
fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    if let Some(user) = server_user()? {
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    Ok(())
}
