//! What is for sale beside a file and a plain upstream: folders, upstreams behind a prefix or TLS, and nothing at all.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use reqwest::{Method, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::world::{FILE, Front, World, failure, fault, header};

const SITE: &str = "[[front.routes]]\nprefix = \"/site\"\nfolder = \"site\"\nprice = 10\n\
                    [[front.routes]]\nprefix = \"/open\"\nfolder = \"site\"\nprice = 0\n";

/// A front that sells a folder, and gives it away under another prefix.
async fn site() -> (World, Front) {
    let world = World::new().await;
    let site = world.folder().join("site");
    std::fs::create_dir_all(site.join("docs/.well-known")).unwrap();
    std::fs::create_dir(site.join("empty")).unwrap();
    for (name, text) in [
        ("index.html", "<h1>home</h1>"),
        ("a b.json", "{}"),
        ("data.bin", "\0\0"),
        (".secret", "secret"),
        ("docs/index.html", "<h1>docs</h1>"),
        ("docs/.well-known/x.txt", "well known"),
        ("../outside.txt", "outside"),
    ] {
        std::fs::write(site.join(name), text).unwrap();
    }
    std::fs::create_dir(world.folder().join("site-backup")).unwrap();
    std::fs::write(world.folder().join("site-backup/index.html"), "backup").unwrap();
    symlink("docs/index.html", site.join("inside")).unwrap();
    symlink(world.folder().join("outside.txt"), site.join("outside")).unwrap();
    symlink(world.folder().join("site-backup"), site.join("backup")).unwrap();
    let front = world.front_selling(SITE).await;
    (world, front)
}

/// Status, content type, body.
async fn all(answer: Response) -> (u16, String, String) {
    let content_type = header(&answer, "content-type").unwrap_or_default().to_owned();
    (answer.status().as_u16(), content_type, answer.text().await.unwrap())
}

#[tokio::test]
async fn a_folder_serves_its_files_and_the_index_of_its_folders() {
    let (_world, front) = site().await;
    for (path, content_type, text) in [
        ("/open/", "text/html", "<h1>home</h1>"),
        ("/open/index.html", "text/html", "<h1>home</h1>"),
        ("/open/docs/", "text/html", "<h1>docs</h1>"),
        ("/open/a%20b.json", "application/json", "{}"),
        ("/op%65n/data.bin", "application/octet-stream", "\0\0"),
        ("/open/docs/.well-known/x.txt", "text/plain", "well known"),
        ("/open/inside", "text/html", "<h1>docs</h1>"),
    ] {
        assert_eq!(all(front.get(path).await).await, (200, content_type.to_owned(), text.to_owned()), "{path}");
    }
    let head = front.request(Method::HEAD, "/open/docs/").send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, Some("13")));
    for (path, there) in [("/open", "/open/"), ("/op%65n/docs?x=/y", "/op%65n/docs/?x=/y")] {
        let answer = front.get(path).await;
        assert_eq!((answer.status(), header(&answer, "location")), (StatusCode::TEMPORARY_REDIRECT, Some(there)));
    }
    let posted = front.request(Method::POST, "/open/").send().await.unwrap();
    assert_eq!(fault(posted).await, (405, "method_not_allowed".to_owned(), false));
}

