//! What was sold is told exactly, whether it is folded or not, and however it is asked for.

mod common;

use std::sync::Arc;

use channel::{Amount, EventKind, Refusal, Step, Terms};
use common::*;
use futures::future::join_all;
use jiff::civil::{Date, date};
use ledger::{Ledger, Order, Sales, SalesQuery, Settings, Settlement, When};

fn on(route: &str, channel: u64, units: u128, price: u128) -> Order {
    let prepaid = order(voucher(channel, units));
    Order { route: Arc::from(route), price: amount(price), terms: terms(Step::Any), ..prepaid }
}

fn later(order: Order) -> Order {
    Order { settle: When::Later, ..order }
}

fn by_route() -> SalesQuery {
    SalesQuery { by_route: true, ..SalesQuery::default() }
}

/// Route, amount and calls.
async fn takings(ledger: &Ledger) -> Vec<(String, u128, u64)> {
    let lines = ledger.sales(&by_route()).await.expect("the database answers");
    lines.into_iter().map(|line| (line.route.expect("by route"), line.amount.units(), line.calls)).collect()
}

fn line(route: &str, units: u128, calls: u64) -> (String, u128, u64) {
    (route.to_owned(), units, calls)
}

#[tokio::test]
async fn counts_what_was_charged_when_it_was_charged() {
    let (ledger, _) = ledger_with(2, 100).await;
    sell(&ledger, on("a", 0, 50, 3)).await.expect("it is paid for");
    sell(&ledger, on("a", 1, 50, 4)).await.expect("it is paid for");
    let served = hold_of(sell(&ledger, later(on("b", 0, 50, 5))).await.expect("it is paid for"));
    let partly = hold_of(sell(&ledger, later(on("b", 0, 50, 5))).await.expect("it is paid for"));
    let failed = hold_of(sell(&ledger, later(on("c", 0, 50, 5))).await.expect("it is paid for"));
    let unpriced = hold_of(sell(&ledger, later(on("d", 0, 50, 5))).await.expect("it is paid for"));
    assert_eq!(takings(&ledger).await, [line("a", 7, 2)], "what is held is not sold yet");

    for _ in 0..2 {
        ledger.settle(&served, Settlement::Capture(amount(5))).await.expect("the database answers");
        ledger.settle(&partly, Settlement::Capture(amount(2))).await.expect("the database answers");
        ledger.settle(&failed, Settlement::Release).await.expect("the database answers");
        ledger.settle(&unpriced, Settlement::Capture(amount(0))).await.expect("the database answers");
        assert_eq!(takings(&ledger).await, [line("a", 7, 2), line("b", 7, 2)]);
    }
}

#[tokio::test]
async fn what_is_lost_or_refused_is_no_sale_and_what_is_repeated_is_one() {
    let (ledger, _) = ledger_with(1, 100).await;
    let hold = hold_of(sell(&ledger, later(on("a", 0, 5, 5))).await.expect("it is paid for"));
    ledger.settle(&hold, Settlement::Release).await.expect("the database answers");
    sell(&ledger, on("b", 0, 5, 4)).await.expect("there is credit again");
    let late = ledger.settle(&hold, Settlement::Capture(amount(5))).await.expect("the database answers");
    assert_eq!((late.taken, late.lost), (amount(1), amount(4)));
    let again = hold_of(sell(&ledger, later(on("c", 0, 10, 5))).await.expect("it is paid for"));
    ledger.settle(&again, Settlement::Release).await.expect("the database answers");
    sell(&ledger, on("b", 0, 10, 5)).await.expect("there is credit again");
    let lost = ledger.settle(&again, Settlement::Capture(amount(5))).await.expect("the database answers");
    assert_eq!((lost.taken, lost.lost), (amount(0), amount(5)));

    sell(&ledger, on("b", 0, 10, 5)).await.expect_err("nothing is left");
    let named = || Order { request: named_request("once", 1), ..on("b", 0, 11, 1) };
    for _ in 0..3 {
        sell(&ledger, named()).await.expect("it is paid for");
    }
    assert_eq!(takings(&ledger).await, [line("a", 1, 1), line("b", 10, 3)]);
}

