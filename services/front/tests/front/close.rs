//! Cooperative closes, with a wallet that is there, or not.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::hex;
use channel::{Amount, Key, Signature};
use ledger::JobKind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Front, Payer, World, deployment, failure, fault, shared};

fn payee() -> Key {
    Key::from_bytes(&[0xb1; 32]).unwrap()
}

/// Does what the wallet does with `sign` jobs: the ledger first, then the signature.
fn wallet(world: &Arc<World>) -> tokio::task::JoinHandle<()> {
    let world = world.clone();
    tokio::spawn(async move {
        let mut bell = world.ledger.listen(&[JobKind::Sign]);
        loop {
            for job in world.ledger.due(JobKind::Sign, &["main"], 10).await.unwrap() {
                let (id, amount) = (job.job.channel.unwrap(), job.job.amount.unwrap());
                let outcome = match world.ledger.agree_close(id, amount).await.unwrap() {
                    Ok((channel, _)) => {
                        let contract = contracts::Kind::Raiden.contract();
                        let digest = contract.closing_digest(&deployment(), &(&channel).into(), amount);
                        let signature = payee().sign(digest);
                        world.ledger.store_closing(id, amount, signature).await.unwrap();
                        json!({ "signature": hex::encode_prefixed(signature.as_bytes()) })
                    }
                    Err(_) => json!({ "refused": "not_open" }),
                };
                world.ledger.finish(job.id, &outcome).await.unwrap();
            }
            bell.wait(Duration::from_millis(100)).await;
        }
    })
}

async fn close(front: &Front, payer: &Payer, body: String) -> reqwest::Response {
    let path = format!("/api/1/channels/{}/{}", payer.address(), payer.open_block);
    front.request(Method::DELETE, &path).body(body).send().await.unwrap()
}

async fn signature(answer: reqwest::Response) -> Signature {
    assert_eq!(answer.status(), StatusCode::OK);
    let body: Value = answer.json().await.unwrap();
    Signature::parse(&hex::decode(body["close_signature"].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn the_closing_signature_is_the_payee_s_and_the_same_for_ever() {
    let world = shared(World::new().await);
    let (front, payer, wallet) = (world.front().await, world.payer(100).await, wallet(&world));
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), StatusCode::OK);
    let first = signature(close(&front, &payer, "balance=10".to_owned()).await).await;
    let contract = contracts::Kind::Raiden.contract();
    let digest = contract.closing_digest(&deployment(), &payer.opening, Amount::new(10));
    first.verify(digest, payee().address()).unwrap();
    // Nothing is sold on it any more, and whoever asks again gets the same, also without a wallet.
    assert_eq!(failure(&front.pay("/file.txt", &payer, 20).await), ["rdn-nonexisting-channel"]);
    wallet.abort();
    assert_eq!(signature(close(&front, &payer, r#"{"balance": 10}"#.to_owned()).await).await, first);
    let other = close(&front, &payer, "balance=9".to_owned()).await;
    assert_eq!(other.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn without_a_wallet_it_is_503_and_payments_go_on() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), StatusCode::OK);
    let answer = close(&front, &payer, "balance=10".to_owned()).await;
    assert_eq!(fault(answer).await, (503, "wallet_unavailable".to_owned(), true));
    assert_eq!(front.pay("/file.txt", &payer, 20).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_cause_that_a_request_names_goes_along_with_its_job_unless_it_is_none() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    // Nothing is traced here, so its wish to be traced goes no further.
    let cause = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    for (named, kept) in [(Some(trace), Some(cause)), (Some("'; DROP TABLE jobs"), None), (None, None)] {
        let world = World::new().await;
        let (front, payer) = (world.front().await, world.payer(100).await);
        assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), StatusCode::OK);
        let path = format!("/api/1/channels/{}/{}", payer.address(), payer.open_block);
        let mut request = front.request(Method::DELETE, &path).body("balance=10");
        if let Some(named) = named {
            request = request.header("traceparent", named);
        }
        assert_eq!(request.send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
        let jobs = world.ledger.due(JobKind::Sign, &["main"], 10).await.unwrap();
        assert_eq!(jobs.iter().map(|job| job.trace.as_deref()).collect::<Vec<_>>(), [kept]);
    }
}

#[tokio::test]
async fn what_cannot_be_signed_is_400_and_costs_no_job() {
    let world = World::new().await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(front.pay("/file.txt", &payer, 10).await.status(), StatusCode::OK);
    for (body, words) in [
        ("balance=9", json!("Requested closing balance does not match latest one.")),
        ("balance=11", json!("Requested closing balance does not match latest one.")),
        (
            "balance=340282366920938463463374607431768211456",
            json!("Requested closing balance does not match latest one."),
        ),
        ("", json!("Bad balance format")),
        ("balance=ten", json!({ "message": { "balance": "last balance proof balance" } })),
    ] {
        let answer = close(&front, &payer, body.to_owned()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json::<Value>().await.unwrap(), words);
    }
    let stranger = world.stranger().await;
    let answer = close(&front, &stranger, "balance=0".to_owned()).await;
    assert_eq!(answer.json::<String>().await.unwrap(), "Channel does not exist or has been closed");
    assert!(world.ledger.due(JobKind::Sign, &["main"], 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_rest_interface_is_nobody_s_route() {
    let world = World::new().await;
    let front = world.front().await;
    assert_eq!(front.get("/api/1/nothing").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.upstream.all_calls(), 0);
    assert_eq!(front.get("/api/10").await.status(), StatusCode::PAYMENT_REQUIRED);
}