#[tokio::test]
async fn nothing_outside_of_a_folder_is_served() {
    let (world, front) = site().await;
    for path in [
        "/open/outside",
        "/open/backup",
        "/open/backup/",
        "/open/backup/index.html",
        "/open/.secret",
        "/open/docs/.well-known/",
        "/open/empty/",
        "/open/nothing",
        "/open/index.html/",
        "/open/index.html/x",
        "/open/%ff",
        "/opened",
    ] {
        let answer = front.get(path).await;
        // The last one is no path of the folder's, but of the upstream at `/`.
        let expected = if path == "/opened" { StatusCode::PAYMENT_REQUIRED } else { StatusCode::NOT_FOUND };
        assert_eq!(answer.status(), expected, "{path}");
    }
    for path in ["/open/../outside.txt", "/open/%2e%2e/outside.txt", "/open/..%2foutside.txt", "/open//etc/passwd"] {
        let mut stream = TcpStream::connect(front.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    assert_eq!(world.upstream.all_calls(), 0);
}

#[tokio::test]
async fn a_file_of_a_folder_is_paid_and_what_is_not_there_costs_nothing() {
    let (world, front) = site().await;
    let payer = world.payer(100).await;
    assert_eq!(failure(&front.get("/site/nothing").await), [""; 0], "who has not paid hears of the price alone");
    assert_eq!(fault(front.pay("/site/nothing", &payer, 10).await).await, (404, "not_found".to_owned(), false));
    assert_eq!(fault(front.pay("/site/outside", &payer, 10).await).await, (404, "not_found".to_owned(), false));
    let moved = front.pay("/site/docs", &payer, 10).await;
    assert_eq!((moved.status(), header(&moved, "location")), (StatusCode::TEMPORARY_REDIRECT, Some("/site/docs/")));
    assert_eq!(world.books(&payer).await, (0, 0, 0));
    let answer = front.pay("/site/docs/", &payer, 10).await;
    assert_eq!(all(answer).await, (200, "text/html".to_owned(), "<h1>docs</h1>".to_owned()));
    assert_eq!(world.books(&payer).await, (10, 10, 0));
}

#[tokio::test]
async fn who_has_a_free_file_already_is_told_so_and_who_pays_gets_it() {
    let (world, front) = site().await;
    let payer = world.payer(100).await;
    for free in ["/open/docs/", "/free.txt"] {
        let first = front.get(free).await;
        let (tag, date) = (header(&first, "etag").unwrap(), header(&first, "last-modified").unwrap());
        let many = format!("\"other\", W/{tag}");
        for (name, value, status) in [
            ("if-none-match", tag, 304),
            ("if-none-match", &many, 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "\"other\"", 200),
            ("if-modified-since", date, 304),
            ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
            ("if-modified-since", "yesterday", 200),
        ] {
            let answer = front.request(Method::GET, free).header(name, value).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{free} {name}: {value}");
            assert_eq!(header(&answer, "etag"), Some(tag));
            assert_eq!(answer.bytes().await.unwrap().is_empty(), status == 304);
        }
        let both = front.request(Method::GET, free).header("if-none-match", "\"x\"").header("if-modified-since", date);
        assert_eq!(both.send().await.unwrap().status(), StatusCode::OK, "the tag counts");
    }
    let tag = header(&front.get("/open/docs/").await, "etag").unwrap().to_owned();
    let paid = front.request(Method::GET, "/site/docs/").headers(payer.voucher(10)).header("if-none-match", tag);
    assert_eq!(all(paid.send().await.unwrap()).await.2, "<h1>docs</h1>");
}

#[tokio::test]
async fn a_file_that_changes_or_is_gone_is_noticed_a_second_later() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let (file, second) = (world.folder().join("file.txt"), Duration::from_millis(1_100));
    let first = front.pay("/file.txt", &payer, 10).await;
    let tag = header(&first, "etag").unwrap().to_owned();
    assert_eq!(first.text().await.unwrap(), FILE);

    std::fs::write(&file, "something else, and longer\n").unwrap();
    tokio::time::sleep(second).await;
    let changed = front.pay("/file.txt", &payer, 20).await;
    assert_ne!(header(&changed, "etag"), Some(tag.as_str()));
    assert_eq!(header(&changed, "content-length"), Some("27"));
    assert_eq!(changed.text().await.unwrap(), "something else, and longer\n");

    std::fs::remove_file(&file).unwrap();
    tokio::time::sleep(second).await;
    assert_eq!(fault(front.pay("/file.txt", &payer, 30).await).await, (500, "goods_missing".to_owned(), false));
    assert_eq!(world.books(&payer).await, (20, 20, 0));
    std::fs::write(&file, FILE).unwrap();
    assert_eq!(
        front.pay("/file.txt", &payer, 30).await.text().await.unwrap(),
        FILE,
        "what is missing is not remembered"
    );
}

#[tokio::test]
async fn a_file_is_sent_whole_whether_it_is_kept_in_memory_or_not() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for (paid, length) in [(10, 0), (20, 64 << 10), (30, (64 << 10) + 1), (40, 1_000_000), (50, 7)] {
        let text: String = ('a'..='z').cycle().take(length).collect();
        std::fs::write(world.folder().join("file.txt"), &text).unwrap();
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        for _ in 0..2 {
            let head = front.request(Method::HEAD, "/free.txt").send().await.unwrap();
            assert_eq!(header(&head, "content-length"), Some(length.to_string().as_str()));
            assert!(front.get("/free.txt").await.text().await.unwrap() == text, "{length} bytes");
        }
        assert!(front.pay("/file.txt", &payer, paid).await.text().await.unwrap() == text, "{length} bytes");
    }
}

