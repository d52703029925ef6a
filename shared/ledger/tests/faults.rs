//! What becomes of payments when the database fails: nothing acknowledged is lost, nothing uncertain is called sold,
//! and one bad row is nobody else's trouble.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use channel::{Refusal, Step};
use common::*;
use futures::future::join_all;
use ledger::{Ledger, LedgerError, Order, Settings};
use testkit::cut::{Cut, Fault};
use testkit::postgres::Postgres;
use testkit::wait;

/// A ledger with channels on a server of its own, and the address of its database.
async fn own_server(channels: u64) -> (Postgres, Ledger, String) {
    let server = Postgres::start().await.expect("PostgreSQL starts");
    let url = server.fresh_database().await.expect("a database is made");
    let ledger = connect(&url).await;
    open_channels(&ledger, channels, u128::from(u64::MAX)).await;
    (server, ledger, url)
}

/// A ledger that reaches its database through a proxy.
async fn behind_a_proxy(url: &str, commit_timeout_ms: u64) -> (Cut, Ledger) {
    let (_, rest) = url.split_once("127.0.0.1:").expect("a loopback address");
    let (port, database) = rest.split_once('/').expect("a port and a database");
    let proxy = Cut::start(([127, 0, 0, 1], port.parse().expect("a port")).into()).await.expect("the proxy starts");
    let url = format!("postgres://postgres@{}/{database}", proxy.address());
    let ledger = Ledger::connect(&Settings { commit_timeout_ms, ..settings(&url) }).await.expect("it connects");
    (proxy, ledger)
}

