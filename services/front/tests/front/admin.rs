//! What only the operator may ask for.

use std::os::unix::fs::PermissionsExt;

use ledger::{JobKind, Ledger};
use reqwest::{Method, RequestBuilder, StatusCode};
use runtime::config::Admin;
use runtime::{Config, Shutdown};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::{Front, Payer, World, header};

const PASSWORD: &str = "correct horse battery staple";

/// Configures an operator with this password, in a file of this mode.
fn operator(world: &World, password: &str, mode: u32) -> impl Fn(&mut Config) {
    let password_file = world.folder().join("password");
    std::fs::write(&password_file, password).unwrap();
    std::fs::set_permissions(&password_file, std::fs::Permissions::from_mode(mode)).unwrap();
    move |config| {
        config.front.admin = Some(Admin { user: "operator".to_owned(), password_file: password_file.clone() });
    }
}

async fn front(world: &World) -> Front {
    world.front_with(operator(world, &format!("{PASSWORD}\n"), 0o600)).await
}

fn get(front: &Front, path: &str) -> RequestBuilder {
    front.request(Method::GET, &format!("/api/1{path}"))
}

fn force_close(front: &Front, payer: &Payer) -> RequestBuilder {
    force_close_with(front, payer, PASSWORD)
}

fn force_close_with(front: &Front, payer: &Payer, password: &str) -> RequestBuilder {
    let path = format!("/api/1/admin/channels/{}/{}", payer.address(), payer.open_block);
    front.request(Method::DELETE, &path).basic_auth("operator", Some(password))
}

async fn said(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn token(front: &Front) -> String {
    let (status, body) = said(get(front, "/login").basic_auth("operator", Some(PASSWORD))).await;
    assert_eq!(status, 200);
    body["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_an_operator_there_is_nothing_to_log_in_to() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    for path in ["/login", "/logout", "/admin"] {
        let (status, _) = said(get(&front, path).basic_auth("operator", Some(PASSWORD))).await;
        assert_eq!(status, 404, "{path}");
    }
    assert_eq!(said(force_close(&front, &payer)).await.0, 404);
    assert!(world.ledger.due(JobKind::Close, &["main"], 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_password_or_a_token_in_place_of_the_name_is_asked_for() {
    let world = World::new().await;
    let front = front(&world).await;
    let token = token(&front).await;
    assert_eq!(
        said(get(&front, "/admin").basic_auth(&token, Some(""))).await,
        (200, json!("NOTHING TO SEE HERE, GO AWAY"))
    );
    assert_eq!(said(get(&front, "/logout").basic_auth(&token, Some(""))).await, (200, json!("OK")));
    let strangers = [
        get(&front, "/admin"),
        get(&front, "/admin").basic_auth("operator", Some("wrong horse battery staple")),
        get(&front, "/admin").basic_auth("somebody", Some(PASSWORD)),
        get(&front, "/admin").basic_auth("operator", Some("")),
        get(&front, "/admin").basic_auth(format!("{token}0"), Some("")),
        get(&front, "/admin").header("authorization", "Basic !"),
        get(&front, "/admin").bearer_auth(&token),
    ];
    for stranger in strangers {
        let answer = stranger.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(header(&answer, "www-authenticate").unwrap().starts_with("Basic "));
    }
}

#[tokio::test]
async fn every_front_takes_a_token_that_any_of_them_gave() {
    let world = World::new().await;
    let (one, other) = (front(&world).await, front(&world).await);
    let token = token(&one).await;
    assert_eq!(said(get(&other, "/admin").basic_auth(token, Some(""))).await.0, 200);
}

#[tokio::test]
async fn a_channel_is_given_to_the_wallet_to_close_once() {
    let world = World::new().await;
    let (front, payer, stranger) = (front(&world).await, world.payer(100).await, world.stranger().await);
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), StatusCode::OK);
    assert_eq!(said(force_close_with(&front, &payer, "a wrong password")).await.0, 401);
    for _ in 0..2 {
        let words = format!("force closed ({}, {})", payer.address(), payer.open_block);
        assert_eq!(said(force_close(&front, &payer)).await, (200, json!(words)));
    }
    assert_eq!(said(force_close(&front, &stranger)).await.0, 200);
    let jobs = world.ledger.due(JobKind::Close, &["main"], 10).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.job.channel).collect::<Vec<_>>(), [Some(payer.channel())]);
}

#[tokio::test]
async fn a_guess_costs_as_much_as_a_close() {
    let world = World::new().await;
    let configure = operator(&world, PASSWORD, 0o600);
    let front = world
        .front_with(|config| {
            configure(config);
            (config.front.rates.deletes_per_minute, config.front.rates.deletes_burst) = (1, 3);
        })
        .await;
    let guess = async || get(&front, "/admin").basic_auth("operator", Some("guess")).send().await.unwrap().status();
    for _ in 0..3 {
        assert_eq!(guess().await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(guess().await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(said(get(&front, "/admin").basic_auth("operator", Some(PASSWORD))).await.0, 200);
}

#[tokio::test]
async fn a_password_that_others_may_read_or_guess_is_refused_at_the_start() {
    let world = World::new().await;
    for (password, mode, problem) in [(PASSWORD, 0o644, "0644"), ("too short", 0o600, "16 characters")] {
        let mut config = world.config("");
        operator(&world, password, mode)(&mut config);
        let ledger = Ledger::connect(&config.database).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = front::serve(&config, ledger, listener, Shutdown::default()).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(problem) && error.contains("front.admin.password_file"), "{error}");
    }
}
