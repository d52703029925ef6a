//! Selling and settling, as the ledger's callers see it.

mod common;

use std::sync::Arc;
use std::time::Duration;

use channel::{Capture, HoldState, Refusal, Request, Sold, Step, Terms};
use common::*;
use futures::future::join_all;
use ledger::{Ledger, LedgerError, Order, Settings, Settlement, When};

/// One unit, held until it is settled.
fn later(channel: u64, units: u128) -> Order {
    Order { settle: When::Later, ..order(voucher(channel, units)) }
}

fn taken(units: u128) -> Capture {
    Capture { taken: amount(units), lost: amount(0) }
}

#[tokio::test]
async fn charges_a_voucher_once() {
    let (ledger, url) = ledger_with(1, 100).await;
    let receipt = sell(&ledger, order(voucher(0, 1))).await.expect("it is paid for");
    assert!(matches!(&receipt.sold, Sold::New { hold, .. } if hold.state == HoldState::Captured));
    assert_eq!((receipt.view.authorised, receipt.view.spent), (amount(1), amount(1)));
    let refused = sell(&ledger, order(voucher(0, 1))).await.expect_err("it is spent");
    assert_eq!(refused.refusal, Refusal::Replayed);
    assert_eq!(refused.view.map(|view| view.spent), Some(amount(1)));
    assert_eq!(violations(&sql(&url).await).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sells_a_voucher_once_that_64_tasks_race_over_two_ledgers() {
    let (one, url) = ledger_with(8, 100).await;
    let two = connect(&url).await;
    for units in 1..=20_u128 {
        let race = (0..64_u64).map(|n| {
            let ledger = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move { sell(&ledger, order(voucher(n % 8, units))).await })
        });
        let outcomes = join_all(race).await;
        let sold = outcomes.iter().filter(|outcome| outcome.as_ref().is_ok_and(Result::is_ok)).count();
        assert_eq!(sold, 8, "each of the 8 channels sells its voucher of {units} once");
    }
    let spent: String = sql(&url).await.query_one("SELECT sum(spent)::text FROM epochs", &[]).await.unwrap().get(0);
    assert_eq!(spent, "160");
}

#[tokio::test]
async fn captures_a_hold_once_and_tells_so_again() {
    let (ledger, url) = ledger_with(1, 100).await;
    let hold = hold_of(sell(&ledger, later(0, 1)).await.expect("it is paid for"));
    assert_eq!(hold.state, HoldState::Held);
    let refused = sell(&ledger, Order { price: amount(0), ..later(0, 1) }).await.expect_err("it is held");
    assert_eq!(refused.view.map(|view| view.credit), Some(amount(0)));
    assert_eq!(ledger.settle(&hold, Settlement::Capture(amount(1))).await.unwrap(), taken(1));
    assert_eq!(ledger.settle(&hold, Settlement::Capture(amount(1))).await.unwrap(), taken(0));
    assert_eq!(ledger.settle(&hold, Settlement::Release).await.unwrap(), taken(0));
    let (_, epoch) = ledger.view(channel_id(0)).await.unwrap().expect("it is known");
    assert_eq!((epoch.spent, epoch.held), (amount(1), amount(0)));
    assert_eq!(violations(&sql(&url).await).await, 0);
}

#[tokio::test]
async fn repeats_a_failed_call_from_its_credit_and_only_that_call() {
    let (ledger, _) = ledger_with(1, 100).await;
    let hold = hold_of(sell(&ledger, later(0, 1)).await.expect("it is paid for"));
    ledger.settle(&hold, Settlement::Release).await.unwrap();
    let other = sell(&ledger, Order { request: request(2), ..later(0, 1) }).await.expect_err("it is another call");
    assert_eq!(other.refusal, Refusal::Replayed);
    let again = sell(&ledger, later(0, 1)).await.expect("it is the same call");
    assert!(matches!(again.sold, Sold::New { retries: Some(id), .. } if id == hold.id));
    let third = sell(&ledger, later(0, 1)).await.expect_err("it has taken over already");
    assert_eq!(third.refusal, Refusal::Replayed);
}

#[tokio::test]
async fn repeats_two_failed_calls_of_the_same_content_once_each() {
    let (ledger, _) = ledger_with(1, 100).await;
    let mut holds = Vec::new();
    for units in [1, 2] {
        holds.push(hold_of(sell(&ledger, later(0, units)).await.expect("it is paid for")));
    }
    for hold in &holds {
        ledger.settle(hold, Settlement::Release).await.unwrap();
    }
    let again = join_all((0..3).map(|_| sell(&ledger, later(0, 2)))).await;
    let taken_over: Vec<_> = again
        .iter()
        .filter_map(|sale| match &sale.as_ref().ok()?.sold {
            Sold::New { retries, .. } => *retries,
            Sold::Again(_) => None,
        })
        .collect();
    assert_eq!(taken_over, [holds[1].id, holds[0].id], "the newest first");
}

#[tokio::test]
async fn answers_a_named_request_with_what_became_of_it() {
    let (ledger, _) = ledger_with(1, 100).await;
    let named = |units, content| Order { request: named_request("a", content), ..later(0, units) };
    let hold = hold_of(sell(&ledger, named(1, 1)).await.expect("it is paid for"));
    let refusal = |sale: Result<_, ledger::Refused>| sale.map(|_: ledger::Receipt| ()).expect_err("refused").refusal;
    assert_eq!(refusal(sell(&ledger, named(2, 1)).await), Refusal::Busy);
    assert_eq!(refusal(sell(&ledger, named(2, 2)).await), Refusal::RequestReused);
    ledger.settle(&hold, Settlement::Capture(amount(1))).await.unwrap();
    let again = sell(&ledger, named(2, 1)).await.expect("it was charged before");
    assert!(matches!(&again.sold, Sold::Again(before) if before.id == hold.id && before.state == HoldState::Captured));
    assert_eq!(again.view.authorised, amount(1), "the new voucher was not taken");
}

#[tokio::test]
async fn charges_a_named_request_once_though_it_is_charged_at_once() {
    let (ledger, _) = ledger_with(1, 100).await;
    let named = Order { request: named_request("a", 1), ..order(voucher(0, 1)) };
    let first = hold_of(sell(&ledger, named.clone()).await.expect("it is paid for"));
    let again = sell(&ledger, named).await.expect("it was charged before");
    assert!(matches!(again.sold, Sold::Again(before) if before.id == first.id));
}

#[tokio::test]
async fn calls_a_channel_unknown_only_while_it_hears_from_the_chain() {
    let (ledger, url) = ledger_with(1, 100).await;
    let refused = sell(&ledger, order(voucher(9, 1))).await.expect_err("there is none");
    assert_eq!((refused.refusal, refused.view), (Refusal::Unknown, None));
    let elsewhere = Order { deployment: Arc::from("elsewhere"), ..order(voucher(0, 1)) };
    assert_eq!(sell(&ledger, elsewhere).await.expect_err("never synced").refusal, Refusal::Stale);

    sql(&url).await.batch_execute("UPDATE deployments SET safe_until = now()").await.unwrap();
    let refused = sell(&ledger, order(voucher(9, 1))).await.expect_err("there is none that we know of");
    assert_eq!(refused.refusal, Refusal::Stale);
    let refused = sell(&ledger, order(voucher(0, 1))).await.expect_err("we do not know enough");
    assert_eq!(refused.refusal, Refusal::Stale);
    assert_eq!(refused.view.map(|view| view.deposit), Some(amount(100)));
}

#[tokio::test]
async fn keeps_no_row_of_what_was_charged_and_has_no_name() {
    let (ledger, url) = ledger_with(1, 100).await;
    let rows = async || -> i64 { sql(&url).await.query_one("SELECT count(*) FROM holds", &[]).await.unwrap().get(0) };
    let at_once = hold_of(sell(&ledger, order(voucher(0, 1))).await.expect("it is paid for"));
    assert_eq!(rows().await, 0);
    let called = hold_of(sell(&ledger, later(0, 2)).await.expect("it is paid for"));
    assert_eq!(rows().await, 1);
    assert_eq!(ledger.settle(&called, Settlement::Capture(amount(1))).await.unwrap(), taken(1));
    assert_eq!(rows().await, 0);
    for hold in [at_once, called] {
        for settlement in [Settlement::Capture(amount(1)), Settlement::Release] {
            assert_eq!(ledger.settle(&hold, settlement).await.unwrap(), taken(0), "it is over");
        }
    }
    let named = Request { id: Some("a name".to_owned()), ..later(0, 3).request };
    let named = Order { request: named, ..later(0, 3) };
    let called = hold_of(sell(&ledger, named.clone()).await.expect("it is paid for"));
    ledger.settle(&called, Settlement::Capture(amount(1))).await.unwrap();
    assert_eq!(rows().await, 1, "its payer may ask again");
    let again = sell(&ledger, named).await.expect("it was paid for");
    assert!(matches!(again.sold, Sold::Again(before) if before.id == called.id));
}

#[tokio::test]
async fn ends_no_hold_of_another_channel() {
    let (ledger, _) = ledger_with(2, 100).await;
    let mut hold = hold_of(sell(&ledger, later(0, 1)).await.expect("it is paid for"));
    hold.channel = channel_id(1);
    let settled = ledger.settle(&hold, Settlement::Release).await;
    assert!(matches!(settled, Err(LedgerError::NotFound("hold"))), "it is another channel's: {settled:?}");
}

#[tokio::test]
async fn keeps_the_terms_of_each_order() {
    let (ledger, _) = ledger_with(1, 100).await;
    let ahead = Order { terms: terms(Step::Any), ..order(voucher(0, 10)) };
    assert_eq!(sell(&ledger, ahead.clone()).await.expect("there is credit").view.credit, amount(9));
    assert_eq!(sell(&ledger, ahead).await.expect("there is credit left").view.credit, amount(8));
    let capped = Terms { max_held: amount(2), ..terms(Step::Any) };
    let held = Order { terms: capped, price: amount(2), ..later(0, 10) };
    sell(&ledger, held.clone()).await.expect("up to the limit");
    let refused = sell(&ledger, held).await.expect_err("above the limit");
    assert_eq!(refused.refusal, Refusal::Held { wanted: amount(4), limit: amount(2) });
}

/// A ledger whose holds live one second.
async fn short_lived() -> (Ledger, String) {
    let (_, url) = ledger_with(2, 100).await;
    let settings = Settings { hold_ttl_s: 1, ..settings(&url) };
    (Ledger::connect(&settings).await.expect("it connects"), url)
}

#[tokio::test]
async fn releases_what_is_not_renewed_and_charges_late_what_is_left() {
    let (ledger, url) = short_lived().await;
    let lost = hold_of(sell(&ledger, later(0, 1)).await.expect("it is paid for"));
    let kept = hold_of(sell(&ledger, later(1, 1)).await.expect("it is paid for"));
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(ledger.renew(&[kept.id]).await.unwrap(), 1);
    }
    assert_eq!(ledger.release_expired().await.unwrap(), 1);
    assert_eq!(ledger.release_expired().await.unwrap(), 0);
    let (_, epoch) = ledger.view(channel_id(0)).await.unwrap().expect("it is known");
    assert_eq!((epoch.held, epoch.credit()), (amount(0), amount(1)));
    assert_eq!(ledger.renew(&[lost.id]).await.unwrap(), 0, "it is too late");
    assert_eq!(ledger.settle(&kept, Settlement::Capture(amount(1))).await.unwrap(), taken(1));
    assert_eq!(
        ledger.settle(&lost, Settlement::Capture(amount(1))).await.unwrap(),
        taken(1),
        "its credit is still there"
    );

    let gone = hold_of(sell(&ledger, later(0, 2)).await.expect("it is paid for"));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(ledger.release_expired().await.unwrap(), 1);
    sell(&ledger, later(0, 2)).await.expect("the call is repeated from its credit");
    let late = ledger.settle(&gone, Settlement::Capture(amount(1))).await.unwrap();
    assert_eq!(late, Capture { taken: amount(0), lost: amount(1) }, "its credit is gone");
    assert_eq!(violations(&sql(&url).await).await, 0);
}