async fn spent(url: &str) -> i64 {
    sql(url).await.query_one("SELECT sum(spent)::int8 FROM epochs", &[]).await.expect("it answers").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn loses_no_acknowledged_payment_when_the_server_is_killed_under_load() {
    const CHANNELS: u64 = 64;
    let (mut server, ledger, url) = own_server(CHANNELS).await;
    let counts: Arc<Vec<[AtomicU64; 2]>> = Arc::new((0..CHANNELS).map(|_| Default::default()).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..CHANNELS)
        .map(|n| {
            let (ledger, counts, stop) = (ledger.clone(), counts.clone(), stop.clone());
            let order = Order { terms: terms(Step::Any), ..order(voucher(n, 1_000_000_000)) };
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let [acknowledged, unknown] = &counts[usize::try_from(n).expect("few channels")];
                    match ledger.sell(order.clone()).await {
                        Ok(sale) => {
                            sale.expect("there is credit");
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(LedgerError::OutcomeUnknown) => {
                            unknown.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            })
        })
        .collect();
    let total = |which: usize| counts.iter().map(|count| count[which].load(Ordering::Relaxed)).sum::<u64>();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.kill9().expect("it was running");
        let (before, killed) = (total(0), Instant::now());
        server.start_again().await.expect("it recovers");
        let back = killed.elapsed();
        wait::until("payments again", Duration::from_secs(5), async || {
            anyhow::ensure!(total(0) > before);
            Ok(())
        })
        .await
        .expect("the ledger reconnects");
        println!("{before} acknowledged, {} unknown; back {back:?}, selling {:?}", total(1), killed.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("the caller ends");
    }
    let rows = sql(&url).await.query("SELECT channel, spent::int8 FROM epochs", &[]).await.expect("it answers");
    let spent = |n: u64| {
        let row = rows.iter().find(|row| row.get::<_, &[u8]>(0) == channel_id(n).0.as_slice());
        u64::try_from(row.expect("it is known").get::<_, i64>(1)).expect("a count")
    };
    let (mut stored, mut lost) = (0, 0);
    for n in 0..CHANNELS {
        let [acknowledged, unknown] = &counts[usize::try_from(n).expect("few channels")];
        let (acknowledged, unknown) = (acknowledged.load(Ordering::Relaxed), unknown.load(Ordering::Relaxed));
        stored += spent(n);
        lost += acknowledged.saturating_sub(spent(n));
        assert!(spent(n) <= acknowledged + unknown, "nothing is charged that nobody asked for");
    }
    println!("{} acknowledged, {} unknown, {stored} stored, {lost} lost", total(0), total(1));
    assert_eq!(lost, 0);
    let client = sql(&url).await;
    assert_eq!(unexplained(&client).await, 0, "what is spent is noted as sold");
    while ledger.fold_sales().await.expect("it answers") > 0 {}
    assert_eq!(unexplained(&client).await, 0);
    assert!(total(0) > 1_000, "there was a load");
}

#[tokio::test]
async fn fails_one_entry_alone_when_only_its_row_is_bad() {
    let (ledger, url) = ledger_with(64, 100).await;
    let client = sql(&url).await;
    let trigger = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'bad row'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON epochs
         FOR EACH ROW WHEN (NEW.channel = '\\x{:x}') EXECUTE FUNCTION refuse()",
        channel_id(7).0
    );
    client.batch_execute(&trigger).await.unwrap();
    let sales = join_all((0..64).map(|n| ledger.sell(order(voucher(n, 1))))).await;
    for (n, sale) in sales.iter().enumerate() {
        match n {
            7 => assert!(matches!(sale, Err(LedgerError::Rejected(_))), "{sale:?}"),
            _ => assert!(matches!(sale, Ok(Ok(_))), "{sale:?}"),
        }
    }
    assert_eq!(spent(&url).await, 63);
    client.batch_execute("DROP TRIGGER refuse ON epochs").await.unwrap();
    sell(&ledger, order(voucher(7, 1))).await.expect("nothing had happened");
}

#[tokio::test]
async fn calls_nothing_sold_when_the_whole_batch_fails() {
    let (ledger, url) = ledger_with(64, 100).await;
    let trigger = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON epochs DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse()";
    sql(&url).await.batch_execute(trigger).await.unwrap();
    let sales = join_all((0..64).map(|n| ledger.sell(order(voucher(n, 1))))).await;
    assert!(sales.iter().all(|sale| matches!(sale, Err(LedgerError::Rejected(_)))), "the commit itself failed");
    assert_eq!(spent(&url).await, 0);
}

#[tokio::test]
async fn a_locked_row_stalls_itself_alone() {
    let (_, url) = ledger_with(50, 1_000).await;
    let settings = Settings { lock_timeout_ms: 3_000, ..settings(&url) };
    let ledger = Ledger::connect(&settings).await.expect("it connects");
    let lock = async |n: u64| {
        let client = sql(&url).await;
        client.batch_execute("BEGIN").await.unwrap();
        let id = channel_id(n);
        client.query("SELECT FROM epochs WHERE channel = $1 FOR UPDATE", &[&id.0.as_slice()]).await.unwrap();
        client
    };
    let (stalled, passing) = (lock(0).await, lock(1).await);
    let started = Instant::now();
    let locked = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.sell(order(voucher(0, 1))).await }
    });
    let delayed = tokio::spawn({
        let ledger = ledger.clone();
        async move { (ledger.sell(order(voucher(1, 1))).await, Instant::now()) }
    });
    let mut slowest = Duration::ZERO;
    for units in 1..=5 {
        let started = Instant::now();
        for sale in join_all((2..50).map(|n| ledger.sell(order(voucher(n, units))))).await {
            sale.expect("the database answers").expect("it is paid for");
        }
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_millis(1_500), "others took {slowest:?}");

    passing.batch_execute("ROLLBACK").await.unwrap();
    let (unlocked, sold) = (Instant::now(), delayed.await.unwrap());
    sold.0.expect("the database answers").expect("it was locked for a while only");
    let after = sold.1.saturating_duration_since(unlocked);
    assert!(after < Duration::from_secs(1), "it went on {after:?} after the lock was gone");

    let failed = locked.await.unwrap();
    assert!(matches!(failed, Err(LedgerError::Unavailable(_))), "{failed:?}");
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(2_900) && waited < Duration::from_secs(6), "it waited {waited:?}");
    stalled.batch_execute("ROLLBACK").await.unwrap();
    sell(&ledger, order(voucher(0, 1))).await.expect("nothing had happened");
}

#[tokio::test]
async fn counts_what_the_last_owner_of_a_row_wrote_while_it_waited_for_it() {
    let (ledger, url) = ledger_with(8, 100).await;
    let from_credit = |n| Order { terms: terms(Step::Any), ..order(voucher(n, 2)) };
    let waiting = (0..8).map(async |n| {
        sell(&ledger, from_credit(n)).await.expect("it is new");
        let owner = sql(&url).await;
        let id = channel_id(n);
        owner.batch_execute("BEGIN").await.unwrap();
        let spend = "UPDATE epochs SET spent = spent + 1 WHERE channel = $1";
        owner.execute(spend, &[&id.0.as_slice()]).await.unwrap();
        let sold = tokio::spawn({
            let (ledger, order) = (ledger.clone(), from_credit(n));
            async move { ledger.sell(order).await }
        });
        tokio::time::sleep(Duration::from_millis(100 + 13 * n)).await;
        owner.batch_execute("COMMIT").await.unwrap();
        let refused = sold.await.unwrap().expect("the database answers").expect_err("the owner spent the rest");
        assert_eq!(refused.refusal, Refusal::Unpaid { price: amount(1), credit: amount(0) });
    });
    join_all(waiting).await;
}

