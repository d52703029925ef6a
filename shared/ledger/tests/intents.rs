//! The journal of what the wallet wants mined: one wallet at a time, one number under a nonce once, one intent of a job.

mod common;

use std::path::Path;
use std::time::Duration;

use alloy_primitives::{Address, Bytes, keccak256};
use common::*;
use ledger::{
    Fence, IntentId, IntentState, JobId, JobKind, Lane, Ledger, LedgerError, Mark, NewIntent, NewJob, NewTransaction,
    Slot,
};
use testkit::postgres::Postgres;

const CHAIN: u64 = 31_337;
const ACCOUNT: Address = Address::repeat_byte(5);

async fn job(ledger: &Ledger, key: &str) -> JobId {
    let (kind, key, deployment) = (JobKind::Sync, key.to_owned(), DEPLOYMENT.to_owned());
    ledger.enqueue(&NewJob { kind, key, deployment, channel: None, amount: None }).await.expect("it is new")
}

/// A wallet that has the lease for this long.
async fn wallet(ledger: &Ledger, holder: &str, ttl: Duration) -> Fence {
    let fence = Fence { lease: format!("wallet:{CHAIN}"), holder: holder.to_owned() };
    assert!(ledger.lease(&fence.lease, holder, ttl).await.expect("the database answers"), "somebody else is active");
    fence
}

fn signed(nonce: u64, number: u32) -> NewTransaction {
    let raw = Bytes::from(format!("{nonce}/{number}").into_bytes());
    NewTransaction { hash: keccak256(&raw), chain_id: CHAIN, account: ACCOUNT, nonce, number, noop: number > 7, raw }
}

async fn open(
    ledger: &Ledger,
    fence: &Fence,
    job: JobId,
    lane: Lane,
    transaction: &NewTransaction,
) -> Result<IntentId, LedgerError> {
    let intent = NewIntent { job: Some(job), channel: Some(channel_id(0)), lane };
    ledger.journal(fence, &intent, transaction).await
}

async fn slots(ledger: &Ledger, settled: u64) -> Vec<Slot> {
    ledger.slots(CHAIN, ACCOUNT, settled).await.expect("the database answers")
}

fn states(slot: &Slot) -> Vec<(IntentState, bool)> {
    slot.intents.iter().map(|intent| (intent.state, intent.is_live())).collect()
}

