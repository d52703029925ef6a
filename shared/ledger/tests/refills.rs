//! What was decided on counts until it is certain that it will not happen; what was mined counts for its day.

mod common;

use std::time::Duration;

use alloy_primitives::{Address, Bytes, keccak256};
use common::*;
use ledger::{
    Fate, Fence, IntentState, JobId, JobKind, Lane, Ledger, LedgerError, Mark, NewIntent, NewJob, NewTransaction,
    OutboundRow,
};
use serde_json::json;

const KEY: &str = "gas:1:0x05";
const MINUTE: Duration = Duration::from_secs(60);

async fn wallet(ledger: &Ledger, holder: &str, ttl: Duration) -> Fence {
    let fence = Fence { lease: "wallet:1".to_owned(), holder: holder.to_owned() };
    assert!(ledger.lease(&fence.lease, holder, ttl).await.expect("the database answers"), "somebody else is active");
    fence
}

async fn job(ledger: &Ledger) -> JobId {
    let (kind, key, deployment) = (JobKind::Refill, KEY.to_owned(), DEPLOYMENT.to_owned());
    ledger.enqueue(&NewJob { kind, key, deployment, channel: None, amount: None }).await.expect("it is new")
}

async fn decide(ledger: &Ledger, fence: &Fence, job: JobId, units: u128) -> u128 {
    ledger.decide_refill(fence, job, amount(units)).await.expect("it is open").units()
}

/// What is pending, and what counts for today.
async fn counted(ledger: &Ledger, except: Option<JobId>) -> (u128, u128) {
    let refills = ledger.refills(KEY, except).await.expect("the database answers");
    (refills.pending.units(), refills.today.refilled.units())
}

/// Sends something for a job, which is in this state then.
async fn send(ledger: &Ledger, fence: &Fence, job: JobId, nonce: u64, state: IntentState, confirmed: bool) {
    let raw = Bytes::from(nonce.to_be_bytes().to_vec());
    let (hash, account) = (keccak256(&raw), Address::repeat_byte(5));
    let transaction = NewTransaction { hash, chain_id: 1, account, nonce, number: 0, noop: false, raw };
    let intent = NewIntent { job: Some(job), channel: None, lane: Lane::Normal };
    let intent = ledger.journal(fence, &intent, &transaction).await.expect("it is new");
    let block = (!matches!(state, IntentState::Broadcast)).then_some(40 + nonce);
    ledger.mark(fence, &[Mark { intent, state, block, confirmed, reason: None }]).await.expect("it is ours");
}

#[tokio::test]
async fn a_job_decides_once_and_only_while_its_wallet_is_the_active_one() {
    let (ledger, _) = ledger_with(1, 100).await;
    let fence = wallet(&ledger, "old", Duration::from_millis(300)).await;
    let first = job(&ledger).await;
    assert_eq!(ledger.decided_refill(first).await.unwrap(), None);
    assert_eq!(decide(&ledger, &fence, first, 10).await, 10);
    assert_eq!(decide(&ledger, &fence, first, 99).await, 10, "what was decided stays");
    assert_eq!(ledger.decided_refill(first).await.unwrap(), Some(amount(10)));

    tokio::time::sleep(Duration::from_millis(400)).await;
    let late = ledger.decide_refill(&fence, first, amount(10)).await;
    assert!(matches!(late, Err(LedgerError::Conflict(_))), "{late:?}");
    let fence = wallet(&ledger, "new", MINUTE).await;
    ledger.finish(first, &json!({})).await.unwrap();
    let ended = ledger.decide_refill(&fence, first, amount(10)).await;
    assert!(matches!(ended, Err(LedgerError::Conflict(_))), "{ended:?}");
}

