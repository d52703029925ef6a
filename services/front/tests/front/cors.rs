//! Web pages of other origins.

use reqwest::{Method, RequestBuilder, Response, StatusCode};

use crate::world::{Front, Raw, World, header};

const SHOP: &str = "https://shop.example";

fn preflight(front: &Front, path: &str) -> RequestBuilder {
    preflight_from(front, SHOP, path)
}

fn preflight_from(front: &Front, origin: &str, path: &str) -> RequestBuilder {
    let request = front.request(Method::OPTIONS, path).header("origin", origin);
    request.header("access-control-request-method", "GET")
}

async fn from(front: &Front, origin: &str, path: &str) -> Response {
    front.request(Method::GET, path).header("origin", origin).send().await.unwrap()
}

async fn only_the_shop(world: &World) -> Front {
    world.front_with(|config| config.front.cors.origins = vec![SHOP.to_owned()]).await
}

fn names(answer: &Response, list: &str) -> Vec<String> {
    header(answer, list).unwrap_or_default().split(", ").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_preflight_is_answered_for_any_path_and_costs_nothing() {
    let world = World::new().await;
    let front = world.front().await;
    for path in ["/file.txt", "/free.txt", "/echo", "/api/1/stats", "/api/1/channels/0x0/1"] {
        let request = preflight(&front, path).header("access-control-request-headers", "rdn-balance, x-own");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{path}");
        assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
        for method in ["GET", "POST", "DELETE"] {
            assert!(names(&answer, "access-control-allow-methods").contains(&method.to_owned()), "{method}");
        }
        let allowed = names(&answer, "access-control-allow-headers");
        for name in [
            "rdn-contract-address",
            "rdn-receiver-address",
            "rdn-sender-address",
            "rdn-open-block",
            "rdn-balance",
            "rdn-balance-signature",
            "rdn-price",
            "idempotency-key",
            "content-type",
            "x-own",
        ] {
            assert!(allowed.contains(&name.to_owned()), "{name}");
        }
        assert_eq!(header(&answer, "access-control-max-age"), Some("7200"));
        assert_eq!(header(&answer, "access-control-allow-credentials"), None);
    }
    assert_eq!(world.upstream.all_calls(), 0);
}

#[tokio::test]
async fn a_page_may_read_what_it_needs_to_pay() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let unpaid = from(&front, SHOP, "/file.txt").await;
    assert_eq!(unpaid.status(), StatusCode::PAYMENT_REQUIRED);
    let request = front.request(Method::GET, "/echo").header("origin", SHOP).headers(payer.voucher(1));
    let paid = request.send().await.unwrap();
    assert_eq!(paid.status(), StatusCode::OK);
    for answer in [unpaid, paid, from(&front, SHOP, "/api/1/stats").await] {
        assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
        assert_eq!(header(&answer, "access-control-allow-credentials"), None);
        let exposed = names(&answer, "access-control-expose-headers");
        for name in answer.headers().keys().filter(|name| name.as_str().starts_with("rdn-")) {
            assert!(exposed.contains(&name.to_string()), "{name}");
        }
        for name in [
            "rdn-invalid-amount",
            "rdn-invalid-balance-proof",
            "rdn-nonexisting-channel",
            "rdn-insufficient-confirmations",
            "rdn-sender-balance",
            "retry-after",
        ] {
            assert!(exposed.contains(&name.to_owned()), "{name}");
        }
    }
}

#[tokio::test]
async fn who_is_no_page_is_told_nothing_but_that_it_depends() {
    let world = World::new().await;
    let answer = world.front().await.get("/file.txt").await;
    assert_eq!(header(&answer, "access-control-allow-origin"), None);
    assert_eq!(header(&answer, "access-control-expose-headers"), None);
    assert_eq!(header(&answer, "vary"), Some("origin"));
}

#[tokio::test]
async fn of_a_list_only_its_origins_may_read() {
    let world = World::new().await;
    let front = only_the_shop(&world).await;
    let allowed = from(&front, SHOP, "/file.txt").await;
    assert_eq!(header(&allowed, "access-control-allow-origin"), Some(SHOP));
    assert_eq!(header(&allowed, "vary"), Some("origin"));
    for origin in ["https://shop.example.evil", "http://shop.example", "null"] {
        let refused = from(&front, origin, "/file.txt").await;
        assert_eq!(header(&refused, "access-control-allow-origin"), None, "{origin}");
        assert_eq!(header(&refused, "access-control-expose-headers"), None, "{origin}");
        assert_eq!(header(&refused, "vary"), Some("origin"));
    }
    assert_eq!(header(&preflight(&front, "/echo").send().await.unwrap(), "access-control-allow-origin"), Some(SHOP));
    let refused = preflight_from(&front, "https://evil.example", "/echo").send().await.unwrap();
    assert_eq!(header(&refused, "access-control-allow-origin"), None);
}

fn upstream_with_its_own_idea(_: usize) -> &'static str {
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\naccess-control-allow-origin: https://other.example\r\n\
     access-control-allow-credentials: true\r\naccess-control-expose-headers: x-mine\r\nvary: accept\r\n\r\nok"
}

#[tokio::test]
async fn what_an_upstream_says_about_origins_is_replaced() {
    let world = World::new().await;
    let raw = Raw::start(upstream_with_its_own_idea).await;
    let (front, payer) = (world.front_selling(&raw.route("")).await, world.payer(100).await);
    let request = front.request(Method::GET, "/raw").header("origin", SHOP).headers(payer.voucher(1));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let origins: Vec<_> = answer.headers().get_all("access-control-allow-origin").iter().collect();
    assert_eq!(origins, ["*"]);
    assert_eq!(header(&answer, "access-control-allow-credentials"), None);
    assert!(!names(&answer, "access-control-expose-headers").contains(&"x-mine".to_owned()));
    let vary: Vec<_> = answer.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["accept", "origin"]);
}

#[tokio::test]
async fn with_no_origins_nothing_is_said_and_upstreams_speak_for_themselves() {
    let world = World::new().await;
    let raw = Raw::start(upstream_with_its_own_idea).await;
    let mut config = world.config(&raw.route(""));
    config.front.cors.origins.clear();
    let (front, payer) = (world.front_of(config).await, world.payer(100).await);
    let unpaid = from(&front, SHOP, "/file.txt").await;
    for name in ["access-control-allow-origin", "access-control-expose-headers", "vary"] {
        assert_eq!(header(&unpaid, name), None, "{name}");
    }
    let request = front.request(Method::GET, "/raw").header("origin", SHOP).headers(payer.voucher(1));
    let answer = request.send().await.unwrap();
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("https://other.example"));
    let options = preflight(&front, "/file.txt").send().await.unwrap();
    assert_eq!((options.status(), header(&options, "access-control-allow-origin")), (StatusCode::OK, None));
}