#[tokio::test]
async fn one_batch_is_one_row_and_folding_is_not_to_be_seen() {
    let (ledger, url) = ledger_with(32, 1_000).await;
    let client = sql(&url).await;
    let rows = async || client.query_one("SELECT count(*) FROM sales_log", &[]).await.unwrap().get::<_, i64>(0);
    sell(&ledger, on("a", 0, 500, 1)).await.expect("it connects");
    join_all((0..320).map(|n| ledger.sell(on(if n % 2 == 0 { "a" } else { "b" }, n % 32, 500, 1)))).await;
    assert!(rows().await <= 4, "{} rows for 321 sales", rows().await);

    let before = takings(&ledger).await;
    assert_eq!(before, [line("a", 161, 161), line("b", 160, 160)]);
    assert!(ledger.fold_sales().await.expect("the database answers") > 0);
    assert_eq!((takings(&ledger).await, rows().await), (before.clone(), 0));
    assert_eq!(ledger.fold_sales().await.expect("the database answers"), 0);
    assert_eq!(takings(&ledger).await, before);
    sell(&ledger, on("a", 0, 500, 1)).await.expect("there is credit");
    ledger.fold_sales().await.expect("the database answers");
    assert_eq!(takings(&ledger).await, [line("a", 162, 162), line("b", 160, 160)]);
}

