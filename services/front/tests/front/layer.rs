//! The paywall inside a program: an axum application, served for real.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use channel::Amount;
use front::{Paywall, config};
use ledger::Ledger;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use runtime::Config;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::world::{Payer, World, failure, fault, header};

/// The program of the documentation.
#[expect(dead_code, reason = "its main is not run")]
#[path = "../../examples/axum_app.rs"]
mod example;

/// A program of a seller's, running.
struct App {
    address: SocketAddr,
    sluice: Paywall,
    client: Client,
    /// How often a handler was called.
    calls: Arc<AtomicU32>,
    running: JoinHandle<()>,
}

impl App {
    async fn start(world: &World, routes: impl FnOnce(&Paywall) -> Router<Arc<AtomicU32>>) -> App {
        App::start_with(world, |_| {}, routes).await
    }

    async fn start_with(
        world: &World,
        change: impl FnOnce(&mut Config),
        routes: impl FnOnce(&Paywall) -> Router<Arc<AtomicU32>>,
    ) -> App {
        let mut config = world.config("");
        change(&mut config);
        let ledger = Ledger::connect(&config.database).await.unwrap();
        let sluice = Paywall::new(&config, ledger).unwrap();
        let calls = Arc::<AtomicU32>::default();
        let app = routes(&sluice).merge(sluice.desk()).with_state(calls.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        let running = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        App { address, sluice, client: Client::builder().no_proxy().build().unwrap(), calls, running }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).timeout(Duration::from_secs(20))
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn pay(&self, path: &str, payer: &Payer, amount: u128) -> Response {
        self.request(Method::GET, path).headers(payer.voucher(amount)).send().await.unwrap()
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Says everything it sees of its request.
async fn echo(State(calls): State<Arc<AtomicU32>>, uri: Uri, headers: HeaderMap, body: Bytes) -> String {
    calls.fetch_add(1, Ordering::Relaxed);
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    format!("{uri}\n{}\n\n{}", headers.join("\n"), String::from_utf8_lossy(&body))
}

/// Answers this status.
async fn status(State(calls): State<Arc<AtomicU32>>, Path(status): Path<u16>) -> StatusCode {
    calls.fetch_add(1, Ordering::Relaxed);
    StatusCode::from_u16(status).unwrap()
}

async fn panics() -> StatusCode {
    panic!("as it should")
}

async fn slow(State(calls): State<Arc<AtomicU32>>, Path(ms): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    calls.fetch_add(1, Ordering::Relaxed);
    "at last\n"
}

fn usual(sluice: &Paywall) -> Router<Arc<AtomicU32>> {
    Router::new()
        .route("/echo", any(echo).layer(sluice.priced("echo", 2)))
        .route("/status/{status}", get(status).layer(sluice.priced("status", 1)))
        .route("/panics", get(panics).layer(sluice.priced("panics", 1)))
        .route("/slow/{ms}", get(slow).layer(sluice.priced("slow", 1)))
}

#[tokio::test]
async fn the_example_sells_square_roots() {
    let world = World::new().await;
    let config = world.config("");
    let sluice = Paywall::new(&config, Ledger::connect(&config.database).await.unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = example::app(&sluice).into_make_service_with_connect_info::<SocketAddr>();
    let running = tokio::spawn(async move { axum::serve(listener, service).await });
    let payer = world.payer(100).await;
    let client = Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::OK);
    let unpaid = client.get(format!("{url}/sqrt/9")).send().await.unwrap();
    assert_eq!((failure(&unpaid).len(), header(&unpaid, "rdn-price")), (0, Some("3")));
    let paid = client.get(format!("{url}/sqrt/9")).headers(payer.voucher(3)).send().await.unwrap();
    assert_eq!(paid.text().await.unwrap(), "3");
    world.settles(&payer, (3, 3, 0)).await;
    // What is no number is not worth the price, and what there is no method for not even an answer of ours.
    assert_eq!(client.post(format!("{url}/sqrt/9")).send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    sluice.close().await;
    running.abort();
}

#[tokio::test]
async fn a_handler_is_called_once_it_is_paid_for_and_sees_who_paid() {
    let world = World::new().await;
    let (app, payer) = (App::start(&world, usual).await, world.payer(100).await);
    let unpaid = app.get("/echo").await;
    assert_eq!(failure(&unpaid), [""; 0]);
    assert_eq!((header(&unpaid, "rdn-price"), header(&unpaid, "rdn-gateway-path")), (Some("2"), Some("/api/1")));
    assert_eq!(failure(&app.pay("/echo", &payer, 1).await), ["rdn-invalid-amount"]);
    assert_eq!(app.calls(), 0);

    let request = app.request(Method::POST, "/echo?a=b").headers(payer.voucher(2)).body("hello");
    let request = request.header("sluice-payer", "forged").header("cookie", "rdn-price=1; mine=2");
    let paid = request.send().await.unwrap();
    assert_eq!((paid.status(), header(&paid, "rdn-sender-balance")), (StatusCode::OK, Some("2")));
    let seen = paid.text().await.unwrap();
    assert!(seen.starts_with("/echo?a=b\n") && seen.ends_with("\n\nhello"), "{seen}");
    for line in [format!("sluice-payer: {}", payer.address()), format!("sluice-channel: {}", payer.channel())] {
        assert!(seen.contains(&line), "{line} is missing in {seen}");
    }
    assert!(seen.contains("sluice-price: 2\n") && seen.contains("cookie: mine=2"), "{seen}");
    assert!(!seen.contains("rdn-") && !seen.contains("forged"), "{seen}");
    world.settles(&payer, (2, 2, 0)).await;
    assert_eq!(app.calls(), 1);
}

#[tokio::test]
async fn a_request_that_is_paid_twice_is_answered_once() {
    let world = World::new().await;
    let (app, payer) = (App::start(&world, usual).await, world.payer(100).await);
    let ask = async || {
        let request = app.request(Method::GET, "/echo").headers(payer.voucher(2)).header("idempotency-key", "a");
        request.send().await.unwrap()
    };
    assert_eq!(ask().await.status(), StatusCode::OK);
    world.settles(&payer, (2, 2, 0)).await;
    assert_eq!(fault(ask().await).await.1, "already_paid");
    assert_eq!(app.calls(), 1);
}

#[tokio::test]
async fn a_handler_that_fails_is_credited_and_asked_again_from_credit() {
    let world = World::new().await;
    let (app, payer) = (App::start(&world, usual).await, world.payer(100).await);
    assert_eq!(app.pay("/status/500", &payer, 1).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(world.books(&payer).await, (1, 0, 0));
    assert_eq!(app.pay("/status/500", &payer, 1).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((world.books(&payer).await, app.calls()), ((1, 0, 0), 2));
    assert_eq!(app.pay("/status/404", &payer, 2).await.status(), StatusCode::NOT_FOUND);
    world.settles(&payer, (2, 1, 0)).await;
    assert_eq!(fault(app.pay("/status/402", &payer, 3).await).await.1, "upstream_unpaid");
    assert_eq!(world.books(&payer).await, (3, 1, 0));
}

#[tokio::test]
async fn a_handler_that_panics_is_credited_at_once() {
    let world = World::new().await;
    let (app, payer) = (App::start(&world, usual).await, world.payer(100).await);
    assert_eq!(fault(app.pay("/panics", &payer, 1).await).await, (500, "internal".to_owned(), false));
    assert_eq!(world.books(&payer).await, (1, 0, 0));
    assert_eq!(app.pay("/echo", &payer, 3).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_given_up_and_credited() {
    let world = World::new().await;
    let (app, payer) = (App::start(&world, usual).await, world.payer(100).await);
    assert_eq!(fault(app.pay("/slow/3000", &payer, 1).await).await, (504, "upstream_timeout".to_owned(), false));
    assert_eq!((world.books(&payer).await, app.calls()), ((1, 0, 0), 0));
}

#[tokio::test]
async fn a_client_that_hangs_up_changes_nothing_inside_a_program_either() {
    let world = World::new().await;
    let (app, payer) = (App::start(&world, usual).await, world.payer(100).await);
    let request = app.request(Method::GET, "/slow/600").headers(payer.voucher(1)).timeout(Duration::from_millis(250));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(world.books(&payer).await, (1, 0, 1));
    world.settles(&payer, (1, 1, 0)).await;
    assert_eq!(app.calls(), 1);
}

#[tokio::test]
async fn closing_a_paywall_waits_for_what_is_in_flight() {
    let world = World::new().await;
    let (app, payer) = (App::start(&world, usual).await, world.payer(100).await);
    let request = app.request(Method::GET, "/slow/600").headers(payer.voucher(1)).timeout(Duration::from_millis(250));
    assert!(request.send().await.unwrap_err().is_timeout());
    app.sluice.close().await;
    assert_eq!((world.books(&payer).await, app.calls()), ((1, 1, 0), 1));
}

#[tokio::test]
async fn the_desk_answers_the_protocol_s_own_paths() {
    let world = World::new().await;
    let (app, payer) = (App::start(&world, usual).await, world.payer(100).await);
    let stats = app.get("/api/1/stats").await;
    assert_eq!(stats.status(), StatusCode::OK);
    let stats: Value = stats.json().await.unwrap();
    assert_eq!(stats["open_channels"], 1, "{stats}");
    assert_eq!(app.get("/cm").await.status(), StatusCode::OK);
    // Nobody signs here, so a close gets as far as the wallet.
    assert_eq!(app.pay("/echo", &payer, 2).await.status(), StatusCode::OK);
    world.settles(&payer, (2, 2, 0)).await;
    let path = format!("/api/1/channels/{}/{}", payer.address(), payer.open_block);
    let close = app.request(Method::DELETE, &path).json(&serde_json::json!({ "balance": 2 })).send().await.unwrap();
    assert_eq!(fault(close).await, (503, "wallet_unavailable".to_owned(), true));
    let wrong = app.request(Method::DELETE, &path).json(&serde_json::json!({ "balance": 1 })).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert_eq!(app.get("/elsewhere").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_request_is_checked_in_the_same_order_as_by_a_front() {
    let world = World::new().await;
    let routes = |sluice: &Paywall| {
        let terms = config::Route {
            maintenance: Some("back at noon".to_owned()),
            ..config::Route::handler("closed", config::Price::Fixed(Amount::new(1)))
        };
        let posts = sluice.priced("posts", 1).methods([Method::POST]);
        Router::new()
            .route("/posts", any(echo).layer(posts))
            .route("/closed", any(echo).layer(sluice.sells(terms).unwrap()))
    };
    let small = |config: &mut Config| config.front.limits.body_bytes = 10;
    let (app, payer) = (App::start_with(&world, small, routes).await, world.payer(100).await);
    let long = app.get(&format!("/closed?{}", "x".repeat(9000))).await;
    assert_eq!(fault(long).await.0, 414);
    let large = app.request(Method::POST, "/closed").body("more than ten").send().await.unwrap();
    assert_eq!(fault(large).await.0, 413);
    assert_eq!(fault(app.get("/closed").await).await.1, "maintenance");
    let options = app.request(Method::OPTIONS, "/posts").send().await.unwrap();
    assert_eq!((options.status(), header(&options, "allow")), (StatusCode::OK, Some("POST, OPTIONS")));
    assert_eq!(fault(app.get("/posts").await).await.1, "method_not_allowed");
    let malformed = app.request(Method::POST, "/posts").headers(payer.headers("x", &[1; 65])).send().await.unwrap();
    assert_eq!(malformed.status(), StatusCode::CONFLICT);
    let forged = app.request(Method::POST, "/posts").headers(payer.headers("1", &[1; 65])).send().await.unwrap();
    assert_eq!(failure(&forged), ["rdn-invalid-balance-proof"]);
    assert_eq!((app.calls(), world.books(&payer).await), (0, (0, 0, 0)));
}

#[tokio::test]
async fn terms_are_what_a_configuration_can_say() {
    let world = World::new().await;
    let routes = |sluice: &Paywall| {
        let per_method = config::Price::PerMethod(vec![(Method::GET, Amount::ZERO), (Method::POST, Amount::new(5))]);
        let by_path = config::Route {
            matcher: config::Matcher::Regex("/reserve/(?P<n>[0-9]+)".parse().unwrap()),
            ..config::Route::handler(
                "reserve",
                config::Price::Capture { group: "n".to_owned(), times: Amount::new(1), plus: Amount::ZERO },
            )
        };
        let before = sluice.priced("before", 1).charge(config::Charge::Before);
        let strict = sluice.priced("strict", 1).charge_below(400);
        Router::new()
            .route("/mixed", any(echo).layer(sluice.sells(config::Route::handler("mixed", per_method)).unwrap()))
            .route("/reserve/{n}", get(echo).layer(sluice.sells(by_path).unwrap()))
            .route("/before/{status}", get(status).layer(before))
            .route("/strict/{status}", get(status).layer(strict))
            .route("/free", get(echo).layer(sluice.priced("free", 0)))
    };
    let (app, payer) = (App::start(&world, routes).await, world.payer(100).await);
    let free = app.request(Method::GET, "/mixed").header("sluice-payer", "forged").send().await.unwrap();
    assert!(free.status() == StatusCode::OK && !free.text().await.unwrap().contains("forged"));
    assert_eq!(app.get("/free").await.status(), StatusCode::OK);
    let asked = app.request(Method::POST, "/mixed").send().await.unwrap();
    assert_eq!(header(&asked, "rdn-price"), Some("5"));
    assert_eq!(header(&app.get("/reserve/7").await, "rdn-price"), Some("7"));
    assert_eq!(app.pay("/reserve/7", &payer, 7).await.status(), StatusCode::OK);
    world.settles(&payer, (7, 7, 0)).await;
    assert_eq!(app.pay("/before/500", &payer, 8).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(world.books(&payer).await, (8, 8, 0));
    assert_eq!(app.pay("/strict/404", &payer, 9).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.books(&payer).await, (9, 8, 0));

    let nonsense = config::Route {
        deployment: Some("other".to_owned()),
        ..config::Route::handler("x", config::Price::Fixed(Amount::new(1)))
    };
    assert!(app.sluice.sells(nonsense).is_err_and(|error| error.to_string().contains("no deployment `other`")));
    let price = config::Price::Capture { group: "n".to_owned(), times: Amount::new(1), plus: Amount::ZERO };
    assert!(app.sluice.sells(config::Route::handler("x", price)).is_err());
}

#[tokio::test]
async fn bodies_stream_to_handlers_that_want_them_so_and_count_whole_otherwise() {
    let world = World::new().await;
    let routes = |sluice: &Paywall| {
        Router::new()
            .route("/stream", post(echo).layer(sluice.priced("stream", 1).stream_requests()))
            .route("/whole", post(echo).layer(sluice.priced("whole", 1)))
    };
    let (app, payer) = (App::start(&world, routes).await, world.payer(100).await);
    for (amount, path) in [(1, "/stream"), (2, "/whole")] {
        let pieces = futures::stream::iter(["one ", "two"].map(Ok::<_, std::io::Error>));
        let request = app.request(Method::POST, path).headers(payer.voucher(amount));
        let answer = request.body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
        assert!(answer.text().await.unwrap().ends_with("\n\none two"));
    }
}

#[tokio::test]
async fn what_a_nested_router_sells_is_at_its_whole_path() {
    let world = World::new().await;
    async fn paths(uri: Uri, OriginalUri(whole): OriginalUri) -> impl IntoResponse {
        format!("{uri} {whole}")
    }
    async fn fails() -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
    let routes = |sluice: &Paywall| {
        let layer = sluice.priced("nested", 1);
        let nested = Router::new().route("/x", get(paths).layer(layer.clone()));
        Router::new().nest("/a", nested).nest("/b", Router::new().route("/x", get(fails).layer(layer)))
    };
    let (app, payer) = (App::start(&world, routes).await, world.payer(100).await);
    assert_eq!(app.pay("/a/x", &payer, 1).await.text().await.unwrap(), "/x /a/x");
    world.settles(&payer, (1, 1, 0)).await;
    // The credit of one path buys nothing at another that its router calls the same.
    assert_eq!(app.pay("/b/x", &payer, 2).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(failure(&app.pay("/a/x", &payer, 2).await), [""; 0]);
}

#[tokio::test]
async fn a_program_that_does_not_say_who_asks_sells_nothing() {
    let world = World::new().await;
    let config = world.config("");
    let sluice = Paywall::new(&config, Ledger::connect(&config.database).await.unwrap()).unwrap();
    let app = Router::new().route("/", get(async || "").layer(sluice.priced("x", 1)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let running = tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::builder().no_proxy().build().unwrap();
    assert_eq!(fault(client.get(url).send().await.unwrap()).await, (500, "internal".to_owned(), false));
    running.abort();
}