async fn mark(
    ledger: &Ledger,
    fence: &Fence,
    intent: IntentId,
    state: IntentState,
    block: Option<u64>,
    confirmed: bool,
) {
    let mark = Mark { intent, state, block, confirmed, reason: None };
    ledger.mark(fence, &[mark]).await.expect("it is ours");
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_first_to_number_a_transaction_wins_and_a_job_has_one_intent() {
    let (ledger, _) = ledger_with(1, 100).await;
    let fence = wallet(&ledger, "one", MINUTE).await;
    let (first, other) = (job(&ledger, "1").await, job(&ledger, "2").await);
    let intent = open(&ledger, &fence, first, Lane::Urgent, &signed(7, 0)).await.unwrap();
    for (job, transaction) in [(other, signed(7, 0)), (first, signed(8, 0))] {
        let taken = open(&ledger, &fence, job, Lane::Urgent, &transaction).await;
        assert!(matches!(taken, Err(LedgerError::Conflict(_))), "{taken:?}");
    }
    let again = NewTransaction { raw: Bytes::from_static(b"dearer"), hash: keccak256(b"dearer"), ..signed(7, 1) };
    ledger.journal_again(&fence, intent, &again).await.unwrap();
    let taken = ledger.journal_again(&fence, intent, &signed(7, 1)).await;
    assert!(matches!(taken, Err(LedgerError::Conflict(_))), "{taken:?}");

    assert!(ledger.mark_sent(&fence, intent).await.unwrap());
    assert!(!ledger.mark_sent(&fence, intent).await.unwrap(), "it is known");
    let found = slots(&ledger, 0).await;
    assert_eq!(found.len(), 1);
    assert_eq!(states(&found[0]), [(IntentState::Broadcast, true)]);
    assert_eq!(found[0].signed.iter().map(|signed| signed.number).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(found[0].signed[1].raw, again.raw);
    assert_eq!(ledger.slots_about(channel_id(0)).await.unwrap().len(), 1);
    assert!(ledger.slots(1, ACCOUNT, 0).await.unwrap().is_empty(), "it is another chain");
}

#[tokio::test]
async fn a_wallet_without_the_lease_writes_nothing() {
    let (ledger, _) = ledger_with(1, 100).await;
    let old = wallet(&ledger, "old", Duration::from_millis(300)).await;
    let (first, second) = (job(&ledger, "1").await, job(&ledger, "2").await);
    let intent = open(&ledger, &old, first, Lane::Urgent, &signed(0, 0)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let refused = open(&ledger, &old, second, Lane::Urgent, &signed(1, 0)).await;
    assert!(matches!(refused, Err(LedgerError::Conflict(_))), "its time is over: {refused:?}");

    let new = wallet(&ledger, "new", MINUTE).await;
    let again = ledger.journal_again(&old, intent, &signed(0, 1)).await;
    assert!(matches!(again, Err(LedgerError::Conflict(_))), "{again:?}");
    let cancelled = Mark { intent, state: IntentState::Cancelled, block: Some(1), confirmed: true, reason: None };
    let marked = ledger.mark(&old, &[cancelled]).await;
    assert!(matches!(marked, Err(LedgerError::Conflict(_))), "{marked:?}");
    assert!(!ledger.mark_sent(&old, intent).await.unwrap());
    assert_eq!(states(&slots(&ledger, 0).await[0]), [(IntentState::Prepared, true)]);
    ledger.journal_again(&new, intent, &signed(0, 1)).await.unwrap();
}

#[tokio::test]
async fn what_is_displaced_is_replaced_and_its_job_waits_until_that_is_certain() {
    let (ledger, _) = ledger_with(1, 100).await;
    let fence = wallet(&ledger, "one", MINUTE).await;
    let (claim, challenge) = (job(&ledger, "claim").await, job(&ledger, "challenge").await);
    let displaced = open(&ledger, &fence, claim, Lane::Normal, &signed(3, 0)).await.unwrap();
    let urgent = open(&ledger, &fence, challenge, Lane::Urgent, &signed(3, 1)).await.unwrap();
    let found = slots(&ledger, 0).await;
    assert_eq!(states(&found[0]), [(IntentState::Replaced, true), (IntentState::Prepared, true)]);
    let again = open(&ledger, &fence, claim, Lane::Normal, &signed(4, 0)).await;
    assert!(matches!(again, Err(LedgerError::Conflict(_))), "it may still be mined: {again:?}");

    for confirmed in [false, true] {
        mark(&ledger, &fence, urgent, IntentState::Mined, Some(9), confirmed).await;
        mark(&ledger, &fence, displaced, IntentState::Replaced, Some(9), confirmed).await;
        assert_eq!(states(&slots(&ledger, 0).await[0])[0].1, !confirmed);
    }
    assert!(slots(&ledger, 4).await.is_empty(), "all is settled");
    open(&ledger, &fence, claim, Lane::Normal, &signed(4, 0)).await.expect("it is certain now");
    let found = slots(&ledger, 0).await;
    assert_eq!(found.iter().map(|slot| slot.nonce).collect::<Vec<_>>(), [3, 4]);
    assert!(!found[0].intents[0].wanted && found[1].intents[0].wanted, "the job has another one");
}

#[tokio::test]
async fn what_is_urgent_is_tried_again_at_once_and_what_is_not_never_after_it_was_done() {
    let (ledger, _) = ledger_with(1, 100).await;
    let fence = wallet(&ledger, "one", MINUTE).await;
    let (urgent, normal) = (job(&ledger, "urgent").await, job(&ledger, "normal").await);
    let first = open(&ledger, &fence, urgent, Lane::Urgent, &signed(0, 0)).await.unwrap();
    mark(&ledger, &fence, first, IntentState::Replaced, Some(5), false).await;
    open(&ledger, &fence, urgent, Lane::Urgent, &signed(1, 0)).await.expect("at once");

    let done = open(&ledger, &fence, normal, Lane::Normal, &signed(2, 0)).await.unwrap();
    mark(&ledger, &fence, done, IntentState::Mined, Some(5), true).await;
    let again = open(&ledger, &fence, normal, Lane::Normal, &signed(3, 0)).await;
    assert!(matches!(again, Err(LedgerError::Conflict(_))), "{again:?}");
}

#[tokio::test]
async fn what_is_mined_is_not_journalled_again_before_it_is_certain_however_urgent_it_is() {
    let (ledger, _) = ledger_with(1, 100).await;
    let fence = wallet(&ledger, "one", MINUTE).await;
    let job = job(&ledger, "urgent").await;
    let mined = open(&ledger, &fence, job, Lane::Urgent, &signed(0, 0)).await.unwrap();
    mark(&ledger, &fence, mined, IntentState::Mined, Some(5), false).await;
    let again = open(&ledger, &fence, job, Lane::Urgent, &signed(1, 0)).await;
    assert!(matches!(again, Err(LedgerError::Conflict(_))), "{again:?}");
    mark(&ledger, &fence, mined, IntentState::Mined, Some(5), true).await;
    open(&ledger, &fence, job, Lane::Urgent, &signed(1, 0)).await.expect("its contract decides");
}

#[tokio::test]
async fn what_a_job_gave_up_is_not_wanted_and_a_reason_stays() {
    let (ledger, url) = ledger_with(1, 100).await;
    let fence = wallet(&ledger, "one", MINUTE).await;
    let job = job(&ledger, "1").await;
    let intent = open(&ledger, &fence, job, Lane::Normal, &signed(0, 0)).await.unwrap();
    assert!(slots(&ledger, 0).await[0].intents[0].wanted);
    ledger.fail(job, "an operator said so").await.unwrap();
    assert!(!slots(&ledger, 0).await[0].intents[0].wanted);

    let reason = Some("balance too small".to_owned());
    let reverted = Mark { intent, state: IntentState::Reverted, block: Some(5), confirmed: false, reason };
    ledger.mark(&fence, &[reverted]).await.unwrap();
    mark(&ledger, &fence, intent, IntentState::Reverted, Some(5), true).await;
    let reasons = sql(&url).await.query("SELECT reason FROM intents", &[]).await.unwrap();
    assert_eq!(reasons[0].get::<_, String>(0), "balance too small");
}

#[tokio::test]
async fn what_an_earlier_version_journalled_is_taken_over() -> anyhow::Result<()> {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut files: Vec<_> =
        std::fs::read_dir(migrations)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    files.sort();
    let server = Postgres::shared().await?;
    server.execute("postgres", "CREATE DATABASE earlier").await?;
    let url = server.url("earlier");
    let client = sql(&url).await;
    let is_new = |file: &Path| file.to_string_lossy().contains("_intents");
    for file in files.iter().take_while(|file| !is_new(file)) {
        client.batch_execute(&std::fs::read_to_string(file)?).await?;
    }
    let earlier = "
        INSERT INTO deployments (id, chain_id, contract, token, payee)
        VALUES ('test', 31337, repeat('a', 20)::bytea, repeat('b', 20)::bytea, repeat('c', 20)::bytea);
        INSERT INTO channels (id, deployment, payer, params, confirmed, deposit, pending, claimed, status)
        VALUES (repeat('d', 32)::bytea, 'test', repeat('e', 20)::bytea, '', true, 1, 0, 0, 'open');
        INSERT INTO jobs (kind, key, deployment) VALUES ('challenge', '1', 'test');
        INSERT INTO transactions (hash, chain_id, account, nonce, job, channel, raw, state)
        SELECT decode(md5(n::text) || md5(state), 'hex'), 31337, repeat('f', 20)::bytea, n, 1, repeat('d', 32)::bytea,
               'raw', state
        FROM (VALUES (0, 'replaced'), (1, 'reverted'), (2, 'broadcast')) AS v(n, state)";
    client.batch_execute(earlier).await?;
    for file in files.iter().skip_while(|file| !is_new(file)) {
        client.batch_execute(&std::fs::read_to_string(file)?).await?;
    }
    let found = client.query(
        "SELECT i.nonce, i.state, i.confirmed, t.number, t.noop FROM intents i JOIN transactions t ON t.intent = i.id
         WHERE t.nonce = i.nonce AND i.job = 1 AND i.lane = 'urgent' ORDER BY i.nonce",
        &[],
    );
    let found: Vec<(i64, String, bool, i32, bool)> =
        found.await?.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))).collect();
    let expected = |nonce, state: &str| (nonce, state.to_owned(), false, 0, false);
    assert_eq!(found, [expected(0, "replaced"), expected(1, "reverted"), expected(2, "broadcast")]);
    Ok(())
}