#[tokio::test]
async fn folds_what_piled_up_however_it_is_cut_into_rows() {
    let (ledger, url) = ledger_with(1, 1_000).await;
    let pile = "INSERT INTO sales_log (routes, channels, amounts, calls)
        SELECT array_fill('a'::text, ARRAY[$2::int]), array_fill($3::bytea, ARRAY[$2::int]),
               array_fill(2::numeric, ARRAY[$2::int]), array_fill(1, ARRAY[$2::int])
        FROM generate_series(1, $1::int)";
    let client = sql(&url).await;
    let (mut rows, mut sales) = (0, 0);
    for (more, each) in [(20_000_i32, 1_i32), (200, 4_096)] {
        client.execute(pile, &[&more, &each, &channel_id(0).0.as_slice()]).await.expect("it takes them");
        rows += usize::try_from(more).unwrap();
        sales += u64::try_from(more * each).unwrap();
    }
    assert_eq!(ledger.fold_sales().await.expect("the database answers"), rows);
    assert_eq!(takings(&ledger).await, [line("a", u128::from(2 * sales), sales)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_fold_at_once_while_others_sell_lose_nothing_and_count_nothing_twice() {
    let (one, url) = ledger_with(16, 10_000).await;
    let two = Ledger::connect(&Settings { batch_max: 3, ..settings(&url) }).await.expect("it connects");
    let fold = async |ledger: &Ledger| {
        let mut folded = 0;
        for _ in 0..60 {
            folded += ledger.fold_sales().await.expect("the database answers");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        folded
    };
    let sold = join_all((0..2_000_u64).map(|n| {
        let (ledger, order) = (
            if n % 2 == 0 { &one } else { &two },
            on(["a", "b", "c"][usize::try_from(n % 3).expect("small")], n % 16, 9_000, 1),
        );
        async move { ledger.sell(order).await.expect("the database answers").expect("there is credit") }
    }));
    let (sold, first, second) = tokio::join!(sold, fold(&one), fold(&two));
    assert!(first > 0 && second > 0, "both folded: {first}, {second}");
    assert_eq!(sold.len(), 2_000);
    let expected = [line("a", 667, 667), line("b", 667, 667), line("c", 666, 666)];
    assert_eq!(takings(&one).await, expected);
    while one.fold_sales().await.expect("the database answers") > 0 {}
    assert_eq!(takings(&two).await, expected);
    assert_eq!(unexplained(&sql(&url).await).await, 0);
}

#[tokio::test]
async fn tells_days_payers_and_deployments_apart_as_asked() {
    let (ledger, url) = ledger_with(2, 100).await;
    let client = sql(&url).await;
    let stranger = [7_u8; 20].as_slice();
    client
        .execute("UPDATE channels SET payer = $1 WHERE id = $2", &[&stranger, &channel_id(1).0.as_slice()])
        .await
        .unwrap();
    let dated = async |day: &str| {
        let at = format!("UPDATE sales_log SET at = '{day} 23:59:59.9+00' WHERE at > now() - interval '1 minute'");
        client.execute(&at, &[]).await.unwrap();
    };
    sell(&ledger, on("a", 0, 50, 3)).await.expect("it is paid for");
    dated("2024-02-28").await;
    ledger.fold_sales().await.expect("the database answers");
    sell(&ledger, on("a", 1, 50, 4)).await.expect("it is paid for");
    dated("2024-02-29").await;
    sell(&ledger, on("b", 1, 50, 5)).await.expect("it is paid for");

    let ask = async |query: SalesQuery| ledger.sales(&query).await.expect("the database answers");
    let sum = |lines: &[Sales]| lines.iter().map(|line| line.amount.units()).sum::<u128>();
    let all = SalesQuery { by_day: true, by_route: true, by_payer: true, ..SalesQuery::default() };
    let lines = ask(all.clone()).await;
    let first =
        |line: &Sales| (line.day, line.route.clone().unwrap(), line.payer.unwrap().to_vec(), line.amount.units());
    let [day_one, day_two]: [Date; 2] = [date(2024, 2, 28), date(2024, 2, 29)];
    assert_eq!(first(&lines[0]), (Some(day_one), "a".into(), payer().address().to_vec(), 3));
    assert_eq!(first(&lines[1]), (Some(day_two), "a".into(), stranger.to_vec(), 4));
    assert_eq!((lines.len(), lines[2].amount, lines[2].calls), (3, amount(5), 1));

    let total = ask(SalesQuery::default()).await;
    assert_eq!((total.len(), total[0].amount, total[0].calls), (1, amount(12), 3));
    assert_eq!((total[0].day, &total[0].route, total[0].payer), (None, &None, None));
    assert_eq!(sum(&ask(SalesQuery { from: Some(day_two), ..all.clone() }).await), 9);
    assert_eq!(sum(&ask(SalesQuery { to: Some(day_two), ..all.clone() }).await), 7, "the last day is included");
    assert_eq!(sum(&ask(SalesQuery { from: Some(day_two), to: Some(day_two), ..all.clone() }).await), 4);
    assert_eq!(sum(&ask(SalesQuery { deployment: Some(DEPLOYMENT.into()), ..all.clone() }).await), 12);
    assert_eq!(ask(SalesQuery { deployment: Some("elsewhere".into()), ..all }).await, []);
}

#[tokio::test]
async fn what_was_claimed_without_a_voucher_of_ours_is_on_no_route() {
    let (ledger, url) = ledger_with(1, 100).await;
    sell(&ledger, on("a", 0, 10, 10)).await.expect("it is paid for");
    let claimed = event(0, block(2, 0), 0, EventKind::Claimed { taken: amount(30) });
    ledger.advance(&advance(Some(block(1, 0)), block(2, 0), 2, vec![claimed])).await.expect("it is the only watcher");
    assert_eq!(takings(&ledger).await, [line("", 20, 0), line("a", 10, 1)]);
    assert_eq!(unexplained(&sql(&url).await).await, 0);
}

#[tokio::test]
async fn two_channels_of_one_payer_in_one_batch_count_each_other() {
    let (ledger, url) = ledger_with(40, 100).await;
    let limited = Terms { max_payer_exposure: amount(100), ..terms(Step::FromAuthorised) };
    let ten = |channel, units| Order { price: amount(10), terms: limited, ..order(voucher(channel, units)) };
    sell(&ledger, ten(0, 10)).await.expect("it connects");
    let sales = join_all((1..40).map(|n| sell(&ledger, ten(n, 10)))).await;
    let sold = sales.iter().filter(|sale| sale.is_ok()).count();
    let refused = sales.iter().find_map(|sale| sale.as_ref().err()).expect("the limit");
    assert_eq!(refused.refusal, Refusal::PayerExposure { wanted: amount(110), limit: amount(100) });
    assert_eq!(sold, 9);

    let more = sell(&ledger, ten(0, 20)).await.expect_err("it owes all it may");
    assert_eq!(more.refusal, Refusal::PayerExposure { wanted: amount(110), limit: amount(100) });
    let events = vec![event(0, block(2, 0), 0, EventKind::Claimed { taken: amount(10) })];
    ledger.advance(&advance(Some(block(1, 0)), block(2, 0), 2, events)).await.expect("it is the only watcher");
    sell(&ledger, ten(0, 20)).await.expect("what was claimed is not owed any more");
    assert_eq!(violations(&sql(&url).await).await, 0);
}

#[tokio::test]
async fn a_payer_owes_over_open_channels_of_the_deployment_alone() {
    let (ledger, url) = ledger_with(3, 100).await;
    let limited = Terms { max_payer_exposure: amount(60), ..terms(Step::Any) };
    let fifty = |channel| Order { price: amount(50), terms: limited, ..order(voucher(channel, 50)) };
    sell(&ledger, fifty(0)).await.expect("it owes nothing");
    sell(&ledger, fifty(1)).await.expect_err("it would owe 100");
    let settled = event(0, block(2, 0), 0, EventKind::Settled { total: Amount::ZERO });
    ledger.advance(&advance(Some(block(1, 0)), block(2, 0), 2, vec![settled])).await.expect("it is the only watcher");
    sell(&ledger, fifty(1)).await.expect("there is nothing more to claim from the first");

    let client = sql(&url).await;
    let stranger = [7_u8; 20].as_slice();
    client
        .execute("UPDATE channels SET payer = $1 WHERE id = $2", &[&stranger, &channel_id(2).0.as_slice()])
        .await
        .unwrap();
    sell(&ledger, fifty(2)).await.expect("it is another payer's");
}
