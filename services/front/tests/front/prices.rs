//! What a request costs: by its method, by a number in its path, by what the seller says when asked.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{Front, Payer, World, failure, fault, header};

/// The seller's server: says what the test says, and keeps what it was asked.
struct Seller {
    url: String,
    says: Arc<Mutex<(String, Duration)>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Seller {
    async fn start() -> Seller {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/price", listener.local_addr().unwrap());
        let seller = Seller { url, says: Arc::default(), asked: Arc::default() };
        let (says, asked) = (seller.says.clone(), seller.asked.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (says, asked) = (says.clone(), asked.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await?);
                    }
                    let line = String::from_utf8(head).unwrap().lines().next().unwrap().to_owned();
                    asked.lock().unwrap().push(line);
                    let (answer, delay) = says.lock().unwrap().clone();
                    tokio::time::sleep(delay).await;
                    stream.write_all(answer.as_bytes()).await
                });
            }
        });
        seller
    }

    fn says(&self, price: &str) {
        self.answers("200 OK", &format!("{{\"price\": {price}}}"), Duration::ZERO);
    }

    fn answers(&self, status: &str, body: &str, delay: Duration) {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        *self.says.lock().unwrap() = (head + body, delay);
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A route whose price it says, to an upstream that it is not.
    fn route(&self, world: &World, cache_ms: u32) -> String {
        let (upstream, url) = (world.upstream.url(), &self.url);
        format!(
            "[[front.routes]]\nname = \"asked\"\nprefix = \"/status\"\nupstream = \"{upstream}\"\n\
             price = {{ callback = \"{url}\", timeout_ms = 300, cache_ms = {cache_ms} }}\n"
        )
    }
}

/// What a path costs by the 402; `None` if it is free.
async fn price(front: &Front, method: Method, path: &str) -> Option<String> {
    let answer = front.request(method, path).send().await.unwrap();
    (answer.status() == StatusCode::PAYMENT_REQUIRED).then(|| header(&answer, "rdn-price").unwrap().to_owned())
}

async fn pay(front: &Front, method: Method, path: &str, payer: &Payer, amount: u128) -> StatusCode {
    front.request(method, path).headers(payer.voucher(amount)).send().await.unwrap().status()
}

