//! microraiden 0.2.6 from PyPI pays one front alone, and two behind HAProxy. The scenarios are
//! `raiden-client/scenarios.py`; what the client saw is judged here, beside what the chain and the ledger say.

use std::path::Path;

use alloy_primitives::{Address, hex};
use anyhow::{Context, Result};
use channel::{Channel, Epoch, Status};
use serde_json::{Value, json};
use testkit::cluster::Cluster;
use testkit::original;

use crate::world::{self, CLOSES, PATIENCE, account, balances, cluster};

const PATH: &str = "/file.txt";
const PRICE: u64 = 10;

/// What came of a scenario.
struct Run {
    cluster: &'static Cluster,
    payer: Address,
    /// What the client saw.
    said: Value,
    /// What payer and payee had before, less what they have now, and the other way round.
    paid: i128,
    received: i128,
}

/// Runs a scenario at one front, and through the load balancer; each with a payer of its own.
async fn everywhere(name: &str) -> Result<[Run; 2]> {
    let cluster = cluster().await?;
    let alone = run(cluster, name, "one front", cluster.fronts[0].url());
    let balanced = run(cluster, name, "two fronts", cluster.url());
    let (alone, balanced) = tokio::try_join!(alone, balanced)?;
    Ok([alone, balanced])
}

/// As [`everywhere`], one after the other, while nobody else closes.
async fn everywhere_in_turn(name: &str) -> Result<[Run; 2]> {
    let _turn = CLOSES.lock().await;
    let cluster = cluster().await?;
    let alone = run(cluster, name, "one front", cluster.fronts[0].url()).await?;
    let balanced = run(cluster, name, "two fronts", cluster.url()).await?;
    Ok([alone, balanced])
}

