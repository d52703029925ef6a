//! What a lane knows of channels is used only for as long as it is true.

mod common;

use std::time::Duration;

use channel::Refusal;
use common::*;
use futures::future::join_all;
use ledger::Ledger;
use tokio_postgres::Client;

const CHANNELS: u64 = 8;

/// One sale on each channel, most likely in one batch: which of them sold.
async fn sell_on_all(ledger: &Ledger, units: u128) -> Vec<bool> {
    let sales = join_all((0..CHANNELS).map(|n| sell(ledger, order(voucher(n, units))))).await;
    let sold = |sale: &Result<_, ledger::Refused>| match sale {
        Ok(_) => true,
        Err(refused) => {
            assert!(matches!(refused.refusal, Refusal::OverDeposit { .. }), "{refused:?}");
            false
        }
    };
    sales.iter().map(sold).collect()
}

/// As a watcher, but by hand.
async fn deposit(client: &Client, channel: u64, units: i64) {
    let sql = "UPDATE channels SET deposit = $2::int8 WHERE id = $1";
    client.execute(sql, &[&channel_id(channel).0.as_slice(), &units]).await.expect("it is changed");
}

#[tokio::test]
async fn a_channel_that_somebody_changed_is_read_again_before_the_next_sale() {
    let (ledger, url) = ledger_with(CHANNELS, 100).await;
    let client = sql(&url).await;
    for units in 1..=20 {
        let changed = u64::try_from(units).unwrap() % CHANNELS;
        deposit(&client, changed, 0).await;
        let sold: Vec<bool> = (0..CHANNELS).map(|n| n != changed).collect();
        assert_eq!(sell_on_all(&ledger, 2 * units - 1).await, sold, "no deposit, no sale; the others sell");
        deposit(&client, changed, 100).await;
        let (missing, next) = (voucher(changed, 2 * units - 1), voucher(changed, 2 * units));
        sell(&ledger, order(missing)).await.expect("the deposit is back");
        sell(&ledger, order(next)).await.expect("and was not forgotten");
        join_all((0..CHANNELS).filter(|n| *n != changed).map(|n| sell(&ledger, order(voucher(n, 2 * units))))).await;
    }
}

#[tokio::test]
async fn what_the_last_owner_of_the_lock_wrote_of_the_channel_counts_for_who_waited_for_it() {
    let (ledger, url) = ledger_with(CHANNELS, 100).await;
    for (units, left, sold) in [(1, 100, true), (2, 1, false), (2, 100, true), (3, 2, false)] {
        let owner = sql(&url).await;
        owner.batch_execute("BEGIN; SELECT FROM epochs ORDER BY channel FOR UPDATE").await.unwrap();
        let waiting = tokio::spawn({
            let ledger = ledger.clone();
            async move { sell_on_all(&ledger, units).await }
        });
        tokio::time::sleep(Duration::from_millis(120)).await;
        for channel in 0..CHANNELS {
            deposit(&owner, channel, left).await;
        }
        owner.batch_execute("COMMIT").await.unwrap();
        assert_eq!(waiting.await.unwrap(), [sold; 8], "a deposit of {left} for vouchers of {units}");
    }
}

#[tokio::test]
async fn a_channel_is_not_read_again_unless_its_row_changes_or_the_connection() {
    let (ledger, url) = ledger_with(CHANNELS, 100).await;
    let client = sql(&url).await;
    assert_eq!(sell_on_all(&ledger, 1).await, [true; 8]);
    client.batch_execute("ALTER TABLE channels DISABLE TRIGGER channels_changed").await.unwrap();
    deposit(&client, 0, 0).await;
    assert_eq!(sell_on_all(&ledger, 2).await, [true; 8], "nobody said that it changed");

    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'sluice payments%'";
    client.execute(cut, &[]).await.unwrap();
    let refused = testkit::wait::until("a sale over a new connection", Duration::from_secs(5), async || {
        Ok(ledger.sell(order(voucher(0, 3))).await?)
    });
    let refused = refused.await.expect("it connects again").expect_err("it has no deposit");
    assert!(matches!(refused.refusal, Refusal::OverDeposit { .. }), "{refused:?}");
}
