//! TLS to a PostgreSQL that takes nothing else over TCP: who is believed, who is not, and in which words.

mod common;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use common::*;
use ledger::{JobKind, Ledger, LedgerError, NewJob, Settings};
use tempfile::TempDir;
use testkit::authority::Authority;
use testkit::postgres::{Options, Postgres, Tls};
use testkit::wait;
use tokio_postgres::Client;

/// A server, whom it has its certificates from, and a folder for what its clients trust.
struct Scene {
    server: Postgres,
    authority: Authority,
    folder: TempDir,
}

impl Scene {
    async fn start() -> Scene {
        Scene::asking(None).await
    }

    /// Clients must have a certificate of this authority.
    async fn asking(clients: Option<&Authority>) -> Scene {
        let authority = Authority::new("ours").expect("an authority is made");
        let tls =
            Tls { server: authority.server("127.0.0.1").expect("it signs"), clients: clients.map(Authority::pem) };
        let server =
            Postgres::start_with(Options { tls: Some(tls), ..Options::default() }).await.expect("PostgreSQL starts");
        let scene = Scene { server, authority, folder: TempDir::new().expect("there is room") };
        scene.file("ca.pem", &scene.authority.pem(), 0o644);
        scene
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("it is ours");
        path
    }

    /// An address with these parameters; files are those of the folder.
    fn url(&self, parameters: &str) -> String {
        let folder = self.folder.path().display();
        format!("{}?{}", self.server.url("postgres"), parameters.replace("FOLDER", &folder.to_string()))
    }

    fn verified(&self) -> String {
        self.url("sslmode=verify-full&sslrootcert=FOLDER/ca.pem")
    }

    async fn migrated(&self) -> String {
        let url = self.verified();
        ledger::migrate(&url).await.expect("migrations go over TLS");
        url
    }

    /// Past TLS, by the socket.
    async fn sql(&self) -> Client {
        sql(&self.server.socket_url("postgres")).await
    }
}

/// What both who migrate and who connect are told.
async fn refusal(url: &str) -> String {
    let migrated = words(ledger::migrate(url).await.expect_err(url));
    let connected = words(Ledger::connect(&settings(url)).await.expect_err(url));
    assert_eq!(migrated, connected);
    connected
}

fn words(error: LedgerError) -> String {
    let mut causes = vec![error.to_string()];
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes.join(": ")
}

#[tokio::test]
async fn everything_goes_over_tls_migrations_payments_and_rings() {
    let scene = Scene::start().await;
    let url = scene.migrated().await;
    let ledger = connect(&url).await;
    open_channels(&ledger, 1, 100).await;
    sell(&ledger, order(voucher(0, 1))).await.expect("it is paid for");
    let mut bell = ledger.listen(&[JobKind::Sync]);
    bell.wait(Duration::from_millis(500)).await; // that it is connected
    let job =
        NewJob { kind: JobKind::Sync, key: "1".into(), deployment: DEPLOYMENT.into(), channel: None, amount: None };
    ledger.enqueue(&job).await.unwrap();
    bell.wait(Duration::from_secs(5)).await;

    let sessions = "SELECT DISTINCT application_name, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
        WHERE application_name LIKE 'sluice%' ORDER BY 1";
    let sessions = scene.sql().await.query(sessions, &[]).await.unwrap();
    let sessions: Vec<(&str, bool)> = sessions.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(sessions, [("sluice", true), ("sluice listener", true), ("sluice payments", true)]);
    let says = ledger.encryption().await.unwrap().expect("it is encrypted");
    assert!(says.starts_with("TLSv1.3, "), "{says}");
}

#[tokio::test]
async fn a_server_that_is_not_the_one_in_the_address_is_refused_and_it_is_said_why() {
    let scene = Scene::start().await;
    let other = Authority::new("somebody else's").unwrap();
    scene.file("other.pem", &other.pem(), 0o644);
    let says = refusal(&scene.url("sslmode=verify-full&sslrootcert=FOLDER/other.pem")).await;
    assert!(says.contains("is signed by no authority in ") && says.contains("other.pem"), "{says}");
    let says = refusal(&scene.url("sslmode=verify-full")).await;
    assert!(says.contains("no authority of the system's; name the file of its authority with sslrootcert"), "{says}");
    // The same name on another authority: its signature does not fit.
    scene.file("twin.pem", &Authority::new("ours").unwrap().pem(), 0o644);
    let says = refusal(&scene.url("sslmode=verify-ca&sslrootcert=FOLDER/twin.pem")).await;
    assert!(says.contains("is signed by no authority in "), "{says}");

    scene.server.present(&scene.authority.server("db.example").unwrap()).await.unwrap();
    until_shown(&scene, "is for db.example, not for 127.0.0.1").await;
    scene.server.present(&scene.authority.expired_server("127.0.0.1").unwrap()).await.unwrap();
    until_shown(&scene, "the server's certificate has expired; the server needs a new one").await;
    scene.server.present(&Authority::new("127.0.0.1").unwrap().itself()).await.unwrap();
    until_shown(&scene, "is an authority's own").await;
}