#[tokio::test]
async fn releases_nothing_before_it_has_seen_calm_for_as_long_as_a_hold_lives() {
    let (first, url) = short_lived().await;
    sell(&first, later(0, 1)).await.expect("it is paid for");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let settings = Settings { hold_ttl_s: 1, ..settings(&url) };
    let second = Ledger::connect(&settings).await.expect("it connects");
    assert_eq!(second.release_expired().await.unwrap(), 0, "it was just started");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(second.release_expired().await.unwrap(), 1);
}

#[tokio::test]
async fn refuses_what_does_not_fit_in_the_queue() {
    let (_, url) = ledger_with(1, 1_000).await;
    let settings = Settings { queue_max: 4, batch_max: 4, ..settings(&url) };
    let ledger = Ledger::connect(&settings).await.expect("it connects");
    let sales =
        join_all((0..100).map(|_| ledger.sell(Order { terms: terms(Step::Any), ..order(voucher(0, 500)) }))).await;
    let overloaded = sales.iter().filter(|sale| matches!(sale, Err(LedgerError::Overloaded))).count();
    let sold = sales.iter().filter(|sale| matches!(sale, Ok(Ok(_)))).count();
    assert_eq!(overloaded + sold, 100);
    assert!(overloaded > 0 && sold >= 4, "{overloaded} refused, {sold} sold");
}

