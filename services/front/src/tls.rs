//! The certificate of the second port, which speaks TLS: taken from two files, and taken again when they change.
//!
//! ```text
//! every poll, at a reload ─► both files ─► a chain, its key, and they fit ─► served from the next handshake on
//!                                     └──► broken in any way ─► said; the old one stays
//! ```
//! Connections keep the certificate that they began with. An expired certificate is served too, and said: clients refuse it
//! in words that their users understand, and the plain port must not stay shut because of it.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use runtime::config;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::server::TlsStream;
use x509_cert::der::Decode;

use crate::metrics;

/// The most that a certificate and its intermediates may be, in bytes.
const MAX_CHAIN: u64 = 256 << 10;
/// What a handshake agrees to speak, the best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Takes TLS handshakes.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// What is served now.
#[derive(Debug)]
struct Certificate {
    files: config::Tls,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
    /// What was wrong with the files when they were last looked at: said once, not at every look.
    problem: Mutex<Option<String>>,
}

/// A handshake that came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the TLS handshake took too long")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("the TLS handshake failed")]
    Failed(#[from] std::io::Error),
}

impl Tls {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// When one of them is not there, is broken or does not fit the other, or others may read the key.
    pub(crate) fn open(files: &config::Tls) -> anyhow::Result<Arc<Tls>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let first = load(files, &provider)?;
        announce(&first);
        let certificate = Arc::new(Certificate {
            files: files.clone(),
            provider: provider.clone(),
            current: ArcSwap::from_pointee(first),
            problem: Mutex::default(),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("front.tls")?
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(Tls { acceptor: Arc::new(config).into(), certificate }))
    }

    /// Shakes hands.
    pub(crate) async fn accept<S>(&self, stream: S, patience: Duration) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let outcome = match tokio::time::timeout(patience, self.acceptor.accept(stream)).await {
            Ok(shaken) => shaken.map_err(HandshakeError::from),
            Err(elapsed) => Err(elapsed.into()),
        };
        metrics::shook_hands(match &outcome {
            Ok(_) => "done",
            Err(HandshakeError::Failed(_)) => "failed",
            Err(HandshakeError::Timeout(_)) => "timeout",
        });
        outcome
    }

    /// Looks at the files now, and takes the certificate if it is a new one.
    ///
    /// # Errors
    /// What is wrong with them. The old certificate stays.
    pub(crate) fn look(&self) -> anyhow::Result<()> {
        self.certificate.look()
    }

    /// Looks at the files again and again, until it is dropped.
    pub(crate) async fn watch(self: Arc<Tls>) {
        let mut turns = tokio::time::interval(self.certificate.files.poll);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let certificate = self.certificate.clone();
            // What is wrong with them is said where it is found.
            let _ = tokio::task::spawn_blocking(move || certificate.look()).await;
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Certificate {
    fn look(&self) -> anyhow::Result<()> {
        let found = load(&self.files, &self.provider);
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(found) => {
                *problem = None;
                if found.cert != self.current.load().cert {
                    announce(&found);
                    self.current.store(Arc::new(found));
                    metrics::certificate_looked_at("taken");
                }
                Ok(())
            }
            Err(error) => {
                let words = format!("{error:#}");
                if problem.as_ref() != Some(&words) {
                    tracing::error!(problem = words, "the new certificate is broken; the old one stays");
                    metrics::certificate_looked_at("broken");
                    *problem = Some(words);
                }
                Err(error)
            }
        }
    }
}

fn load(files: &config::Tls, provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let named = |key: &str, path: &Path| format!("front.tls.{key}: {}", path.display());
    let chain = read_chain(&files.certificate).with_context(|| named("certificate", &files.certificate))?;
    expiry(&chain[0]).with_context(|| named("certificate", &files.certificate))?;
    let key = read_key(&files.key).with_context(|| named("key", &files.key))?;
    CertifiedKey::from_der(chain, key, provider).with_context(|| named("key", &files.key))
}

/// At least one certificate.
fn read_chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let mut pem = Vec::new();
    std::fs::File::open(path)?.take(MAX_CHAIN).read_to_end(&mut pem)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().context("broken PEM")?;
    ensure!(!chain.is_empty(), "there is no certificate in it");
    Ok(chain)
}

fn read_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let pem = secret_file::read(path)?;
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).context("there is no private key in it")
}

/// The end of the certificate's validity, in seconds since 1970.
fn expiry(certificate: &CertificateDer<'_>) -> anyhow::Result<u64> {
    let certificate = x509_cert::Certificate::from_der(certificate).context("broken certificate")?;
    Ok(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs())
}

/// Says until when this certificate is good.
fn announce(loaded: &CertifiedKey) {
    let Ok(expiry) = expiry(&loaded.cert[0]) else { return }; // `load` has read it
    metrics::certificate_expires(expiry);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    match expiry.checked_sub(now) {
        Some(left) => tracing::info!(days_left = left / 86_400, "a certificate was taken"),
        None => tracing::error!("a certificate was taken that has expired: clients will refuse it"),
    }
}