async fn run(cluster: &'static Cluster, name: &str, place: &str, endpoint: String) -> Result<Run> {
    let (secret, payer) = account(cluster, &format!("{name} at {place}")).await?;
    let config = json!({
        "rpc": cluster.chain.url(),
        "contract": cluster.contracts.channels,
        "key": hex::encode(secret),
        "endpoint": endpoint,
        "path": PATH,
        "requests": 20,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("raiden-client/scenarios.py");
    let before = balances(cluster, payer).await?;
    let printed = original::run(original::python()?.arg(script).args([name, &config.to_string()]), PATIENCE).await?;
    let said: Value = serde_json::from_str(&printed).with_context(|| format!("{name} printed {printed}"))?;
    let after = balances(cluster, payer).await?;
    println!("{name} at {place}: {said}");
    Ok(Run { cluster, payer, said, paid: before.0 - after.0, received: after.1 - before.1 })
}

impl Run {
    /// The payer's only channel, as the ledger has it once it is so.
    async fn ledger(&self, is_so: impl Fn(&Channel) -> bool) -> Result<(Channel, Epoch)> {
        world::ledger(self.cluster, self.payer, is_so).await
    }
}

/// The statuses of a payment's exchanges.
fn statuses(payment: &Value) -> Vec<u64> {
    let exchanges = payment["exchanges"].as_array().map(Vec::as_slice).unwrap_or_default();
    exchanges.iter().map(|exchange| exchange["status"].as_u64().unwrap_or_default()).collect()
}

/// The payment headers of one exchange, names in lower case.
fn header(payment: &Value, exchange: usize, name: &str) -> Option<String> {
    let headers = payment["exchanges"][exchange]["headers"].as_object()?;
    let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
}

const FAILURES: [&str; 4] =
    ["RDN-Nonexisting-Channel", "RDN-Insufficient-Confirmations", "RDN-Invalid-Balance-Proof", "RDN-Invalid-Amount"];

/// Which failure an exchange was answered with.
fn failure(payment: &Value, exchange: usize) -> Option<&'static str> {
    FAILURES.into_iter().find(|name| header(payment, exchange, name).is_some())
}

fn assert_served(payment: &Value) {
    assert_eq!(payment["status"], 200, "{payment}");
    assert_eq!(payment["body"], "A file worth paying for.\n");
}

/// A payment that took so many exchanges, the first of them with the last voucher.
fn assert_steady(payment: &Value) {
    assert_served(payment);
    assert_eq!(statuses(payment), [402, 200], "{payment}");
    assert_eq!(failure(payment, 0), None, "{payment}");
}

/// A payment that took a while: between its first and its last exchange the client was told why, and slept.
fn assert_told_to_wait(payment: &Value, reasons: &[&str]) {
    assert_served(payment);
    let statuses = statuses(payment);
    assert!((3..30).contains(&statuses.len()), "{payment}");
    let last = statuses.len() - 1;
    assert_eq!(statuses[last], 200, "{payment}");
    assert!(statuses[..last].iter().all(|status| *status == 402), "{payment}");
    for exchange in 1..last {
        assert!(failure(payment, exchange).is_some_and(|failure| reasons.contains(&failure)), "{payment}");
    }
}

#[tokio::test]
async fn its_first_request_opens_a_channel_and_pays() -> Result<()> {
    for run in everywhere("first_payment").await? {
        let payment = &run.said["payment"];
        assert_eq!(failure(payment, 0), None, "{payment}");
        assert_eq!(header(payment, 0, "RDN-Price").as_deref(), Some("10"));
        assert_told_to_wait(payment, &["RDN-Nonexisting-Channel", "RDN-Insufficient-Confirmations"]);
        assert_eq!((&run.said["channel"]["deposit"], &run.said["channel"]["balance"]), (&json!(100), &json!(10)));
        let (channel, epoch) = run.ledger(|channel| channel.facts.confirmed).await?;
        assert_eq!((channel.facts.deposit.units(), epoch.authorised.units(), epoch.spent.units()), (100, 10, 10));
        assert_eq!(run.paid, 100);
    }
    Ok(())
}

#[tokio::test]
async fn it_pays_on_with_two_exchanges_a_request() -> Result<()> {
    for run in everywhere("steady_state").await? {
        let payments = run.said["payments"].as_array().context("payments")?;
        assert_eq!(payments.len(), 20);
        for (paid_before, payment) in (1..).zip(payments) {
            assert_steady(payment);
            assert_eq!(header(payment, 0, "RDN-Sender-Balance"), Some((paid_before * PRICE).to_string()));
        }
        assert_eq!(run.said["channel"]["balance"], 210);
        let (_, epoch) = run.ledger(|_| true).await?;
        assert_eq!((epoch.authorised.units(), epoch.spent.units()), (210, 210));
    }
    Ok(())
}

#[tokio::test]
async fn it_tops_up_without_flooding_the_front() -> Result<()> {
    for run in everywhere("top_up").await? {
        assert_eq!((&run.said["opened"]["deposit"], &run.said["opened"]["balance"]), (&json!(20), &json!(20)));
        let after = run.said["after"].as_array().context("payments")?;
        after.iter().for_each(assert_served);
        assert_told_to_wait(&after[0], &["RDN-Invalid-Balance-Proof"]);
        after[1..].iter().for_each(assert_steady);
        assert_eq!((&run.said["channel"]["deposit"], &run.said["channel"]["balance"]), (&json!(50), &json!(50)));
        let (channel, epoch) = run.ledger(|channel| channel.facts.pending.is_zero()).await?;
        assert_eq!((channel.facts.deposit.units(), epoch.spent.units()), (50, 50));
    }
    Ok(())
}

#[tokio::test]
async fn it_goes_on_after_losing_its_state() -> Result<()> {
    for run in everywhere("lost_state").await? {
        let forgot = run.said["forgot"].as_array().context("channels")?;
        assert_eq!(forgot.len(), 1);
        assert_eq!(forgot[0]["block"], run.said["lost"]["block"]);
        assert_eq!((&forgot[0]["balance"], &run.said["lost"]["balance"]), (&json!(0), &json!(30)));

        let recovery = &run.said["recovery"];
        assert_served(recovery);
        assert_eq!(statuses(recovery), [402, 402, 200], "{recovery}");
        assert_eq!(failure(recovery, 1), Some("RDN-Invalid-Amount"));
        assert_eq!(header(recovery, 1, "RDN-Sender-Balance").as_deref(), Some("30"));
        assert_steady(&run.said["next"]);
        assert_eq!(run.said["channel"]["balance"], 50);
        let (_, epoch) = run.ledger(|_| true).await?;
        assert_eq!(epoch.spent.units(), 50);
    }
    Ok(())
}

#[tokio::test]
async fn it_returns_any_other_status_as_it_is() -> Result<()> {
    for run in everywhere("other_status").await? {
        for (name, exchanges) in [("first", None), ("next", Some(2))] {
            let payment = &run.said[name];
            assert_eq!((&payment["status"], &payment["body"]), (&json!(418), &json!("short and stout\n")), "{payment}");
            let statuses = statuses(payment);
            assert_eq!(statuses.last(), Some(&418), "{payment}");
            assert!(exchanges.is_none_or(|exchanges| statuses.len() == exchanges), "{payment}");
        }
        let (_, epoch) = run.ledger(|_| true).await?;
        assert_eq!(epoch.authorised.units(), 2, "a teapot is worth its price");
    }
    Ok(())
}

#[tokio::test]
async fn it_sends_the_body_with_every_attempt() -> Result<()> {
    for run in everywhere("post").await? {
        let payments = run.said["payments"].as_array().context("payments")?;
        for (payment, body) in payments.iter().zip(["first body", "second body"]) {
            assert_eq!((&payment["status"], &payment["body"]), (&json!(200), &json!(body)), "{payment}");
        }
        assert_eq!(statuses(&payments[1]), [402, 200]);
        assert_eq!(run.said["channel"]["balance"], 2);
    }
    Ok(())
}

#[tokio::test]
async fn it_gives_up_on_another_contract() -> Result<()> {
    // The client asks it for its token when it starts, so it has to be one.
    let (chain, contracts) = (&cluster().await?.chain, &cluster().await?.contracts);
    let code = chain.rpc("eth_getCode", json!([contracts.channels, "latest"])).await?;
    chain.rpc("anvil_setCode", json!([Address::repeat_byte(0x11), code])).await?;
    for run in everywhere("other_contract").await? {
        assert_eq!((&run.said["payment"]["status"], &run.said["has_channel"]), (&json!(402), &json!(false)));
        assert_eq!(statuses(&run.said["payment"]), [402]);
        assert_eq!(run.paid, 0);
    }
    Ok(())
}

#[tokio::test]
async fn it_closes_with_our_signature() -> Result<()> {
    for run in everywhere_in_turn("cooperative_close").await? {
        assert_eq!(run.said["channel"]["state"], "closed");
        assert_eq!(run.said["settlement"]["balance"], 30);
        assert_eq!((run.paid, run.received), (30, 30));
        let (channel, epoch) = run.ledger(|channel| channel.facts.status == Status::Closed).await?;
        assert_eq!((channel.facts.claimed.units(), epoch.spent.units()), (30, 30));
    }
    Ok(())
}

#[tokio::test]
async fn its_close_at_zero_is_answered() -> Result<()> {
    for run in everywhere_in_turn("uncooperative_close").await? {
        assert_eq!(run.said["paid"]["balance"], 30);
        let settlement = &run.said["settlement"];
        assert_eq!(settlement["balance"], 30);
        let (requested, settled) = (run.said["requested_in"].as_u64(), settlement["block"].as_u64());
        let took = settled.zip(requested).and_then(|(settled, requested)| settled.checked_sub(requested));
        assert!(took.is_some_and(|blocks| blocks < 10), "requested in {requested:?}, settled in {settled:?}");
        assert_eq!((run.paid, run.received), (30, 30));
        let (channel, _) = run.ledger(|channel| channel.facts.status == Status::Closed).await?;
        assert_eq!(channel.facts.claimed.units(), 30);
    }
    Ok(())
}