#[tokio::test]
async fn answers_what_waits_when_it_is_closed_and_refuses_the_rest() {
    let (ledger, _) = ledger_with(1, 1_000).await;
    let waiting = join_all((1..=50).map(|units| ledger.sell(order(voucher(0, units)))));
    let (sales, ()) = futures::join!(waiting, ledger.close());
    assert!(sales.iter().all(|sale| matches!(sale, Ok(Ok(_)))));
    assert!(matches!(ledger.sell(order(voucher(0, 51))).await, Err(LedgerError::Unavailable(_))));
}

#[tokio::test]
async fn gives_every_amount_back_as_it_was() {
    let (ledger, url) = ledger_with(0, 0).await;
    let client = sql(&url).await;
    let powers = (0..39).map(|n| 10_u128.pow(n));
    let edges = [1, 9_999, 10_000, 10_001, u128::from(u64::MAX), u128::MAX - 1, u128::MAX];
    for (n, units) in (100..).zip(powers.chain(edges)) {
        let at = ledger.cursor(DEPLOYMENT).await.unwrap().expect("it was advanced").block;
        let here = block(at.number + 1, 0);
        let opened = channel::EventKind::Opened { deposit: amount(units) };
        ledger.advance(&advance(Some(at), here, here.number, vec![event(n, here, 0, opened)])).await.unwrap();
        let (channel, _) = ledger.view(channel_id(n)).await.unwrap().expect("it is known");
        assert_eq!(channel.facts.deposit, amount(units));
        let sql = "SELECT deposit::text FROM channels WHERE id = $1";
        let text: String = client.query_one(sql, &[&channel.id.0.as_slice()]).await.unwrap().get(0);
        assert_eq!(text, units.to_string());
    }
}
