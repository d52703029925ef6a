//! The port that speaks TLS: both versions of HTTP, certificates that are good, broken, expired or replaced.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use front::Listeners;
use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Client, ClientBuilder, StatusCode, Version};
use runtime::{Config, Shutdown, config};
use testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::program::Program;
use crate::world::{Payer, World};

/// A certificate for 127.0.0.1 that is its own authority.
struct Issued {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Issued {
    fn new() -> Issued {
        Issued::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Issued { certificate: params.self_signed(&key).unwrap(), key }
    }

    fn expired() -> Issued {
        Issued::with(|params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        })
    }

    /// Replaces the files at once, each, as certbot and Kubernetes do.
    fn write(&self, folder: &Path) -> config::Tls {
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        replace(&key, &self.key.serialize_pem(), 0o600);
        replace(&certificate, &self.certificate.pem(), 0o644);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config::Tls { listen, certificate, key, poll: Duration::from_millis(50) }
    }

    /// A client that trusts this certificate and no other.
    fn client(&self) -> ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.certificate.pem().as_bytes()).unwrap();
        Client::builder().no_proxy().tls_certs_only([root]).timeout(Duration::from_secs(20))
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
    }
}

fn replace(path: &PathBuf, text: &str, mode: u32) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, Permissions::from_mode(mode)).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A front with both ports.
struct Secure {
    plain: SocketAddr,
    tls: SocketAddr,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Secure {
    async fn start(world: &World, issued: &Issued, change: impl FnOnce(&mut Config)) -> Secure {
        let mut config = world.config("");
        config.front.tls = Some(issued.write(world.folder()));
        change(&mut config);
        let port = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listeners = Listeners { plain: port().await, tls: Some(port().await) };
        let plain = listeners.plain.local_addr().unwrap();
        let tls = listeners.tls.as_ref().unwrap().local_addr().unwrap();
        let ledger = ledger::Ledger::connect(&config.database).await.unwrap();
        let running = tokio::spawn(async move { front::serve(&config, ledger, listeners, Shutdown::default()).await });
        Secure { plain, tls, running }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.tls)
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The whole chain of an error in words.
fn words(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

#[tokio::test]
async fn both_versions_of_http_pay_over_tls_and_upstreams_hear_that_it_was_https() {
    let (world, issued) = (World::new().await, Issued::new());
    let (front, payer) = (Secure::start(&world, &issued, |_| {}).await, world.payer(100).await);
    let clients = [(issued.client(), Version::HTTP_2), (issued.client().http1_only(), Version::HTTP_11)];
    for (amount, (client, version)) in (1..).zip(clients) {
        let answer =
            client.build().unwrap().get(front.url("/echo")).headers(payer.voucher(amount)).send().await.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, version));
        let body = answer.text().await.unwrap();
        assert!(body.contains(r#"["x-forwarded-proto","https"]"#), "{body}");
    }
    world.settles(&payer, (2, 2, 0)).await;
    let plain = Client::builder().no_proxy().build().unwrap().get(format!("http://{}/free.txt", front.plain));
    assert_eq!(plain.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn tls_1_2_is_spoken_and_tls_1_1_is_not() {
    let (world, issued) = (World::new().await, Issued::new());
    let front = Secure::start(&world, &issued, |_| {}).await;
    let old = issued.client().tls_version_max(reqwest::tls::Version::TLS_1_2).build().unwrap();
    assert_eq!(old.get(front.url("/free.txt")).send().await.unwrap().status(), StatusCode::OK);
    // A hello of TLS 1.1, by hand: version 3.2, 32 random bytes, no session, one cipher, no compression.
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x00, 0x2f, 1, 0]);
    let mut stream = TcpStream::connect(front.tls).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.first(), Some(&21), "an alert: {heard:?}");
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_hung_up_on_and_disturbs_nobody() {
    let (world, issued) = (World::new().await, Issued::new());
    let front = Secure::start(&world, &issued, |_| {}).await;
    let client = issued.client().build().unwrap();
    let error = client.get(format!("http://{}/free.txt", front.tls)).send().await.unwrap_err();
    assert!(!error.is_timeout(), "{}", words(error));
    let error = client.get(format!("https://{}/free.txt", front.plain)).send().await.unwrap_err();
    assert!(!error.is_timeout(), "{}", words(error));
    assert_eq!(client.get(front.url("/free.txt")).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_front_does_not_open_with_a_certificate_that_is_broken() {
    let world = World::new().await;
    let (issued, other) = (Issued::new(), Issued::new());
    let refuse = async |spoil: Spoil<'_>| {
        let mut config = world.config("");
        let tls = issued.write(world.folder());
        spoil(&tls);
        config.front.tls = Some(tls);
        let ledger = ledger::Ledger::connect(&config.database).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        words(front::serve(&config, ledger, listener, Shutdown::default()).await.unwrap_err())
    };
    let mode = |path: &PathBuf, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let spoilt: [(Spoil<'_>, [&str; 2]); 7] = [
        (&|tls| replace(&tls.key, &other.key.serialize_pem(), 0o600), ["front.tls.key: ", "KeyMismatch"]),
        (&|tls| mode(&tls.key, 0o644), ["front.tls.key: ", "mode 0644: others must not read it"]),
        (&|tls| replace(&tls.key, "no key", 0o600), ["front.tls.key: ", "no private key"]),
        (&|tls| std::fs::remove_file(&tls.key).unwrap(), ["front.tls.key: ", "cannot be read"]),
        (&|tls| replace(&tls.certificate, "nothing", 0o644), ["front.tls.certificate: ", "no certificate"]),
        (&|tls| replace(&tls.certificate, BROKEN_PEM, 0o644), ["front.tls.certificate: ", "broken certificate"]),
        (&|tls| std::fs::remove_file(&tls.certificate).unwrap(), ["front.tls.certificate: ", "cert.pem"]),
    ];
    for (spoil, expected) in spoilt {
        let problem = refuse(spoil).await;
        assert!(expected.iter().all(|words| problem.contains(words)), "{expected:?} is missing in: {problem}");
    }
}

type Spoil<'a> = &'a dyn Fn(&config::Tls);

/// Base64 that is no certificate.
const BROKEN_PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAAAAAA\n-----END CERTIFICATE-----\n";

#[tokio::test]
async fn a_bad_key_ends_the_process_before_it_opens_any_port() {
    let (world, issued) = (World::new().await, Issued::new());
    let tls = issued.write(world.folder());
    std::fs::set_permissions(&tls.key, Permissions::from_mode(0o640)).unwrap();
    let mut program = start(&world, &tls, "127.0.0.1:0");
    wait::until("the front to end", Duration::from_secs(10), async || {
        anyhow::ensure!(program.process.check_running().is_err(), "it runs");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(program.probe("/livez").await, None);
    let log = std::fs::read_to_string(world.folder().join("log")).unwrap();
    assert!(log.contains("mode 0640: others must not read it, so make it 0600 or 0400"), "{log}");
}

fn start(world: &World, tls: &config::Tls, listen: &str) -> Program {
    let settings = [
        ("SLUICE_FRONT__TLS__LISTEN", listen),
        ("SLUICE_FRONT__TLS__CERTIFICATE", tls.certificate.to_str().unwrap()),
        ("SLUICE_FRONT__TLS__KEY", tls.key.to_str().unwrap()),
        ("SLUICE_FRONT__TLS__POLL_MS", "60000"),
    ];
    Program::start_with(world, &settings)
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_clients_until_it_is_replaced() {
    let (world, expired, good) = (World::new().await, Issued::expired(), Issued::new());
    let front = Secure::start(&world, &expired, |_| {}).await;
    let client = expired.client().build().unwrap();
    let refused = words(client.get(front.url("/free.txt")).send().await.unwrap_err()).to_lowercase();
    assert!(refused.contains("expired"), "{refused}");
    good.write(world.folder());
    becomes(&good.client().build().unwrap(), &front.url("/free.txt")).await;
}

/// Waits until requests to this URL are answered.
async fn becomes(client: &Client, url: &str) {
    wait::until("the certificate to be taken", Duration::from_secs(5), async || {
        anyhow::ensure!(client.get(url).send().await?.status() == StatusCode::OK);
        Ok(())
    })
    .await
    .unwrap();
}

/// Asks again and again, half of the time on a new connection, until it is aborted. The number of answers.
async fn ask_for_ever(url: String, trusted: Vec<reqwest::Certificate>, answered: Arc<std::sync::atomic::AtomicU32>) {
    let client = || Client::builder().no_proxy().tls_certs_only(trusted.clone()).build().unwrap();
    let kept = client();
    loop {
        for client in [&kept, &client()] {
            assert_eq!(client.get(&url).send().await.unwrap().text().await.unwrap(), crate::world::FILE);
            answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn new_certificates_are_taken_under_load_and_nothing_is_lost() {
    let (world, first) = (World::new().await, Issued::new());
    let front = Secure::start(&world, &first, |_| {}).await;
    let issued: Vec<_> = (0..5).map(|_| Issued::new()).collect();
    let pems = issued.iter().chain([&first]).map(|issued| issued.certificate.pem());
    let trusted: Vec<_> = pems.map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()).unwrap()).collect();
    let payer = world.payer(10).await;
    let client = first.client().build().unwrap();
    let slow = tokio::spawn(client.get(front.url("/slow/900")).headers(payer.voucher(1)).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answered = Arc::<std::sync::atomic::AtomicU32>::default();
    let load: Vec<_> =
        (0..4).map(|_| tokio::spawn(ask_for_ever(front.url("/free.txt"), trusted.clone(), answered.clone()))).collect();
    for issued in &issued {
        issued.write(world.folder());
        becomes(&issued.client().build().unwrap(), &front.url("/free.txt")).await;
    }
    assert!(load.iter().all(|task| !task.is_finished()), "a request was lost");
    assert!(answered.load(std::sync::atomic::Ordering::Relaxed) > 50, "{answered:?}");
    load.iter().for_each(JoinHandle::abort);
    // A connection of before is as good as ever; a new one sees the new certificate.
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(client.get(front.url("/free.txt")).send().await.unwrap().status(), StatusCode::OK);
    assert!(first.client().build().unwrap().get(front.url("/free.txt")).send().await.is_err());
}

#[tokio::test]
async fn a_broken_new_certificate_keeps_the_old_one_and_says_so() {
    let (world, first, second) = (World::new().await, Issued::new(), Issued::new());
    let tls = first.write(world.folder());
    let listen = format!("127.0.0.1:{}", testkit::ports::free().unwrap());
    let program = start(&world, &tls, &listen);
    program.becomes("/readyz", StatusCode::OK).await;
    let url = format!("https://{listen}/free.txt");
    let metric = async |line: &str| {
        wait::until(line, Duration::from_secs(5), async || {
            let page = program.client.get(format!("http://{}/metrics", program.ops)).send().await?.text().await?;
            anyhow::ensure!(page.contains(line), "{page}");
            Ok(())
        })
        .await
        .unwrap();
    };
    let ask = async |issued: &Issued| issued.client().build().unwrap().get(&url).send().await;
    assert_eq!(ask(&first).await.unwrap().status(), StatusCode::OK);
    metric("front_tls_handshakes_total{outcome=\"done\"} 1").await;
    metric("front_tls_certificate_expiry_timestamp_seconds ").await;

    replace(&tls.certificate, &second.certificate.pem(), 0o644); // the key is still the first's
    program.process.signal(Signal::SIGHUP).unwrap();
    metric("front_tls_certificates_total{outcome=\"broken\"} 1").await;
    assert_eq!(ask(&first).await.unwrap().status(), StatusCode::OK);
    assert!(ask(&second).await.is_err());
    let log = std::fs::read_to_string(world.folder().join("log")).unwrap();
    assert!(log.contains("the new certificate is broken; the old one stays"), "{log}");

    replace(&tls.key, &second.key.serialize_pem(), 0o600);
    program.process.signal(Signal::SIGHUP).unwrap();
    metric("front_tls_certificates_total{outcome=\"taken\"} 1").await;
    assert_eq!(ask(&second).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_hung_up_on_and_counts_as_a_connection() {
    let (world, issued) = (World::new().await, Issued::new());
    let front = Secure::start(&world, &issued, |config| {
        config.front.timeouts.header = Duration::from_millis(500);
        config.front.limits.connections = 1;
    })
    .await;
    let mut silent = TcpStream::connect(front.tls).await.unwrap();
    silent.write_all(&[22, 3, 1]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    let client = Client::builder().no_proxy().build().unwrap();
    let waited = client.get(format!("http://{}/free.txt", front.plain)).send().await.unwrap();
    assert_eq!(waited.status(), StatusCode::OK);
    assert!(began.elapsed() > Duration::from_millis(250), "{:?}", began.elapsed());
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(2), silent.read_to_end(&mut rest)).await.unwrap();
}

/// What a paid request over TLS is answered on a connection that begins with these bytes.
async fn after(front: &Secure, issued: &Issued, payer: &Payer, preface: &[u8]) -> String {
    let mut stream = TcpStream::connect(front.tls).await.unwrap();
    stream.write_all(preface).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = issued.connector().connect(name, stream).await.unwrap();
    let mut request = "GET /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n".to_owned();
    for (name, value) in &payer.voucher(1) {
        request += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_proxy_header_comes_before_tls() {
    let (world, issued) = (World::new().await, Issued::new());
    let front = Secure::start(&world, &issued, |config| {
        config.front.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.front.proxy_protocol = true;
    })
    .await;
    let mut preface = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    preface.extend([203, 0, 113, 7, 127, 0, 0, 1, 0x30, 0x39, 0x20, 0xfb]);
    let answer = after(&front, &issued, &world.payer(10).await, &preface).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#"["x-forwarded-for","203.0.113.7"]"#), "{answer}");
    assert!(answer.contains(r#"["x-forwarded-proto","https"]"#), "{answer}");
}
