//! A broker that speaks TLS, asks for a certificate, and has a password.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use queue::Broker;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use runtime::config::Queue;
use tempfile::TempDir;
use testkit::ports;
use testkit::rabbit::{Options, Rabbit};

use crate::common::{Scene, alone, next, ring};

/// Certificates of one authority, in a folder.
struct Office {
    folder: TempDir,
}

impl Office {
    fn open() -> Office {
        let office = Office { folder: TempDir::new().unwrap() };
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        office.write("ca.pem", &authority.pem());
        for (name, usage) in
            [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
        {
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            office.write(&format!("{name}.pem"), &params.signed_by(&key, &authority).unwrap().pem());
            office.write(&format!("{name}.key"), &key.serialize_pem());
        }
        office
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        secret(&self.path(file), text);
    }
}

fn secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_both_sides_show_who_they_are_and_the_password_comes_from_a_file() {
    let _turn = alone().await;
    let (office, port) = (Office::open(), ports::free().unwrap());
    let more = format!(
        "listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {}
ssl_options.certfile = {}
ssl_options.keyfile = {}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
",
        office.path("ca.pem").display(),
        office.path("server.pem").display(),
        office.path("server.key").display(),
    );
    let rabbit = Rabbit::start(Options { more, ..Options::default() }).await.unwrap();
    rabbit.node(0).control(&["change_password", "guest", "correct horse"]).await.unwrap();
    office.write("password", "correct horse\n");
    let settings = Queue {
        url: format!("amqps://guest@127.0.0.1:{port}/%2f").into(),
        password_file: Some(office.path("password")),
        ca_file: Some(office.path("ca.pem")),
        certificate: Some(office.path("client.pem")),
        key: Some(office.path("client.key")),
        timeout: Duration::from_secs(3),
        ..Queue::default()
    };
    let scene = Scene::with(settings.clone()).await;
    scene.broker.publisher().ring(&[ring(1)]).await.unwrap();
    next(&mut scene.rings()).await.done().await;

    let other = Office::open();
    office.write("wrong", "incorrect horse\n");
    for (what, settings) in [
        ("no certificate", Queue { certificate: None, key: None, ..settings.clone() }),
        ("an authority that we do not know", Queue { ca_file: Some(other.path("ca.pem")), ..settings.clone() }),
        ("no authority", Queue { ca_file: None, ..settings.clone() }),
        ("another password", Queue { password_file: Some(office.path("wrong")), ..settings.clone() }),
    ] {
        let broker = Broker::new(&settings).unwrap();
        let mut publisher = broker.publisher();
        publisher.ring(&[ring(2)]).await.expect_err(what);
        println!("{what}: {}", broker.check().unwrap_err());
    }

    fs::set_permissions(office.path("client.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = Broker::new(&settings).unwrap_err();
    assert!(error.to_string().contains("client.key"), "{error}");
}
