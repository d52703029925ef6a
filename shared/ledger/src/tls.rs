//! TLS to the database: whom to believe, who we are, and what to say when it comes to nothing.
//!
//! The files are read for every connection anew, so that they may be replaced at any time.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryFutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use crate::lenient::Lenient;

/// How a connection is protected.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) mode: SslMode,
    pub(crate) trust: Trust,
    pub(crate) identity: Option<Identity>,
}

/// Whose certificate will do.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Anybody's.
    Anybody,
    /// One that an authority in this file signed, for whatever host.
    Authority(PathBuf),
    /// One for the host in the address, signed by an authority in this file; without a file, of the system's.
    Host(Option<PathBuf>),
}

/// Our own certificate, for a server that asks for one.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{parameter} ({}) cannot be used", path.display())]
    File { parameter: &'static str, path: PathBuf, source: Box<dyn Error + Send + Sync> },
    #[error("the server's certificate {0}")]
    Certificate(String),
    #[error("sslcert and sslkey do not fit together")]
    Identity(#[source] rustls::Error),
    #[error("it broke off")]
    Broken(#[source] io::Error),
}

impl Tls {
    /// No TLS at all.
    pub(crate) const NONE: Tls = Tls { mode: SslMode::Disable, trust: Trust::Anybody, identity: None };

    /// What libpq calls it.
    pub(crate) fn name(&self) -> &'static str {
        match (self.mode, &self.trust) {
            (SslMode::Disable, _) => "disable",
            (SslMode::Prefer, _) => "prefer",
            (_, Trust::Anybody) => "require",
            (_, Trust::Authority(_)) => "verify-ca",
            (_, Trust::Host(_)) => "verify-full",
        }
    }

    /// What that means.
    pub(crate) fn meaning(&self) -> &'static str {
        match (self.mode, &self.trust) {
            (SslMode::Disable, _) => "not encrypted",
            (SslMode::Prefer, _) => "encrypted if the server offers it, with whoever answers (sslmode=prefer)",
            (_, Trust::Anybody) => "encrypted, with whoever answers (sslmode=require)",
            (_, Trust::Authority(_)) => "encrypted, with any server of the authority's (sslmode=verify-ca)",
            (_, Trust::Host(_)) => "encrypted, with the server in the address (sslmode=verify-full)",
        }
    }

    /// The file of the authorities that the address names.
    pub(crate) fn root(&self) -> Option<&Path> {
        match &self.trust {
            Trust::Authority(root) | Trust::Host(Some(root)) => Some(root),
            Trust::Anybody | Trust::Host(None) => None,
        }
    }

    fn client(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let config = config.expect("the provider speaks TLS 1.2 and 1.3");
        let roots = self.root().map(from_file).transpose()?;
        let config = match &self.trust {
            Trust::Host(_) => config.with_root_certificates(roots.unwrap_or_else(of_the_system)),
            Trust::Anybody | Trust::Authority(_) => {
                config.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { roots, provider }))
            }
        };
        match &self.identity {
            None => Ok(config.with_no_client_auth()),
            Some(Identity { certificate, key }) => {
                let (certificate, key) = (certificates("sslcert", certificate)?, private_key(key)?);
                config.with_client_auth_cert(certificate, key).map_err(TlsError::Identity)
            }
        }
    }

    /// What went wrong, in words that say what to do.
    fn explain(&self, host: &str, error: io::Error) -> TlsError {
        use CertificateError::{BadSignature, ExpiredContext, NotValidForNameContext, UnknownIssuer};
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::InvalidCertificate(fault)) = cause else { return TlsError::Broken(error) };
        TlsError::Certificate(match fault {
            UnknownIssuer | BadSignature => {
                let whose = self.root().map_or("of the system's".to_owned(), |root| format!("in {}", root.display()));
                format!("is signed by no authority {whose}; name the file of its authority with sslrootcert")
            }
            NotValidForNameContext { presented, .. } => {
                let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
                format!("is for {}, not for {host}; name the server in the address as it does", names.join(", "))
            }
            ExpiredContext { .. } => "has expired; the server needs a new one".to_owned(),
            // As `openssl req -x509` makes them.
            other if other.to_string().contains("CaUsedAsEndEntity") => {
                "is an authority's own; the server needs one that an authority has signed".to_owned()
            }
            other => format!("is refused: {other}"),
        })
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = <MakeRustlsConnect as MakeTlsConnect<S>>::Stream;
    type TlsConnect = Handshake<<MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect>;
    type Error = TlsError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, TlsError> {
        let Ok(connect) = MakeTlsConnect::<S>::make_tls_connect(&mut MakeRustlsConnect::new(self.client()?), host);
        Ok(Handshake { connect, tls: self.clone(), host: host.to_owned() })
    }
}

/// A handshake that can say why it failed.
pub(crate) struct Handshake<C> {
    connect: C,
    tls: Tls,
    host: String,
}

impl<S, C> TlsConnect<S> for Handshake<C>
where
    C: TlsConnect<S, Error = io::Error, Future: Send + 'static>,
{
    type Stream = C::Stream;
    type Error = TlsError;
    type Future = BoxFuture<'static, Result<C::Stream, TlsError>>;

    fn connect(self, stream: S) -> Self::Future {
        let Handshake { connect, tls, host } = self;
        Box::pin(connect.connect(stream).map_err(move |error| tls.explain(&host, error)))
    }
}

/// `db.example` of `DnsName("db.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

/// The authorities that this machine believes. Without a store, or with oddities in it, what is there is believed.
fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn from_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("sslrootcert", path)? {
        roots.add(certificate).map_err(|error| unusable("sslrootcert", path, error))?;
    }
    Ok(roots)
}

fn certificates(parameter: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|error| unusable(parameter, path, error))?;
    if read.is_empty() { Err(unusable(parameter, path, "it has no certificates in PEM")) } else { Ok(read) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = secret_file::read(path).map_err(|error| unusable("sslkey", path, error))?;
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| unusable("sslkey", path, error))
}

fn unusable(parameter: &'static str, path: &Path, why: impl Into<Box<dyn Error + Send + Sync>>) -> TlsError {
    TlsError::File { parameter, path: path.to_owned(), source: why.into() }
}
