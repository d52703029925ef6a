//! A shop behind TLS.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::cli::Shell;

/// Terminates TLS for `localhost` before the shell's shop. Gives its address, and a file with its certificate.
async fn in_front_of(shell: &Shell) -> Result<(String, PathBuf)> {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let file = shell.path("ca.pem");
    std::fs::write(&file, cert.pem())?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, shop) = (listener.local_addr()?, shell.url("").replace("http://", ""));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, shop) = (acceptor.clone(), shop.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await?;
                let mut server = TcpStream::connect(shop).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok((format!("https://localhost:{}", address.port()), file))
}

#[tokio::test(flavor = "multi_thread")]
async fn pays_over_tls_when_the_certificate_is_trusted() -> Result<()> {
    let shell = Shell::new().await?;
    let (url, ca) = in_front_of(&shell).await?;
    let (url, ca) = (format!("{url}/file"), ca.display().to_string());

    let stranger = shell.pay(&[&url]).await?;
    assert_eq!(stranger.code, 1, "{}", stranger.err);
    assert_eq!(shell.world.shop.seen().len(), 0);

    let paid = shell.pay(&["--cacert", &ca, &url]).await?;
    assert_eq!((paid.code, paid.out.as_str()), (0, "bought"), "{}", paid.err);
    assert_eq!(shell.world.shop.money(), (10, 10));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_certificates_is_no_trust() -> Result<()> {
    let shell = Shell::new().await?;
    let empty = shell.path("empty.pem").display().to_string();
    std::fs::write(&empty, "")?;
    let refused = shell.pay(&["--cacert", &empty, "https://localhost/"]).await?;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("empty.pem holds no certificates"), "{}", refused.err);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn never_follows_a_redirect_out_of_tls() -> Result<()> {
    let shell = Shell::new().await?;
    let (url, ca) = in_front_of(&shell).await?;
    let plain = shell.url("/file");
    shell.world.shop.next([crate::shop::Act::Say(302, vec![("Location", plain)])]);
    let arguments = ["-L", "--host", "localhost", "--host", "127.0.0.1", "--cacert", &ca.display().to_string(), &url];
    let stopped = shell.pay(&arguments).await?;
    assert_eq!(stopped.code, 1, "{}", stopped.err);
    assert!(stopped.err.contains("from TLS to plain text"), "{}", stopped.err);
    assert_eq!(shell.world.shop.seen().len(), 1);
    Ok(())
}