#[tokio::test]
async fn each_method_has_its_price_and_the_others_are_405() {
    let world = World::new().await;
    let route = format!(
        "[[front.routes]]\npath = \"/echo\"\nupstream = \"{}\"\nprice = {{ per_method = {{ GET = 1, POST = 5, PUT = 0 }} }}",
        world.upstream.url()
    );
    let (front, payer) = (world.front_selling(&route).await, world.payer(100).await);
    assert_eq!(price(&front, Method::GET, "/echo").await.as_deref(), Some("1"));
    assert_eq!(price(&front, Method::HEAD, "/echo").await.as_deref(), Some("1"));
    assert_eq!(price(&front, Method::POST, "/echo").await.as_deref(), Some("5"));
    assert_eq!(price(&front, Method::PUT, "/echo").await, None);
    let answer = front.request(Method::DELETE, "/echo").send().await.unwrap();
    assert_eq!(header(&answer, "allow"), Some("GET, POST, PUT, HEAD, OPTIONS"));
    assert_eq!(fault(answer).await, (405, "method_not_allowed".to_owned(), false));

    assert_eq!(pay(&front, Method::GET, "/echo", &payer, 1).await, StatusCode::OK);
    assert_eq!(pay(&front, Method::POST, "/echo", &payer, 2).await, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(pay(&front, Method::POST, "/echo", &payer, 6).await, StatusCode::OK);
    world.settles(&payer, (6, 6, 0)).await;
}

#[tokio::test]
async fn a_number_in_the_path_is_what_it_costs() {
    let world = World::new().await;
    let route = format!(
        "[[front.routes]]\nname = \"tokens\"\nregex = '/status/(?P<n>\\d+)'\nupstream = \"{}\"\nprice = {{ capture = \"n\", plus = 2 }}
         [[front.routes]]\nregex = '/slow/(?P<n>\\d+)'\nupstream = \"{}\"\nprice = {{ capture = \"n\" }}",
        world.upstream.url(), world.upstream.url()
    );
    let (front, payer) = (world.front_selling(&route).await, world.payer(1000).await);
    assert_eq!(price(&front, Method::GET, "/status/207").await.as_deref(), Some("209"));
    assert_eq!(price(&front, Method::GET, "/status/%3207").await.as_deref(), Some("209"));
    assert_eq!(pay(&front, Method::GET, "/status/207", &payer, 209).await, StatusCode::MULTI_STATUS);
    world.settles(&payer, (209, 209, 0)).await;
    assert_eq!(front.get("/slow/0").await.status(), StatusCode::OK);

    for number in ["340282366920938463463374607431768211456", "340282366920938463463374607431768211454", "%D9%A3"] {
        let path = format!("/status/{number}");
        assert_eq!(fault(front.get(&path).await).await, (400, "bad_number".to_owned(), false), "{path}");
        assert_eq!(fault(front.pay(&path, &payer, 210).await).await, (400, "bad_number".to_owned(), false), "{path}");
    }
    assert_eq!(world.books(&payer).await, (209, 209, 0));
    // What the regex does not match is somebody else's.
    assert_eq!(price(&front, Method::GET, "/status/2x").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn only_what_is_listed_as_paid_costs_the_price() {
    let world = World::new().await;
    let upstream = world.upstream.url();
    let route = |prefix: &str, paid: &str| {
        format!("[[front.routes]]\nprefix = \"{prefix}\"\nupstream = \"{upstream}\"\nprice = 4\npaid = {paid}\n")
    };
    let routes = route("/status", r"['/status/.*1', '/status/(202|203)']") + &route("/slow", "[]");
    let (front, payer) = (world.front_selling(&routes).await, world.payer(100).await);
    for path in ["/status/201", "/status/202", "/status/%3203"] {
        assert_eq!(price(&front, Method::GET, path).await.as_deref(), Some("4"), "{path}");
    }
    for path in ["/status/200", "/status/2023", "/slow/1"] {
        assert_eq!(price(&front, Method::GET, path).await, None, "{path}");
    }
    assert_eq!(pay(&front, Method::GET, "/status/202", &payer, 4).await, StatusCode::ACCEPTED);
    world.settles(&payer, (4, 4, 0)).await;
    assert_eq!(pay(&front, Method::GET, "/status/200", &payer, 8).await, StatusCode::OK);
    assert_eq!(world.books(&payer).await, (4, 4, 0));
}

#[tokio::test]
async fn the_seller_is_asked_by_method_path_and_query() {
    let (world, seller) = (World::new().await, Seller::start().await);
    let (front, payer) = (world.front_selling(&seller.route(&world, 60_000)).await, world.payer(100).await);
    seller.says("\"12\"");
    assert_eq!(price(&front, Method::GET, "/status/20%31?a=b%26&c").await.as_deref(), Some("12"));
    assert_eq!(seller.asked(), ["GET /price?method=GET&path=%2Fstatus%2F201&query=a%3Db%2526%26c HTTP/1.1"]);
    assert_eq!(pay(&front, Method::GET, "/status/201?a=b%26&c", &payer, 12).await, StatusCode::CREATED);
    world.settles(&payer, (12, 12, 0)).await;
    assert_eq!(seller.asked().len(), 1, "remembered");

    seller.says("7");
    assert_eq!(price(&front, Method::POST, "/status/201?a=b%26&c").await.as_deref(), Some("7"));
    assert_eq!(price(&front, Method::GET, "/status/201").await.as_deref(), Some("7"));
    seller.says("0");
    assert_eq!(front.get("/status/202").await.status(), StatusCode::ACCEPTED, "zero is free");
    assert_eq!(seller.asked().len(), 4);
    assert_eq!(seller.asked()[2], "GET /price?method=GET&path=%2Fstatus%2F201 HTTP/1.1");
}

#[tokio::test]
async fn one_question_is_asked_however_many_wait_for_its_answer() {
    let (world, seller) = (World::new().await, Seller::start().await);
    let front = world.front_selling(&seller.route(&world, 0)).await;
    seller.answers("200 OK", "{\"price\": \"3\"}", Duration::from_millis(150));
    let prices = (0..20).map(|_| price(&front, Method::GET, "/status/200"));
    let prices = futures::future::join_all(prices).await;
    assert!(prices.iter().all(|price| price.as_deref() == Some("3")), "{prices:?}");
    assert_eq!(seller.asked().len(), 1);
    assert!(price(&front, Method::GET, "/status/200").await.is_some());
    assert_eq!(seller.asked().len(), 2, "without a cache it is asked again");
}

#[tokio::test]
async fn without_a_price_it_is_503_and_nothing_is_held() {
    let (world, seller) = (World::new().await, Seller::start().await);
    let (front, payer) = (world.front_selling(&seller.route(&world, 60_000)).await, world.payer(100).await);
    let unavailable = (503, "price_unavailable".to_owned(), true);
    let long = format!("{{\"price\": \"1\", \"more\": \"{}\"}}", "x".repeat(5_000));
    for (status, body, delay) in [
        ("500 Oops", "{\"price\": 1}", 0),
        ("204 No Content", "", 0),
        ("302 Found", "{\"price\": 1}", 0),
        ("200 OK", "1", 0),
        ("200 OK", "{}", 0),
        ("200 OK", "{\"price\": -1}", 0),
        ("200 OK", "{\"price\": 1.5}", 0),
        ("200 OK", "{\"price\": \"0x1\"}", 0),
        ("200 OK", "{\"price\": \"340282366920938463463374607431768211456\"}", 0),
        ("200 OK", "{\"price\": 1", 0),
        ("200 OK", &long, 0),
        ("200 OK", "{\"price\": 1}", 600),
    ] {
        seller.answers(status, body, Duration::from_millis(delay));
        let began = Instant::now();
        assert_eq!(fault(front.pay("/status/200", &payer, 1).await).await, unavailable, "{status} {body}");
        assert!(began.elapsed() < Duration::from_millis(550), "{:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(300)).await; // a failure is forgotten
    }
    assert_eq!(world.books(&payer).await, (0, 0, 0));
    assert_eq!(world.upstream.all_calls(), 0);

    // A seller that is down is not asked by everybody.
    seller.answers("500 Oops", "", Duration::ZERO);
    let before = seller.asked().len();
    for _ in 0..10 {
        assert_eq!(fault(front.get("/status/200").await).await, unavailable);
    }
    assert!(seller.asked().len() <= before + 2, "{}", seller.asked().len() - before);
    seller.says("1");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(pay(&front, Method::GET, "/status/200", &payer, 1).await, StatusCode::OK);
}

#[tokio::test]
async fn a_seller_that_cannot_be_reached_has_no_price() {
    let world = World::new().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seller = Seller {
        url: format!("http://{}/price", gone.local_addr().unwrap()),
        says: Arc::default(),
        asked: Arc::default(),
    };
    drop(gone);
    let front = world.front_selling(&seller.route(&world, 0)).await;
    assert_eq!(fault(front.get("/status/200").await).await, (503, "price_unavailable".to_owned(), true));
}

#[tokio::test]
async fn a_voucher_for_the_price_before_the_seller_changed_it_is_taken_for_the_grace() {
    let (world, seller) = (World::new().await, Seller::start().await);
    let mut config = world.config(&seller.route(&world, 0));
    config.front.timeouts.price_grace = Duration::from_millis(700);
    let front = world.front_of(config).await;
    let payer = world.payer(100).await;
    seller.says("3");
    assert_eq!(price(&front, Method::GET, "/status/200").await.as_deref(), Some("3"));
    seller.says("5");
    let answer = front.pay("/status/200", &payer, 3).await;
    assert_eq!((answer.status(), header(&answer, "rdn-price")), (StatusCode::OK, Some("3")));
    world.settles(&payer, (3, 3, 0)).await;
    assert_eq!(pay(&front, Method::GET, "/status/200", &payer, 8).await, StatusCode::OK);
    world.settles(&payer, (8, 8, 0)).await;
    let refused = front.pay("/status/200", &payer, 12).await;
    assert_eq!(header(&refused, "rdn-price"), Some("5"), "neither the old price nor the new");
    assert_eq!(failure(&refused), ["rdn-invalid-amount"]);

    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(pay(&front, Method::GET, "/status/200", &payer, 11).await, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(world.books(&payer).await, (8, 8, 0));
}

#[tokio::test]
async fn who_signs_ahead_is_charged_the_lower_of_two_prices_during_the_grace() {
    let (world, seller) = (World::new().await, Seller::start().await);
    let mut config = world.config(&seller.route(&world, 0));
    config.deployments.get_mut("main").unwrap().terms = runtime::config::TermsName::Credit;
    let front = world.front_of(config).await;
    let payer = world.payer(100).await;
    for (says, spent) in [("3", 3), ("5", 6), ("2", 8), ("2", 10)] {
        seller.says(says);
        assert_eq!(pay(&front, Method::GET, "/status/200", &payer, 50).await, StatusCode::OK);
        world.settles(&payer, (50, spent, 0)).await;
    }
}
