//! Jobs and leases: what the background stands on.

mod common;

use std::time::{Duration, Instant};

use common::*;
use futures::future::join_all;
use ledger::{JobId, JobKind, JobOutcome, Ledger, LedgerError, NewJob};
use serde_json::json;
use testkit::postgres::Postgres;

fn sync(key: &str) -> NewJob {
    NewJob { kind: JobKind::Sync, key: key.into(), deployment: DEPLOYMENT.into(), channel: None, amount: None }
}

async fn due(ledger: &Ledger) -> Vec<JobId> {
    let due = ledger.due(JobKind::Sync, &[DEPLOYMENT], 100).await.expect("the database answers");
    due.iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn jobs_of_one_kind_and_key_are_one_while_it_is_open() {
    let (ledger, url) = ledger_with(1, 100).await;
    let other = connect(&url).await;
    let both = [&ledger, &other];
    let (one, two) = (sync("1"), sync("2"));
    let ids = join_all((0..32).map(|n| both[n % 2].enqueue(&one))).await;
    let first = *ids[0].as_ref().unwrap();
    assert!(ids.iter().all(|id| id.as_ref().is_ok_and(|id| *id == first)), "{ids:?}");
    let second = ledger.enqueue(&two).await.unwrap();
    let sign = NewJob { kind: JobKind::Sign, channel: Some(channel_id(0)), amount: Some(amount(7)), ..sync("1") };
    ledger.enqueue(&sign).await.unwrap();
    assert_eq!(due(&ledger).await, [first, second], "oldest first, and no other kind");
    assert_eq!(ledger.due(JobKind::Sync, &["elsewhere"], 100).await.unwrap(), []);
    let signs = ledger.due(JobKind::Sign, &[DEPLOYMENT], 100).await.unwrap();
    assert_eq!(signs.iter().map(|job| &job.job).collect::<Vec<_>>(), [&sign]);
    ledger.finish(first, &json!(1)).await.unwrap();
    assert_ne!(ledger.enqueue(&one).await.unwrap(), first, "that one has ended");
}

#[tokio::test]
async fn whoever_waits_for_a_job_is_woken_at_once() {
    let (front, url) = ledger_with(0, 0).await;
    let wallet = connect(&url).await;
    let mut bell = wallet.listen(&[JobKind::Sync]);
    bell.wait(Duration::from_millis(500)).await; // that it is connected
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let job = front.enqueue(&sync(&n.to_string())).await.unwrap();
        let waiting = tokio::spawn({
            let front = front.clone();
            async move { front.wait(job, Duration::from_secs(5)).await }
        });
        let started = Instant::now();
        bell.wait(Duration::from_secs(5)).await;
        assert_eq!(due(&wallet).await, [job]);
        tokio::time::sleep(Duration::from_millis(20)).await; // so that it waits
        let ended = Instant::now();
        match n % 2 {
            0 => wallet.finish(job, &json!({ "n": n })).await.unwrap(),
            _ => wallet.fail(job, "no such thing").await.unwrap(),
        }
        let outcome = waiting.await.unwrap().unwrap().expect("it has ended");
        slowest = slowest.max(ended.elapsed()).max(started.elapsed());
        match n % 2 {
            0 => assert_eq!(outcome, JobOutcome::Done(json!({ "n": n }))),
            _ => assert_eq!(outcome, JobOutcome::Failed("no such thing".into())),
        }
    }
    println!("slowest ring and answer: {slowest:?}");
    assert!(slowest < Duration::from_millis(400), "no poll was needed: {slowest:?}");
}

#[tokio::test]
async fn a_wait_ends_in_time_when_the_job_does_not() {
    let (ledger, _) = ledger_with(0, 0).await;
    let job = ledger.enqueue(&sync("1")).await.unwrap();
    let started = Instant::now();
    assert_eq!(ledger.wait(job, Duration::from_millis(300)).await.unwrap(), None);
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(matches!(ledger.wait(JobId(0), Duration::ZERO).await, Err(LedgerError::NotFound("job"))));
}

#[tokio::test]
async fn a_job_comes_back_after_its_delay_and_ends_once() {
    let (ledger, _) = ledger_with(0, 0).await;
    let job = ledger.enqueue(&sync("1")).await.unwrap();
    ledger.retry(job, "not now", Duration::from_millis(300)).await.unwrap();
    assert_eq!(due(&ledger).await, []);
    assert_eq!(ledger.enqueue(&sync("1")).await.unwrap(), job, "put off is still open");
    tokio::time::sleep(Duration::from_millis(350)).await;
    let again = ledger.due(JobKind::Sync, &[DEPLOYMENT], 1).await.unwrap();
    assert_eq!(again.iter().map(|job| (job.id, job.attempts)).collect::<Vec<_>>(), [(job, 1)]);
    ledger.finish(job, &json!("first")).await.unwrap();
    ledger.finish(job, &json!("second")).await.unwrap();
    ledger.fail(job, "third").await.unwrap();
    assert_eq!(ledger.outcome(job).await.unwrap(), Some(JobOutcome::Done(json!("first"))));
}

