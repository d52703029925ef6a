//! What a browser gets that has to pay first.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, Response};
use sha2::{Digest, Sha256};

use crate::world::{FILE, Front, World, deployment};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn browse(front: &Front, path: &str) -> Response {
    front.request(Method::GET, path).header("accept", BROWSER).send().await.unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

fn cookies(answer: &Response) -> Vec<&str> {
    let mut cookies: Vec<_> =
        answer.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap().split(';').next().unwrap()).collect();
    cookies.sort_unstable();
    cookies
}

/// What stands between two marks, the first time.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).unwrap().0
}

#[tokio::test]
async fn a_browser_gets_the_402_as_a_page_with_the_same_headers_and_a_cookie_for_each() {
    let world = World::new().await;
    let front = world.front().await;
    let answer = browse(&front, "/file.txt").await;
    assert_eq!(answer.status(), 402);
    assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
    assert_eq!((header(&answer, "cache-control"), header(&answer, "vary")), ("no-store", "Accept"));
    assert_eq!(header(&answer, "rdn-price"), "10");
    let contract = deployment().contract.to_string();
    assert_eq!(header(&answer, "rdn-contract-address"), contract);
    assert_eq!(cookies(&answer)[0], format!("RDN-Contract-Address={contract}"));
    assert_eq!(cookies(&answer).len(), 5);
    let page = answer.text().await.unwrap();
    let facts: serde_json::Value =
        serde_json::from_str(between(&page, "<script type=\"application/json\" id=\"facts\">", "</script>")).unwrap();
    assert_eq!(facts["answer"]["rdn-price"], "10");
    assert_eq!((&facts["terms"]["chain_id"], &facts["terms"]["symbol"]), (&1337.into(), &"units".into()));

    let program = front.get("/file.txt").await;
    assert_eq!(header(&program, "content-type"), "application/json");
    assert!(cookies(&program).is_empty() && program.text().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_payment_is_answered_with_a_page_that_knows_why() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(front.pay("/file.txt", &payer, 10).await.text().await.unwrap(), FILE);
    let again = front.request(Method::GET, "/file.txt").headers(payer.voucher(15)).header("accept", BROWSER);
    let answer = again.send().await.unwrap();
    let all = cookies(&answer);
    assert!(all.contains(&"RDN-Invalid-Amount=1") && all.contains(&"RDN-Sender-Balance=10"), "{all:?}");
    let page = answer.text().await.unwrap();
    assert!(page.contains(r#""rdn-invalid-amount":"1""#) && page.contains(r#""rdn-sender-balance":"10""#));
}

#[tokio::test]
async fn what_is_paid_for_is_served_to_a_browser_as_to_anybody_and_no_cache_hands_it_on() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let request = front.request(Method::GET, "/file.txt").headers(payer.voucher(10)).header("accept", BROWSER);
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), header(&answer, "cache-control")), (200, "private, no-cache"));
    assert!(cookies(&answer).is_empty());
    assert_eq!(answer.text().await.unwrap(), FILE);
}

#[tokio::test]
async fn the_policy_lets_the_page_run_its_own_script_and_nothing_else() {
    let world = World::new().await;
    let front = world.front().await;
    for path in ["/file.txt", "/api/1/"] {
        let answer = browse(&front, path).await;
        let policy = header(&answer, "content-security-policy").to_owned();
        let page = answer.text().await.unwrap();
        let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
        let script = hash(between(&page, "<script type=\"module\">", "</script>"));
        let style = hash(between(&page, "<style>", "</style>"));
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; \
                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        );
        assert!(!["src=", "http://", "https://", "@import"].iter().any(|mark| page.contains(mark)), "it loads nothing");
        assert!(!page.contains("{{"), "every mark is filled in");
    }
}

#[tokio::test]
async fn what_the_seller_says_is_text_and_no_markup() {
    let world = World::new().await;
    let front = world
        .front_with(|config| {
            config.front.paywall.title = "</title><script>alert('1')</script>{{facts}}".to_owned();
            let deployment = config.deployments.get_mut("main").unwrap();
            deployment.token_symbol = "</script><b>".to_owned();
        })
        .await;
    let page = browse(&front, "/file.txt").await.text().await.unwrap();
    assert!(!page.contains("alert('1')") && !page.contains("</script><b>"));
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("\"terms\":").count(), 1);
}

#[tokio::test]
async fn a_page_of_the_sellers_own_replaces_ours() {
    let world = World::new().await;
    let file = world.folder().join("own.html");
    std::fs::write(&file, "<h1>{{facts}}</h1>").unwrap();
    let front = world.front_with(|config| config.front.paywall.page = Some(file)).await;
    let answer = browse(&front, "/file.txt").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "content-security-policy")), (402, ""));
    assert!(cookies(&answer).contains(&"RDN-Price=10"));
    assert_eq!(answer.text().await.unwrap(), "<h1>{{facts}}</h1>");
}

#[tokio::test]
async fn a_channel_is_looked_after_on_a_page_of_its_own_that_is_free() {
    let world = World::new().await;
    let front = world.front().await;
    let answer = browse(&front, "/api/1/").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, "text/html; charset=utf-8"));
    assert!(cookies(&answer).is_empty());
    assert!(answer.text().await.unwrap().contains("<h1>Your payment channel</h1>"));
    assert_eq!(browse(&front, "/api/1/?deployment=main").await.status(), 200);
    assert_eq!(browse(&front, "/api/1/?deployment=other").await.status(), 400);
    assert_eq!(front.get("/api/1/").await.status(), 404, "programs find nothing there");
}
