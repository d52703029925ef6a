//! The ledger fails: nothing is served that is not recorded, and nobody is asked to pay for our faults.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use testkit::cut::{Cut, Fault};
use testkit::postgres::Postgres;
use tokio_postgres::NoTls;

use crate::world::{World, failure, fault};

async fn sql(database: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
}

#[tokio::test]
async fn without_postgresql_it_is_503_and_with_it_all_goes_on() {
    let mut postgres = Postgres::start().await.unwrap();
    let world = World::on(&postgres.fresh_database().await.unwrap()).await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    assert_eq!(front.pay("/page", &payer, 1).await.status(), StatusCode::OK);
    world.settles(&payer, (1, 1, 0)).await;

    postgres.kill9().unwrap();
    for _ in 0..3 {
        let (status, reason, retry_after) = fault(front.pay("/page", &payer, 2).await).await;
        assert_eq!((status, retry_after), (503, true));
        assert!(["ledger_unavailable", "outcome_unknown"].contains(&reason.as_str()), "{reason}");
    }
    assert_eq!(failure(&front.get("/page").await), [""; 0]);
    assert_eq!(world.upstream.calls("/page"), 1);

    postgres.start_again().await.unwrap();
    let began = Instant::now();
    loop {
        let answer = front.pay("/page", &payer, 2).await;
        if answer.status() == StatusCode::OK {
            break;
        }
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.upstream.calls("/page"), 2);
    world.settles(&payer, (2, 2, 0)).await;
}

#[tokio::test]
async fn a_capture_outlives_the_database() {
    let mut postgres = Postgres::start().await.unwrap();
    let world = World::on(&postgres.fresh_database().await.unwrap()).await;
    let (front, payer) = (world.front().await, world.payer(100).await);
    let call = front.pay("/slow/700", &payer, 1);
    let fall = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        postgres.kill9().unwrap();
    };
    let (answer, ()) = tokio::join!(call, fall);
    assert_eq!(answer.status(), StatusCode::OK);
    postgres.start_again().await.unwrap();
    for _ in 0..100 {
        if let Ok(Some((_, epoch))) = world.ledger.view(payer.channel()).await
            && epoch.spent.units() == 1
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never captured");
}

#[tokio::test]
async fn every_request_of_a_failed_batch_is_503_and_makes_no_call() {
    let world = World::new().await;
    let front = world.front().await;
    let mut payers = Vec::new();
    for _ in 0..20 {
        payers.push(world.payer(100).await);
    }
    // Raises at the very end of each transaction, when the database was asked to commit.
    sql(
        &world.database,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
         CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON holds DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION fail();",
    )
    .await;
    let answers = futures::future::join_all(payers.iter().map(|payer| front.pay("/page", payer, 1))).await;
    for answer in answers {
        let (status, _, retry_after) = fault(answer).await;
        assert_eq!((status, retry_after), (503, true));
    }
    assert_eq!(world.upstream.all_calls(), 0);
    sql(&world.database, "DROP TRIGGER fail ON holds").await;
    let answers = futures::future::join_all(payers.iter().map(|payer| front.pay("/page", payer, 1))).await;
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::OK));
}

#[tokio::test]
async fn one_request_that_fails_its_batch_fails_alone() {
    let world = World::new().await;
    let front = world.front().await;
    let mut payers = Vec::new();
    for _ in 0..20 {
        payers.push(world.payer(100).await);
    }
    sql(
        &world.database,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF NEW.request_id = 'bad' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER fail BEFORE INSERT ON holds FOR EACH ROW EXECUTE FUNCTION fail();",
    )
    .await;
    let requests = payers.iter().enumerate().map(|(n, payer)| {
        let id = if n == 7 { "bad" } else { "good" };
        front.request(Method::GET, "/page").headers(payer.voucher(1)).header("Idempotency-Key", id).send()
    });
    let answers = futures::future::join_all(requests).await;
    let statuses: Vec<u16> = answers.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect();
    assert_eq!(statuses[7], 503);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 19);
    assert_eq!(world.upstream.calls("/page"), 19);
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_503_without_a_call_and_the_repetition_is_sold_once() {
    let world = World::new().await;
    let payer = world.payer(100).await;
    let database: tokio_postgres::Config = world.database.parse().unwrap();
    let port = database.get_ports()[0];
    let cut = Cut::start(([127, 0, 0, 1], port).into()).await.unwrap();
    let front = world
        .front_with(|config| {
            config.database.url = world.database.replace(&format!(":{port}/"), &format!(":{}/", cut.address().port()));
            config.database.hold_ttl_s = 2;
        })
        .await;
    let pay = || front.request(Method::GET, "/page").headers(payer.voucher(1)).header("Idempotency-Key", "once").send();

    cut.once(Fault::BeforeAnswerTo(b"COMMIT".to_vec()));
    let first = pay().await.unwrap();
    assert_eq!(cut.cuts(), 1);
    assert_eq!(fault(first).await, (503, "outcome_unknown".to_owned(), true));
    assert_eq!(world.upstream.all_calls(), 0);
    assert_eq!(world.books(&payer).await, (1, 0, 1), "it was committed after all");

    // Nobody renews that hold. Once it has expired, the repetition is sold.
    let began = Instant::now();
    loop {
        let answer = pay().await.unwrap();
        if answer.status() == StatusCode::OK {
            break;
        }
        let (status, reason, retry_after) = fault(answer).await;
        assert!(retry_after && ["busy", "ledger_unavailable"].contains(&reason.as_str()), "{status} {reason}");
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.upstream.all_calls(), 1);
    world.settles(&payer, (1, 1, 0)).await;
}

#[tokio::test]
async fn a_long_call_s_hold_is_renewed() {
    let world = World::new().await;
    let change = |config: &mut runtime::Config| {
        config.database.hold_ttl_s = 1;
        config.front.timeouts.upstream_head = Duration::from_secs(10);
    };
    let (front, other, payer) =
        (world.front_with(change).await, world.front_with(change).await, world.payer(100).await);
    let (answer, ()) = tokio::join!(front.pay("/slow/4000", &payer, 1), async {
        tokio::time::sleep(Duration::from_millis(3500)).await;
        assert_eq!(world.books(&payer).await, (1, 0, 1));
    });
    assert_eq!(answer.status(), StatusCode::OK);
    world.settles(&payer, (1, 1, 0)).await;
    drop(other);
}
