//! One trace from the client to the transaction.

use anyhow::{Context, Result, ensure};
use channel::Amount;
use serde_json::{Value, json};
use testkit::cluster::PAYER;
use testkit::collector::Span;
use tests::ByHand;

use crate::world::{DEPOSIT, World, alone, only, traceparent, way_up};

/// The client's trace, and its own spans in it.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const BUYS: &str = "b7ad6b7169203331";
const CLOSES: &str = "b7ad6b7169203332";
const OPERATES: &str = "b7ad6b7169203333";

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_request_and_the_closes_are_one_trace_through_the_broker_to_the_transaction() -> Result<()> {
    let _alone = alone().await;
    // Whatever is logged.
    let world = World::new(1, "sample = 0", &[("RUST_LOG", "off")]).await?;
    let spans = one_trace(&world).await?;
    for job in ["job sign", "job close"] {
        let first = spans.iter().find(|span| span.name == job && way_up(&spans, span).contains(&"send ring"));
        let first = first.with_context(|| format!("no {job} came through the broker: {spans:#?}"))?;
        ensure!(way_up(&spans, first)[1..] == ["send ring", "DELETE raiden"], "{:?}", way_up(&spans, first));
        let ring = spans.iter().find(|span| span.id == first.parent).context("it has a parent")?;
        ensure!(ring.attributes["messaging.system"] == "rabbitmq", "{ring:?}");
        ensure!(ring.attributes["messaging.message.id"] == first.attributes["sluice.job"], "{ring:?} {first:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_the_trace_goes_on_from_the_job_s_row() -> Result<()> {
    let _alone = alone().await;
    let world = World::new(0, "sample = 0", &[]).await?;
    let spans = one_trace(&world).await?;
    for job in ["job sign", "job close"] {
        let jobs: Vec<_> = spans.iter().filter(|span| span.name == job).collect();
        ensure!(!jobs.is_empty(), "no {job} in {spans:#?}");
        for job in jobs {
            ensure!(way_up(&spans, job)[1..] == ["DELETE raiden"], "{:?}", way_up(&spans, job));
        }
    }
    Ok(())
}

/// A client buys and has its channel closed, and so does the operator with another, all in one trace. Everything holds
/// that does not depend on how jobs come to the wallet.
async fn one_trace(world: &World) -> Result<Vec<Span>> {
    let cluster = &world.cluster;
    let first = ByHand::open(cluster, PAYER, DEPOSIT).await?;
    let second = ByHand::open(cluster, PAYER + 1, DEPOSIT).await?;
    let untraced = second.pay(&format!("{}/page", cluster.url()), Amount::new(1)).send().await?;
    ensure!(untraced.status() == 200, "{untraced:?}");

    let request = first.pay(&format!("{}/echo?token=sesame", cluster.url()), Amount::new(1));
    let request = request.header("traceparent", traceparent(TRACE, BUYS, "01")).header("cookie", "session=sesame");
    let (client, request) = request.build_split();
    let request = request?;
    let signature = request.headers()["rdn-balance-signature"].to_str()?.to_owned();
    let heard: Value = client.execute(request).await?.error_for_status()?.json().await?;
    let closes = traceparent(TRACE, CLOSES, "01");
    let closed = first.ask_to_close(&cluster.url(), Amount::new(1)).header("traceparent", closes).send().await?;
    let closing: Value = closed.error_for_status()?.json().await?;
    let operates = traceparent(TRACE, OPERATES, "01");
    world.close_by_operator(&second)?.header("traceparent", operates).send().await?.error_for_status()?;

    let is_over = |spans: &[Span]| {
        ["transaction confirmed", "sign closing", "capture"].iter().all(|last| spans.iter().any(|s| s.name == *last))
    };
    let spans = world.trace(TRACE, "the transaction to be confirmed", is_over).await?;
    check_purchase(&spans, &heard)?;
    check_transaction(world, &spans).await?;
    // No way leads to a span that was not sent, but to the client's own.
    for span in &spans {
        let known = [BUYS, CLOSES, OPERATES].contains(&&*span.parent) || spans.iter().any(|of| of.id == span.parent);
        ensure!(known, "the parent of {span:?} is missing");
        let is_service = ["sluice-front", "sluice-wallet", "sluice-watcher"].contains(&&*span.service);
        ensure!(is_service, "{span:?}");
    }
    // What was said to us in confidence was told to nobody.
    let closing = closing["close_signature"].as_str().context("it was signed")?;
    for secret in [&*signature, &signature[2..], closing, &closing[2..], "sesame", crate::world::PASSWORD] {
        ensure!(!world.collector.was_told(secret.as_bytes()), "the collector was told {secret}");
    }
    Ok(spans)
}

fn check_purchase(spans: &[Span], heard: &Value) -> Result<()> {
    let request = only(spans, "GET /echo", None)?;
    ensure!(request.parent == BUYS && request.service == "sluice-front", "{request:?}");
    let said = |key: &str| request.attributes.get(key).map(String::as_str);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/echo"),
        ("http.response.status_code", "200"),
        ("sluice.decision", "sold"),
        ("sluice.price", "1"),
    ] {
        ensure!(said(key) == Some(value), "{key} is {:?}", said(key));
    }
    for part in ["check signature", "sell", "capture"] {
        only(spans, part, Some(request))?;
    }
    // The upstream was asked in the name of the span that is about that.
    let call = only(spans, "GET", Some(request))?;
    let headers = heard["headers"].as_array().context("it echoes headers")?;
    let named: Vec<_> = headers.iter().filter(|header| header[0] == "traceparent").map(|header| &header[1]).collect();
    ensure!(named == [&json!(traceparent(TRACE, &call.id, "01"))], "it heard {named:?}, the call is {call:?}");
    Ok(())
}

/// The transaction was sent for the operator, mined, and is certain.
async fn check_transaction(world: &World, spans: &[Span]) -> Result<()> {
    let sent = only(spans, "send transaction", None)?;
    let way = way_up(spans, sent);
    ensure!(way[1] == "job close" && way.last() == Some(&"DELETE raiden"), "{way:?}");
    only(spans, "broadcast", Some(sent))?;
    let hash = &sent.attributes["tx.hash"];
    let receipt = world.cluster.chain.rpc("eth_getTransactionReceipt", json!([hash])).await?;
    ensure!(receipt["status"] == "0x1", "{receipt}");
    for what in ["transaction mined", "transaction confirmed"] {
        let later = only(spans, what, None)?;
        ensure!(way_up(spans, later) == [what, "DELETE raiden"], "{:?}", way_up(spans, later));
        ensure!(later.attributes["tx.hash"] == *hash && later.attributes["sluice.outcome"] == "mined", "{later:?}");
        let block = testkit::rpc::quantity(&receipt["blockNumber"])?;
        ensure!(later.attributes["tx.block"] == block.to_string(), "{later:?} {receipt}");
        ensure!(later.attributes["tx.nonce"] == sent.attributes["tx.nonce"] && !later.failed, "{later:?}");
    }
    Ok(())
}
