//! Whom we trace: who asks for it, a few a second, and some by chance.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use channel::Amount;
use futures::future::try_join_all;
use serde_json::Value;
use testkit::cluster::PAYER;
use testkit::{http, wait};
use tests::ByHand;

use crate::world::{DEPOSIT, PATIENCE, World, alone, traceparent};

const TRACED: &str = "0af7651916cd43dd8448eb211c80319c";
const UNTRACED: &str = "1bf7651916cd43dd8448eb211c80319d";
const SPAN: &str = "b7ad6b7169203331";

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_ask_and_is_not_drawn_leaves_no_span_and_is_handed_on_as_it_came() -> Result<()> {
    let _alone = alone().await;
    // It ends sooner than it sends by itself.
    let env = [("SLUICE_FRONT__ACCESS_LOG", "access.log"), ("SLUICE_FRONT__TIMEOUTS__DRAIN_DELAY_MS", "0")];
    let mut world = World::new(0, "sample = 0", &env).await?;
    let payer = ByHand::open(&world.cluster, PAYER, DEPOSIT).await?;
    let url = format!("{}/echo", world.cluster.url());
    for (number, named) in
        [None, Some("nonsense".to_owned()), Some(traceparent(UNTRACED, SPAN, "00"))].iter().enumerate()
    {
        let mut request = payer.pay(&url, Amount::new(number as u128 + 1));
        if let Some(named) = named {
            request = request.header("traceparent", named);
        }
        let heard: Value = request.send().await?.error_for_status()?.json().await?;
        let headers = heard["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let passed = headers.iter().find(|header| header[0] == "traceparent").map(|header| header[1].as_str());
        ensure!(passed.flatten() == named.as_deref(), "{named:?} was handed on as {passed:?}");
    }
    let close = payer.ask_to_close(&world.cluster.url(), Amount::new(3));
    close.header("traceparent", traceparent(UNTRACED, SPAN, "00")).send().await?.error_for_status()?;
    // The last span is sent before the process ends.
    let asked = payer.pay(&url, Amount::new(4)).header("traceparent", traceparent(TRACED, SPAN, "01"));
    ensure!(asked.send().await?.status() == 402, "its channel is closing");
    for service in [&mut world.cluster.fronts[0], &mut world.cluster.wallets[0]] {
        service.stop().await?;
    }
    let spans = world.collector.spans();
    let strangers: Vec<_> = spans.iter().filter(|span| span.trace != TRACED).collect();
    ensure!(strangers.is_empty(), "nobody asked for {strangers:#?}");
    let refused = spans.iter().find(|span| span.name == "GET /echo");
    ensure!(refused.is_some_and(|span| span.attributes["sluice.decision"] == "refused"), "{spans:#?}");
    // A line of the access log leads to the trace.
    let lines = fs::read_to_string(world.cluster.dir().join("access.log"))?;
    let lines: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let traced: Vec<_> = lines.iter().filter(|line| !line["trace_id"].is_null()).collect();
    ensure!(traced.len() == 1 && traced[0]["trace_id"] == TRACED, "{traced:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_all_ask_have_a_few_traced_a_second() -> Result<()> {
    const ASK: usize = 200;
    let _alone = alone().await;
    let world = World::new(0, "sample = 0\nrequested_per_s = 2", &[]).await?;
    let (client, url) = (http::client()?, format!("{}/page", world.cluster.url()));
    let began = std::time::Instant::now();
    let ask = || client.get(&url).header("traceparent", traceparent(TRACED, SPAN, "01")).send();
    try_join_all((0..ASK).map(|_| ask())).await?;
    let most = 2 * usize::try_from(began.elapsed().as_secs() + 2)?;
    let spans = world.trace(TRACED, "some of them", |spans| spans.len() >= 2).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spans = spans.len().max(world.collector.trace(TRACED).len());
    ensure!(spans <= most, "{spans} of {ASK} were traced, no more than {most} should be");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_say_nothing_as_many_are_traced_as_the_share_says() -> Result<()> {
    const ASK: usize = 400;
    let _alone = alone().await;
    let world = World::new(0, "sample = 0.5", &[]).await?;
    let (client, url) = (http::client()?, format!("{}/teapot.txt", world.cluster.url()));
    try_join_all((0..ASK).map(|_| client.get(&url).send())).await?;
    let count = || world.collector.spans().iter().filter(|span| span.name == "GET /teapot.txt").count();
    wait::until("a half of them", PATIENCE, async || {
        ensure!(count() > ASK * 2 / 5, "{} of {ASK}", count());
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(count() < ASK * 3 / 5, "{} of {ASK}", count());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_opentelemetry_s_variables_those_with_headers_and_attributes_are_heard_and_no_others() -> Result<()> {
    let _alone = alone().await;
    let env = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20sesame"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=rehearsal"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://nowhere.invalid"),
        ("OTEL_SERVICE_NAME", "somebody else"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ];
    let world = World::new(0, "sample = 1.0", &env).await?;
    http::client()?.get(format!("{}/free", world.cluster.url())).send().await?.error_for_status()?;
    wait::until("its span", PATIENCE, async || {
        let spans = world.collector.spans();
        ensure!(spans.iter().any(|span| span.name == "GET /free" && span.service == "sluice-front"), "{spans:#?}");
        Ok(())
    })
    .await?;
    ensure!(world.collector.was_told(b"rehearsal"), "the attribute is missing");
    let right = world.collector.authorization();
    ensure!(right.as_deref() == Some("Bearer sesame"), "it was sent with {right:?}");
    Ok(())
}
