//! Whom the programs in the image trust: the certificates in it, or those mounted in their place.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use anyhow::Result;
use testkit::authority::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::container::{Pod, said};

/// Serves everybody for nothing, behind TLS, as `localhost`; gives its address.
async fn server(authority: &Authority) -> Result<String> {
    let issued = authority.server("localhost")?;
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes())?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://localhost:{}/", listener.local_addr()?.port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    Ok(url)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_authorities_are_trusted_and_another_once_it_is_mounted() -> Result<()> {
    let authority = Authority::new("an authority of our own")?;
    let url = server(&authority).await?;
    let pod = Pod::of("front-deployment")?;

    let stranger = pod.run(&["sluice", "quote", &url])?;
    assert_eq!(stranger.status.code(), Some(1));
    assert!(said(&stranger).contains("UnknownIssuer"), "{}", said(&stranger));

    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let file = folder.path().join("ours.pem");
    fs::write(&file, authority.pem())?;
    let trusting = pod.with([format!("--volume={}:/etc/ssl/certs/ca-certificates.crt:ro", file.display())]);
    assert!(trusting.prints(&["sluice", "quote", &url])?.contains("free"));
    Ok(())
}