#[tokio::test]
async fn calls_a_commit_without_an_answer_unknown_and_it_may_well_have_happened() {
    let (_, url) = ledger_with(32, 100).await;
    let (proxy, ledger) = behind_a_proxy(&url, 5_000).await;
    sell(&ledger, order(voucher(0, 1))).await.expect("it connects");
    proxy.once(Fault::BeforeAnswerTo(b"COMMIT".to_vec()));
    let sales = join_all((1..32).map(|n| ledger.sell(order(voucher(n, 1))))).await;
    let unknown = sales.iter().filter(|sale| matches!(sale, Err(LedgerError::OutcomeUnknown))).count();
    assert!(unknown > 0 && sales.iter().all(|sale| matches!(sale, Ok(Ok(_)) | Err(LedgerError::OutcomeUnknown))));
    assert_eq!(spent(&url).await, 32, "it was the answer that was lost");
    let again = join_all((1..32).map(|n| sell(&ledger, order(voucher(n, 1))))).await;
    assert!(again.iter().all(|sale| sale.as_ref().is_err_and(|refused| refused.refusal == Refusal::Replayed)));
}

#[tokio::test]
async fn says_that_nothing_happened_when_the_connection_is_lost_before_the_commit() {
    let (_, url) = ledger_with(1, 100).await;
    let (proxy, ledger) = behind_a_proxy(&url, 5_000).await;
    proxy.once(Fault::BeforeAnswerTo(b"BEGIN".to_vec()));
    let sale = ledger.sell(order(voucher(0, 1))).await;
    assert!(matches!(sale, Err(LedgerError::Unavailable(_))), "{sale:?}");
    assert_eq!(spent(&url).await, 0);
    sell(&ledger, order(voucher(0, 1))).await.expect("it connects again");
}

#[tokio::test]
async fn gives_up_on_a_connection_that_hangs() {
    let (_, url) = ledger_with(1, 100).await;
    let (proxy, ledger) = behind_a_proxy(&url, 300).await;
    sell(&ledger, order(voucher(0, 1))).await.expect("it connects");
    proxy.set(Fault::Blackhole);
    let started = Instant::now();
    let sale = ledger.sell(order(voucher(0, 2))).await;
    assert!(matches!(sale, Err(LedgerError::Unavailable(_))), "{sale:?}");
    assert!(started.elapsed() < Duration::from_secs(1));
    proxy.set(Fault::None);
    wait::until("a new connection", Duration::from_secs(3), async || {
        Ok(ledger.sell(order(voucher(0, 2))).await.map(drop)?)
    })
    .await
    .expect("it connects again");
}

#[tokio::test]
async fn calls_a_commit_unknown_whose_wait_for_the_standby_was_cancelled() {
    let (server, ledger, url) = own_server(4).await;
    let hurried = Settings { commit_timeout_ms: 400, ..settings(&url) };
    let hurried = Ledger::connect(&hurried).await.expect("it connects");
    server.execute("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    server.execute("postgres", "SELECT pg_reload_conf()").await.unwrap();
    let client = sql(&url).await;
    let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let sale = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.sell(order(voucher(0, 1))).await }
    });
    wait::until("the commit to wait for the standby", Duration::from_secs(3), async || {
        anyhow::ensure!(client.query_one(cancel, &[]).await?.get::<_, i64>(0) > 0);
        Ok(())
    })
    .await
    .expect("it waits");
    let sale = sale.await.unwrap();
    assert!(matches!(sale, Err(LedgerError::OutcomeUnknown)), "PostgreSQL called it committed: {sale:?}");

    let sale = hurried.sell(order(voucher(1, 1))).await;
    assert!(matches!(sale, Err(LedgerError::OutcomeUnknown)), "our own timer ran out: {sale:?}");
}

#[tokio::test]
async fn fails_fast_while_the_server_is_away_and_sells_when_it_is_back() {
    let (mut server, ledger, _) = own_server(1).await;
    sell(&ledger, order(voucher(0, 1))).await.expect("it is paid for");
    server.kill9().expect("it was running");
    let started = Instant::now();
    for _ in 0..200 {
        let sale = ledger.sell(order(voucher(0, 2))).await;
        assert!(matches!(sale, Err(LedgerError::Unavailable(_) | LedgerError::OutcomeUnknown)), "{sale:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(1), "200 refusals took {:?}", started.elapsed());
    server.start_again().await.expect("it recovers");
    wait::until("payments again", Duration::from_secs(5), async || {
        Ok(ledger.sell(order(voucher(0, 2))).await.map(drop)?)
    })
    .await
    .expect("the ledger reconnects");
}