#[tokio::test]
async fn an_upstream_can_be_called_without_the_route_s_prefix() {
    let world = World::new().await;
    let upstream = world.upstream.url();
    let route = |prefix: &str, base: &str| {
        format!(
            "[[front.routes]]\nprefix = \"{prefix}\"\nupstream = \"{upstream}{base}\"\nstrip_prefix = true\nprice = 0\n"
        )
    };
    let front = world.front_selling(&(route("/api/v1", "") + &route("/e", "/echo/"))).await;
    for (path, called) in
        [("/api/v1/echo?x=/y", "/echo?x=/y"), ("/%61pi/v%31/echo", "/echo"), ("/e", "/echo"), ("/e?x", "/echo?x")]
    {
        let echo: serde_json::Value = front.get(path).await.json().await.unwrap();
        assert_eq!(echo["path"], called, "{path}");
    }
    assert_eq!(front.get("/api/v1").await.status(), StatusCode::NOT_FOUND, "the upstream's root");
    assert_eq!(front.get("/api/v1/status/2%30%34").await.status(), StatusCode::NO_CONTENT, "as it was written");
}

/// An upstream that speaks TLS, and says the first line that it was sent.
async fn https_upstream(world: &World) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(world.folder().join("ca.pem"), certificate.pem()).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let line = String::from_utf8(head).unwrap().lines().next().unwrap().to_owned();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{line}", line.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    url
}

#[tokio::test]
async fn an_upstream_may_speak_tls_with_a_certificate_that_is_trusted() {
    let world = World::new().await;
    let url = https_upstream(&world).await;
    let mut config = world.config(&format!("[[front.routes]]\nprefix = \"/tls\"\nupstream = \"{url}\"\nprice = 1\n"));
    let payer = world.payer(100).await;
    let distrusting = world.front_of(config.clone()).await;
    assert_eq!(
        fault(distrusting.pay("/tls/x", &payer, 1).await).await,
        (502, "upstream_unreachable".to_owned(), false)
    );
    world.settles(&payer, (1, 0, 0)).await;

    config.front.upstream_ca_file = Some(world.folder().join("ca.pem"));
    let front = world.front_of(config).await;
    let answer = front.pay("/tls/x", &payer, 1).await;
    assert_eq!((answer.status(), answer.text().await.unwrap().as_str()), (StatusCode::OK, "GET /tls/x HTTP/1.1"));
    world.settles(&payer, (1, 1, 0)).await;
}

#[tokio::test]
async fn a_route_under_maintenance_says_so_and_charges_nobody() {
    let world = World::new().await;
    let upstream = world.upstream.url();
    let route = |path: &str, price: u8| {
        format!(
            "[[front.routes]]\npath = \"{path}\"\nupstream = \"{upstream}\"\nprice = {price}\nmaintenance = \"back at noon\"\n"
        )
    };
    let (front, payer) = (world.front_selling(&(route("/echo", 1) + &route("/free", 0))).await, world.payer(100).await);
    for answer in [front.get("/echo").await, front.get("/free").await, front.pay("/echo", &payer, 1).await] {
        assert_eq!(header(&answer, "retry-after"), Some("60"));
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let said: serde_json::Value = answer.json().await.unwrap();
        assert_eq!((said["reason"].as_str(), said["message"].as_str()), (Some("maintenance"), Some("back at noon")));
    }
    assert_eq!(world.books(&payer).await, (0, 0, 0));
    assert_eq!(world.upstream.all_calls(), 0);
    assert_eq!(front.pay("/page", &payer, 1).await.status(), StatusCode::OK, "the others go on");
}