#[tokio::test]
async fn what_may_still_happen_and_what_was_mined_count_and_nothing_else() {
    let (ledger, url) = ledger_with(1, 100).await;
    let fence = wallet(&ledger, "one", MINUTE).await;
    let stale = job(&ledger).await;
    decide(&ledger, &fence, stale, 1).await;
    assert_eq!(counted(&ledger, None).await, (1, 1), "decided on");
    assert_eq!(counted(&ledger, Some(stale)).await, (0, 0), "but by whom who asks");
    ledger.finish(stale, &json!({ "stale": true })).await.unwrap();
    assert_eq!(counted(&ledger, None).await, (0, 0), "nothing was sent");

    let dropped = job(&ledger).await;
    decide(&ledger, &fence, dropped, 10).await;
    send(&ledger, &fence, dropped, 0, IntentState::Broadcast, false).await;
    ledger.fail(dropped, "dropped").await.unwrap();
    assert_eq!(counted(&ledger, None).await, (10, 10), "it may still be mined");

    let mined = job(&ledger).await;
    decide(&ledger, &fence, mined, 100).await;
    send(&ledger, &fence, mined, 1, IntentState::Mined, false).await;
    assert_eq!(counted(&ledger, None).await, (10, 110), "the chain shows it");
    assert_eq!(ledger.refills(KEY, None).await.unwrap().block, 41);
    let fate = Fate { state: IntentState::Mined, confirmed: false, reason: None };
    assert_eq!(ledger.fate(mined).await.unwrap(), Some(fate));
    ledger.finish(mined, &json!({})).await.unwrap();

    let reverted = job(&ledger).await;
    decide(&ledger, &fence, reverted, 1_000).await;
    send(&ledger, &fence, reverted, 2, IntentState::Reverted, true).await;
    ledger.fail(reverted, "reverted").await.unwrap();
    assert_eq!(counted(&ledger, None).await, (10, 110), "it came to nothing");

    sql(&url).await.execute("UPDATE top_ups SET day = day - 1", &[]).await.unwrap();
    assert_eq!(counted(&ledger, None).await, (10, 0), "another day");
    assert_eq!(ledger.refills("gas:1:0x06", None).await.unwrap().pending, amount(0), "something else");
}

#[tokio::test]
async fn failures_count_until_something_was_mined() {
    let (ledger, url) = ledger_with(1, 100).await;
    let fence = wallet(&ledger, "one", MINUTE).await;
    let failures = async || ledger.refills(KEY, None).await.expect("the database answers").today;
    for _ in 0..2 {
        ledger.fail(job(&ledger).await, "reverted").await.unwrap();
    }
    let back = "UPDATE jobs SET ended_at = ended_at - interval '90 s'";
    sql(&url).await.execute(back, &[]).await.unwrap();
    let today = failures().await;
    assert_eq!(today.failures, 2);
    assert!((90..100).contains(&today.since_failure.as_secs()), "{today:?}");
    ledger.finish(job(&ledger).await, &json!({ "stale": true })).await.unwrap();
    assert_eq!(failures().await.failures, 2, "nothing was sent");

    let mined = job(&ledger).await;
    decide(&ledger, &fence, mined, 5).await;
    send(&ledger, &fence, mined, 0, IntentState::Mined, true).await;
    ledger.finish(mined, &json!({})).await.unwrap();
    assert_eq!((failures().await.failures, failures().await.since_failure), (0, Duration::ZERO));
}

#[tokio::test]
async fn jobs_that_are_forgotten_take_decisions_along_that_came_to_nothing() {
    let (ledger, url) = ledger_with(1, 100).await;
    let fence = wallet(&ledger, "one", MINUTE).await;
    let stale = job(&ledger).await;
    decide(&ledger, &fence, stale, 1).await;
    ledger.finish(stale, &json!({ "stale": true })).await.unwrap();
    let client = sql(&url).await;
    client.execute("UPDATE jobs SET ended_at = ended_at - interval '1 year'", &[]).await.unwrap();
    client.execute("DELETE FROM jobs WHERE id = $1", &[&stale.0]).await.expect("nothing keeps it");
    assert_eq!(ledger.decided_refill(stale).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_claimed_was_spent_and_a_report_never_goes_back() {
    let (ledger, _) = ledger_with(1, 100).await;
    let nobodys = ledger.report_outbound("reports", amount(1)).await;
    assert!(matches!(nobodys, Err(LedgerError::NotFound(_))), "{nobodys:?}");
    let seen = |channel, claimed| OutboundRow {
        name: "reports".to_owned(),
        channel: channel_id(channel),
        deposit: amount(100),
        claimed: amount(claimed),
        is_open: true,
        reported: amount(0),
    };
    assert_eq!(ledger.note_outbound(&seen(1, 20)).await.unwrap().spent(), amount(20));
    assert_eq!(ledger.report_outbound("reports", amount(50)).await.unwrap().spent(), amount(50));
    assert_eq!(ledger.report_outbound("reports", amount(40)).await.unwrap().spent(), amount(50));
    assert_eq!(ledger.note_outbound(&seen(1, 70)).await.unwrap().spent(), amount(70));
    assert_eq!(ledger.note_outbound(&seen(2, 0)).await.unwrap().spent(), amount(0), "another channel");
    assert_eq!(ledger.outbound().await.unwrap().len(), 1);
}
