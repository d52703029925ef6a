use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use testkit::haproxy::{Backend, Client, Haproxy};
use testkit::wait;

/// A front that is always ready, and says which one it is.
async fn front(name: &'static str) -> Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let says = move |headers: axum::http::HeaderMap| async move {
        let client = headers.get("x-forwarded-for").map(|client| client.to_str().unwrap_or("?").to_owned());
        format!("{name} {}", client.unwrap_or_default())
    };
    let router = axum::Router::new().route("/readyz", axum::routing::get(|| async {})).fallback(says);
    let server = async move { axum::serve(listener, router).await.unwrap_or_default() };
    Ok((address, tokio::spawn(server)))
}

async fn get(url: &str) -> Result<String> {
    let client = testkit::http::client()?;
    Ok(client.get(url).send().await?.error_for_status()?.text().await?)
}

#[tokio::test]
async fn requests_go_to_both_fronts_and_to_the_one_that_is_left() -> Result<()> {
    let ((a, dies), (b, _lives)) = (front("a").await?, front("b").await?);
    let backends = [a, b].map(|listen| Backend { listen, health: listen });
    let balancer = Haproxy::start(&backends, Client::ForwardedFor).await?;
    let answers = [get(&balancer.url()).await?, get(&balancer.url()).await?];
    assert!(answers.contains(&"a 127.0.0.1".into()) && answers.contains(&"b 127.0.0.1".into()), "{answers:?}");

    dies.abort();
    let _ = dies.await;
    for _ in 0..20 {
        assert_eq!(get(&balancer.url()).await?, "b 127.0.0.1", "the balancer asked a front that had gone");
    }
    Ok(())
}

#[tokio::test]
async fn a_front_that_is_not_ready_gets_nothing() -> Result<()> {
    let ((a, _a), (b, _b)) = (front("a").await?, front("b").await?);
    let nobody = SocketAddr::from(([127, 0, 0, 1], testkit::ports::free()?));
    let backends = [Backend { listen: a, health: nobody }, Backend { listen: b, health: b }];
    let balancer = Haproxy::start(&backends, Client::ForwardedFor).await?;
    wait::until("the balancer to notice", Duration::from_secs(5), async || {
        let answers = [get(&balancer.url()).await?, get(&balancer.url()).await?];
        anyhow::ensure!(answers.iter().all(|answer| answer.starts_with('b')), "{answers:?}");
        Ok(())
    })
    .await
}
