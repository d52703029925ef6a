//! What clients get for nothing is counted exactly, by whichever process, and forgotten when its time is over.

mod common;

use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use ledger::{FreeCall, Ledger, Window};

use common::{connect, database, sql};

fn client(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

async fn take(ledger: &Ledger, name: &str, from: &str, window: Window, most: u32) -> Option<u32> {
    match ledger.take_free_call(name, client(from), window, most).await.expect("the database answers") {
        FreeCall::Granted { left } => Some(left),
        FreeCall::Exhausted { ends_in } => {
            let longest = if window == Window::Hour { 3_600 } else { 86_400 };
            assert!(ends_in <= Duration::from_secs(longest), "{ends_in:?}");
            None
        }
    }
}

#[tokio::test]
async fn every_client_and_every_name_is_counted_by_itself() {
    let ledger = connect(&database().await).await;
    for (name, from) in [("a", "192.0.2.1"), ("b", "192.0.2.1"), ("a", "192.0.2.2"), ("a", "2001:db8::")] {
        let calls = [take(&ledger, name, from, Window::Day, 2).await, take(&ledger, name, from, Window::Day, 2).await];
        assert_eq!(calls, [Some(1), Some(0)], "{name} {from}");
        assert_eq!(take(&ledger, name, from, Window::Day, 2).await, None, "{name} {from}");
    }
    assert_eq!(take(&ledger, "a", "192.0.2.1", Window::Day, 5).await, Some(2), "there are more now");
}

#[tokio::test]
async fn a_race_over_two_ledgers_grants_each_call_once() {
    let url = database().await;
    let ledgers = [connect(&url).await, connect(&url).await];
    let calls = (0..64).map(|n| take(&ledgers[n % 2], "a", "192.0.2.1", Window::Day, 10));
    let mut granted: Vec<_> = join_all(calls).await.into_iter().flatten().collect();
    granted.sort_unstable();
    assert_eq!(granted, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_next_window_begins_anew_and_the_last_one_is_forgotten() {
    let url = database().await;
    let (ledger, past) = (connect(&url).await, sql(&url).await);
    for window in [Window::Hour, Window::Day] {
        assert_eq!(take(&ledger, "a", "192.0.2.1", window, 1).await, Some(0));
        assert_eq!(take(&ledger, "a", "192.0.2.1", window, 1).await, None);
        let shift =
            "UPDATE free_calls SET starts_at = starts_at - interval '2 days', ends_at = ends_at - interval '2 days'";
        past.execute(shift, &[]).await.expect("shifted");
        assert_eq!(take(&ledger, "a", "192.0.2.1", window, 1).await, Some(0), "another {window:?}");
        ledger.maintain().await.expect("maintained");
        let count: i64 = past.query_one("SELECT count(*) FROM free_calls", &[]).await.expect("counted").get(0);
        assert_eq!(count, 1, "only the current window is left");
        past.execute("DELETE FROM free_calls", &[]).await.expect("deleted");
    }
}
