//! Fronts sell on a deployment only while its watcher and its wallet say so, and no more than its limit over all channels.

mod common;

use std::sync::Arc;
use std::time::Duration;

use channel::{Amount, EventKind, Mode, Refusal, Step, Terms};
use common::*;
use futures::future::join_all;
use ledger::{DeploymentRow, Fence, Ledger, Order};

const MINUTE: Duration = Duration::from_secs(60);

fn fence(holder: &str) -> Fence {
    Fence { lease: "wallet:31337".into(), holder: holder.into() }
}

/// What the ledger refuses a unit of channel 0 for, if it does.
async fn refusal(ledger: &Ledger, deployment: &str, units: u128) -> Option<Refusal> {
    let order = Order { deployment: Arc::from(deployment), ..order(voucher(0, units)) };
    sell(ledger, order).await.err().map(|refused| refused.refusal)
}

async fn mode(ledger: &Ledger, deployment: &str) -> Mode {
    let safety = ledger.safety().await.expect("the database answers");
    safety.iter().find(|safety| safety.deployment == deployment).expect("it is known").horizon.mode()
}

#[tokio::test]
async fn nothing_is_sold_unless_both_the_watcher_and_the_wallet_say_so() {
    let (ledger, url) = ledger_with(1, 100).await;
    let client = sql(&url).await;
    assert_eq!((refusal(&ledger, DEPLOYMENT, 1).await, mode(&ledger, DEPLOYMENT).await), (None, Mode::Selling));
    for (bound, mode_then) in [("safe_until", Mode::WatcherStale), ("clear_until", Mode::WalletStale)] {
        for end in ["clock_timestamp()", "NULL"] {
            let change = format!("UPDATE deployments SET {bound} = {end}");
            client.batch_execute(&change).await.unwrap();
            assert_eq!(refusal(&ledger, DEPLOYMENT, 2).await, Some(Refusal::Stale), "{change}");
            assert_eq!(mode(&ledger, DEPLOYMENT).await, mode_then, "{change}");
        }
        client.batch_execute(&format!("UPDATE deployments SET {bound} = now() + interval '1 h'")).await.unwrap();
    }
    assert_eq!(refusal(&ledger, DEPLOYMENT, 2).await, None);
    ledger.halt(DEPLOYMENT, "finality is broken").await.unwrap();
    assert_eq!(refusal(&ledger, DEPLOYMENT, 3).await, Some(Refusal::Stale));
    assert_eq!(mode(&ledger, DEPLOYMENT).await, Mode::Halted);
}

#[tokio::test]
async fn one_deployment_that_is_stale_stops_no_other() {
    let (ledger, url) = ledger_with(1, 100).await;
    let other = DeploymentRow { id: "other".into(), chain_id: 2, ..deployment() };
    ledger.register(&other).await.unwrap();
    assert_eq!(refusal(&ledger, "other", 1).await, Some(Refusal::Stale), "never synced");
    sql(&url).await.batch_execute("UPDATE deployments SET clear_until = NULL WHERE id = 'other'").await.unwrap();
    // In one batch: each is judged for itself.
    let (stale, fresh) = tokio::join!(refusal(&ledger, "other", 1), refusal(&ledger, DEPLOYMENT, 1));
    assert_eq!((stale, fresh), (Some(Refusal::Stale), None));
}

#[tokio::test]
async fn only_the_wallet_with_the_lease_gives_an_all_clear_and_for_as_long_as_it_says() {
    let (ledger, url) = ledger_with(1, 100).await;
    let client = sql(&url).await;
    client.batch_execute("UPDATE deployments SET clear_until = NULL").await.unwrap();
    assert!(!ledger.clear(&fence("one"), DEPLOYMENT, MINUTE).await.unwrap(), "nobody has the lease");
    assert!(ledger.lease("wallet:31337", "one", MINUTE).await.unwrap());
    assert!(!ledger.clear(&fence("two"), DEPLOYMENT, MINUTE).await.unwrap(), "another one has it");
    assert_eq!(refusal(&ledger, DEPLOYMENT, 1).await, Some(Refusal::Stale));
    assert!(ledger.clear(&fence("one"), DEPLOYMENT, MINUTE).await.unwrap());
    let left = ledger.safety().await.unwrap()[0].horizon.wallet.expect("it was said");
    assert!((55..60).contains(&left), "{left} s left");
    assert_eq!(refusal(&ledger, DEPLOYMENT, 1).await, None);
    client.batch_execute("UPDATE leases SET expires_at = clock_timestamp()").await.unwrap();
    assert!(!ledger.clear(&fence("one"), DEPLOYMENT, MINUTE).await.unwrap(), "it slept past the lease");
}

