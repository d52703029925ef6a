//! How other servers are called: one pool of connections for all of them, plain or TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use runtime::config;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::body::Body;

/// Connections are kept this long for the next call.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// Calls upstreams, and whom else the configuration names.
pub(crate) struct Caller {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    /// Without a piece of the request taken or the answer's head given.
    pub(super) head: Duration,
    /// Between two pieces of the answer.
    pub(super) idle: Duration,
    /// Headers of payment protocols.
    pub(super) prefixes: Vec<&'static str>,
}

impl Caller {
    /// # Errors
    /// When the file of authorities is no such file.
    pub(crate) fn new(front: &config::Front) -> anyhow::Result<Arc<Caller>> {
        let timeouts = &front.timeouts;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(timeouts.connect));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(front.upstream_ca_file.as_deref())?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let prefixes = protocols::ALL.iter().map(|protocol| protocol.prefix()).collect();
        Ok(Arc::new(Caller { client, head: timeouts.upstream_head, idle: timeouts.upstream_idle, prefixes }))
    }

    pub(super) async fn call(&self, request: Request<Body>) -> Result<Response<Incoming>, Error> {
        self.client.request(request).await
    }

    /// The status and the whole body, at most `limit` bytes, of what is at this address.
    pub(crate) async fn get(&self, url: Uri, timeout: Duration, limit: usize) -> anyhow::Result<(StatusCode, Bytes)> {
        let ask = async {
            let (head, body) = self.client.get(url).await.context("it cannot be reached")?.into_parts();
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!(error).context("its answer broke off, or is too long"))?;
            Ok((head.status, body.to_bytes()))
        };
        tokio::time::timeout(timeout, ask).await.context("it took too long")?
    }
}

/// Trusts the system's authorities, and those in the file.
fn tls(authorities: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // Without a store, or with oddities in it, what is there is trusted; a call to others fails and says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = authorities {
        let broken = || format!("front.upstream_ca_file: {} has no certificates in PEM", file.display());
        let certificates = CertificateDer::pem_file_iter(file).with_context(broken)?;
        let certificates = certificates.collect::<Result<Vec<_>, _>>().with_context(broken)?;
        anyhow::ensure!(!certificates.is_empty(), broken());
        for certificate in certificates {
            roots.add(certificate).with_context(broken)?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}