/// PostgreSQL takes a moment to take a new certificate.
async fn until_shown(scene: &Scene, says: &str) {
    wait::until("the certificate to be shown", Duration::from_secs(5), async || {
        let said = ledger::migrate(&scene.verified()).await.err().map(words).unwrap_or_default();
        anyhow::ensure!(said.contains(says), "{said}");
        Ok(())
    })
    .await
    .expect("it is shown");
    assert!(refusal(&scene.verified()).await.contains(says));
}

#[tokio::test]
async fn each_mode_checks_what_it_says_and_no_more() {
    let scene = Scene::start().await;
    scene.migrated().await;
    scene.server.present(&scene.authority.server("db.example").unwrap()).await.unwrap();
    until_shown(&scene, "not for 127.0.0.1").await;
    let encrypted =
        async |parameters: &str| connect(&scene.url(parameters)).await.encryption().await.unwrap().is_some();
    assert!(encrypted("sslmode=verify-ca&sslrootcert=FOLDER/ca.pem").await, "whatever its name");
    assert!(encrypted("sslmode=require&sslrootcert=FOLDER/ca.pem").await, "as libpq has it");
    assert!(encrypted("sslmode=require").await, "whoever it is");
    assert!(encrypted("sslmode=prefer").await && encrypted("").await, "where it is offered");
    scene.file("other.pem", &Authority::new("somebody else's").unwrap().pem(), 0o644);
    for mode in ["verify-ca", "require"] {
        let says = refusal(&scene.url(&format!("sslmode={mode}&sslrootcert=FOLDER/other.pem"))).await;
        assert!(says.contains("is signed by no authority"), "{mode}: {says}");
    }
    let says = refusal(&scene.url("sslmode=disable")).await;
    assert!(says.contains("no pg_hba.conf entry") && says.contains("no encryption"), "{says}");
}

#[tokio::test]
async fn a_server_without_tls_is_used_unless_the_address_demands_it() {
    let url = database().await;
    for mode in ["disable", "prefer"] {
        let ledger = connect(&format!("{url}?sslmode={mode}")).await;
        assert_eq!(ledger.encryption().await.unwrap(), None, "{mode}");
    }
    for mode in ["require", "verify-full"] {
        let says = refusal(&format!("{url}?sslmode={mode}")).await;
        assert!(says.ends_with("server does not support TLS"), "{says}");
    }
}

#[tokio::test]
async fn files_are_read_for_each_connection_so_they_can_be_replaced() {
    let scene = Scene::start().await;
    let url = scene.migrated().await;
    let ledger = connect(&url).await;
    let next = Authority::new("the next").unwrap();
    scene.file("ca.pem", &(scene.authority.pem() + &next.pem()), 0o644);
    scene.server.present(&next.server("127.0.0.1").unwrap()).await.unwrap();
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sluice%'";
    scene.sql().await.query(kill, &[]).await.unwrap();
    wait::until("the ledger to be back", Duration::from_secs(10), async || Ok(ledger.healthy().await?)).await.unwrap();
    scene.file("ca.pem", &next.pem(), 0o644);
    wait::until("the new certificate to be shown", Duration::from_secs(5), async || Ok(ledger::migrate(&url).await?))
        .await
        .unwrap();

    scene.file("ca.pem", "no certificate", 0o644);
    let says = refusal(&url).await;
    assert!(says.contains("sslrootcert (") && says.contains("ca.pem) cannot be used: it has no cert"), "{says}");
    let says = refusal(&scene.url("sslmode=verify-full&sslrootcert=FOLDER/none.pem")).await;
    assert!(says.contains("none.pem) cannot be used") && says.contains("No such file"), "{says}");
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_shown_our_certificate() {
    let clients = Authority::new("clients'").unwrap();
    let scene = Scene::asking(Some(&clients)).await;
    let says = refusal(&scene.verified()).await;
    assert!(says.contains("connection requires a valid client certificate"), "{says}");
    let ours = clients.client("sluice").unwrap();
    scene.file("cert.pem", &ours.certificate, 0o644);
    scene.file("key.pem", &ours.key, 0o600);
    let ours_too = "sslmode=verify-full&sslrootcert=FOLDER/ca.pem&sslcert=FOLDER/cert.pem&sslkey=FOLDER/key.pem";
    let url = scene.url(ours_too);
    ledger::migrate(&url).await.expect("it knows us");
    connect(&url).await.healthy().await.expect("it is healthy");

    scene.file("key.pem", &clients.client("another").unwrap().key, 0o600);
    let says = refusal(&url).await;
    assert!(says.contains("sslcert and sslkey do not fit together"), "{says}");
    scene.file("key.pem", &ours.key, 0o644);
    let says = refusal(&url).await;
    assert!(says.contains("sslkey (") && says.contains("others must not read it"), "{says}");
}

#[tokio::test]
async fn an_address_that_would_check_nothing_is_refused_before_anything_is_connected() {
    let settings = Settings::new("postgres://me:geheim@db/sluice?sslmode=verify-ca");
    let says = settings.check().unwrap_err().to_string();
    assert!(says.contains("sslrootcert") && !says.contains("geheim"), "{says}");
}