/// Ten units from this channel, where all channels together may owe 100.
fn ten(channel: u64, units: u128) -> Order {
    let terms = Terms { max_total_exposure: amount(100), ..terms(Step::FromAuthorised) };
    Order { price: amount(10), terms, ..order(voucher(channel, units)) }
}

async fn owed(ledger: &Ledger) -> Option<Amount> {
    ledger.safety().await.expect("the database answers")[0].exposure
}

#[tokio::test]
async fn one_process_never_sells_beyond_the_limit_over_all_channels() {
    let (ledger, url) = ledger_with(40, 100).await;
    let unknown = Refusal::TotalExposure { wanted: Amount::MAX, limit: amount(100) };
    assert_eq!(sell(&ledger, ten(0, 10)).await.expect_err("nobody summed it up").refusal, unknown);
    ledger.tally(DEPLOYMENT).await.unwrap();
    assert_eq!(owed(&ledger).await, Some(amount(0)));

    let sales = join_all((0..40).map(|n| sell(&ledger, ten(n, 10)))).await;
    assert_eq!(sales.iter().filter(|sale| sale.is_ok()).count(), 10);
    let beyond = Refusal::TotalExposure { wanted: amount(110), limit: amount(100) };
    assert!(sales.iter().filter_map(|sale| sale.as_ref().err()).all(|refused| refused.refusal == beyond));
    // Summed up again, what was sold here is not counted twice for long, and is not forgotten either.
    ledger.tally(DEPLOYMENT).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(owed(&ledger).await, Some(amount(100)));
    let sold: Vec<u64> = (0..40).zip(&sales).filter(|(_, sale)| sale.is_ok()).map(|(n, _)| n).collect();
    assert_eq!(sell(&ledger, ten(sold[0], 20)).await.expect_err("it is at the limit").refusal, beyond);

    let events = vec![event(sold[0], block(2, 0), 0, EventKind::Claimed { taken: amount(10) })];
    ledger.advance(&advance(Some(block(1, 0)), block(2, 0), 2, events)).await.expect("it is the only watcher");
    assert!(sell(&ledger, ten(sold[0], 20)).await.is_err(), "the sum is of before the claim");
    ledger.tally(DEPLOYMENT).await.unwrap();
    sell(&ledger, ten(sold[0], 20)).await.expect("what was claimed is not owed any more");
    assert_eq!(violations(&sql(&url).await).await, 0);
}

#[tokio::test]
async fn several_processes_exceed_the_limit_by_what_the_others_saw_left_at_most() {
    let (one, url) = ledger_with(40, 100).await;
    let two = connect(&url).await;
    sell(&one, Order { terms: terms(Step::FromAuthorised), ..ten(0, 10) }).await.expect("without a limit");
    one.tally(DEPLOYMENT).await.unwrap();
    let sales = (1..40).map(|n| sell(if n % 2 == 0 { &one } else { &two }, ten(n, 10)));
    let sold = join_all(sales).await.iter().filter(|sale| sale.is_ok()).count();
    // Each of the two saw 90 left: 90 too much at worst, until the next sum.
    assert_eq!(sold, 18);
    one.tally(DEPLOYMENT).await.unwrap();
    assert_eq!(owed(&one).await, Some(amount(190)));
    for (n, ledger) in [(2, &one), (3, &two)] {
        let refused = sell(ledger, ten(n, 20)).await.expect_err("it is over the limit");
        assert!(matches!(refused.refusal, Refusal::TotalExposure { .. }), "{refused:?}");
    }
    sql(&url)
        .await
        .batch_execute("UPDATE deployments SET exposure = 0, exposure_at = now() - interval '61 s'")
        .await
        .unwrap();
    sell(&two, ten(3, 20)).await.expect_err("a sum that old is worth nothing");
}