#[tokio::test]
async fn jobs_survive_the_server_and_the_bell_rings_again_after_it_was_away() {
    let mut server = Postgres::start().await.unwrap();
    let ledger = connect(&server.fresh_database().await.unwrap()).await;
    ledger.register(&deployment()).await.unwrap();
    testkit::clear::all_clear(&ledger, DEPLOYMENT).await.unwrap();
    let before = ledger.enqueue(&sync("1")).await.unwrap();
    let mut bell = ledger.listen(&[JobKind::Sync]);
    server.kill9().unwrap();
    server.start_again().await.unwrap();
    bell.wait(Duration::from_secs(5)).await; // rings because something may have been missed
    let ids = testkit::wait::until("the pool to reconnect", Duration::from_secs(5), async || {
        Ok(ledger.due(JobKind::Sync, &[DEPLOYMENT], 10).await?)
    });
    assert_eq!(ids.await.unwrap().iter().map(|job| job.id).collect::<Vec<_>>(), [before]);
    let mut bell = ledger.listen(&[JobKind::Sync]);
    let (started, job) = (Instant::now(), sync("2"));
    let (added, ()) = futures::join!(ledger.enqueue(&job), bell.wait(Duration::from_secs(5)));
    added.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "it listens again");
}

#[tokio::test]
async fn clients_cannot_pile_up_jobs_without_end() {
    let (ledger, url) = ledger_with(0, 0).await;
    let many =
        "INSERT INTO jobs (kind, key, deployment) SELECT 'sync', n::text, 'test' FROM generate_series(1, 10000) n";
    sql(&url).await.batch_execute(many).await.unwrap();
    assert!(matches!(ledger.enqueue(&sync("one more")).await, Err(LedgerError::Overloaded)));
    ledger.enqueue(&sync("7")).await.expect("it is open already");
    ledger.enqueue(&NewJob { kind: JobKind::Sign, ..sync("7") }).await.expect("there are none of these");
}

#[tokio::test]
async fn a_lease_passes_to_another_when_its_time_is_over_or_it_is_given_up() {
    let (a, url) = ledger_with(0, 0).await;
    let b = connect(&url).await;
    let ttl = Duration::from_millis(600);
    assert!(a.lease("chain 1", "a", ttl).await.unwrap());
    assert!(!b.lease("chain 1", "b", ttl).await.unwrap(), "a has it");
    assert!(b.lease("chain 2", "b", ttl).await.unwrap(), "it is another one");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(a.lease("chain 1", "a", ttl).await.unwrap(), "prolonged");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!b.lease("chain 1", "b", ttl).await.unwrap(), "a still has it");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(b.lease("chain 1", "b", ttl).await.unwrap(), "a let it go");
    assert!(!a.lease("chain 1", "a", ttl).await.unwrap());
    a.release_lease("chain 1", "a").await.unwrap();
    assert!(!a.lease("chain 1", "a", ttl).await.unwrap(), "it was not a's to give up");
    b.release_lease("chain 1", "b").await.unwrap();
    let race = join_all((0..16).map(|n| {
        let (ledger, holder) = (if n % 2 == 0 { &a } else { &b }, n.to_string());
        async move { ledger.lease("chain 1", &holder, ttl).await.unwrap() }
    }));
    assert_eq!(race.await.into_iter().filter(|taken| *taken).count(), 1);
}

#[tokio::test]
async fn housekeeping_forgets_what_is_old_and_keeps_what_is_held() {
    let (ledger, url) = ledger_with(1, 100).await;
    let client = sql(&url).await;
    let old = "
        CREATE TABLE holds_20200101 PARTITION OF holds FOR VALUES FROM ('2020-01-01 00:00Z') TO ('2020-01-02 00:00Z');
        CREATE TABLE holds_20200102 PARTITION OF holds FOR VALUES FROM ('2020-01-02 00:00Z') TO ('2020-01-03 00:00Z');
        INSERT INTO holds (id, created_at, channel, epoch, amount, request_hash, state, expires_at)
        SELECT gen_random_uuid(), day, c.id, 0, 0, c.id, state, day
        FROM channels c, (VALUES (timestamptz '2020-01-01 12:00Z', 'captured'),
                                 (timestamptz '2020-01-02 12:00Z', 'held')) AS v(day, state);
        INSERT INTO jobs (kind, key, deployment, state, ended_at) VALUES
            ('sync', 'old', 'test', 'done', now() - interval '2 days'), ('sync', 'new', 'test', 'done', now()),
            ('sign', 'refused', 'test', 'failed', now() - interval '2 days'),
            ('claim', 'dead', 'test', 'failed', now() - interval '31 days'),
            ('claim', 'new', 'test', 'failed', now() - interval '29 days')";
    client.batch_execute(old).await.unwrap();
    for _ in 0..2 {
        ledger.maintain().await.unwrap();
        let holds = client.query("SELECT state FROM holds", &[]).await.unwrap();
        assert_eq!(holds.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["held"]);
        let jobs = client.query("SELECT key FROM jobs", &[]).await.unwrap();
        assert_eq!(jobs.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["new", "new"]);
    }
}
