//! What is shown about a deployment: confirmed channels that are not settled, by payer, in pages; and their sums.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::{Duration, SystemTime};

use alloy_primitives::Address;
use channel::{Amount, ChannelId, Deadline, EventKind, Signature, Totals};
use common::*;
use ledger::{Ledger, LedgerError, NewEvent, Standing};

fn all() -> Standing {
    Standing { deployment: DEPLOYMENT.into(), payer: None, open: None, after: None, limit: 100 }
}

async fn ids(ledger: &Ledger, which: &Standing) -> Vec<ChannelId> {
    ledger.standing(which).await.unwrap().into_iter().map(|(channel, _)| channel.id).collect()
}

/// Sorted by number.
async fn numbers(ledger: &Ledger, which: &Standing) -> Vec<u64> {
    let found = ids(ledger, which).await;
    (0..10).filter(|n| found.contains(&channel_id(*n))).collect()
}

fn of(payer: u8, event: NewEvent) -> NewEvent {
    NewEvent { payer: Address::repeat_byte(payer), ..event }
}

/// 0 and 1 are open and 2 is closing, of payer 7; 3 is settled, 4 not confirmed, of payer 8; 5 is open, of payer 9.
async fn ledger() -> (Ledger, String) {
    let url = database().await;
    let ledger = connect(&url).await;
    ledger.register(&deployment()).await.unwrap();
    testkit::clear::all_clear(&ledger, DEPLOYMENT).await.unwrap();
    let (one, two) = (block(1, 0), block(2, 0));
    let opened = EventKind::Opened { deposit: amount(100) };
    let requested = EventKind::CloseRequested { requested: amount(0), deadline: Deadline::Block(9) };
    let mut events: Vec<_> = [(0, 7), (1, 7), (2, 7), (3, 8), (5, 9)]
        .map(|(channel, payer)| of(payer, event(channel, one, channel, opened)))
        .into();
    events.push(of(7, event(2, one, 10, requested)));
    events.push(of(8, event(3, one, 11, EventKind::Settled { total: amount(0) })));
    events.push(of(8, event(4, two, 0, opened)));
    events.push(of(9, event(5, two, 1, EventKind::ToppedUp { added: amount(11) })));
    ledger.advance(&advance(None, two, 1, events)).await.unwrap();
    (ledger, url)
}

#[tokio::test]
async fn lists_what_is_confirmed_and_not_settled() {
    let (ledger, _) = ledger().await;
    assert_eq!(numbers(&ledger, &all()).await, [0, 1, 2, 5]);
    assert_eq!(numbers(&ledger, &Standing { open: Some(true), ..all() }).await, [0, 1, 5]);
    assert_eq!(numbers(&ledger, &Standing { open: Some(false), ..all() }).await, [2]);
    let payer = Some(Address::repeat_byte(7));
    assert_eq!(numbers(&ledger, &Standing { payer, ..all() }).await, [0, 1, 2]);
    assert_eq!(numbers(&ledger, &Standing { deployment: "other".into(), ..all() }).await, [0_u64; 0]);
}

#[tokio::test]
async fn an_agreed_close_counts_as_closing() {
    let (ledger, _) = ledger().await;
    ledger.agree_close(channel_id(0), amount(0)).await.unwrap().unwrap();
    assert_eq!(numbers(&ledger, &Standing { open: Some(true), ..all() }).await, [1, 5]);
    assert_eq!(numbers(&ledger, &Standing { open: Some(false), ..all() }).await, [0, 2]);
}

#[tokio::test]
async fn pages_keep_a_payer_s_channels_together_and_miss_none() {
    let (ledger, _) = ledger().await;
    let (mut which, mut seen) = (Standing { limit: 1, ..all() }, Vec::new());
    loop {
        let page = ledger.standing(&which).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        which.after = Some(last.id);
        seen.extend(page.into_iter().map(|(channel, _)| (channel.payer, channel.id)));
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn sums_are_of_what_is_listed() {
    let (ledger, url) = ledger().await;
    let expected = Totals { open: 3, closing: 1, payers: 2, deposit: amount(400), authorised: amount(0) };
    assert_eq!(ledger.totals(DEPLOYMENT).await.unwrap(), expected);
    assert_eq!(ledger.totals("other").await.unwrap(), Totals::default());
    // What an amount cannot hold counts as the most it holds.
    let most = "UPDATE channels SET deposit = 340282366920938463463374607431768211455";
    sql(&url).await.batch_execute(most).await.unwrap();
    assert_eq!(ledger.totals(DEPLOYMENT).await.unwrap().deposit, Amount::MAX);
}

#[tokio::test]
async fn a_channel_s_particulars_are_its_dates_and_its_pending_top_ups() {
    let (ledger, _) = ledger().await;
    let of_five = ledger.particulars(channel_id(5)).await.unwrap().unwrap();
    assert_eq!(of_five.pending, [(block(2, 0).hash, amount(11))]);
    assert_eq!(of_five.created_at, of_five.changed_at);
    let fresh = SystemTime::now().duration_since(of_five.created_at).unwrap();
    assert!(fresh < Duration::from_secs(60), "{fresh:?}");
    assert_eq!(ledger.particulars(channel_id(9)).await.unwrap(), None);

    ledger.agree_close(channel_id(0), amount(0)).await.unwrap().unwrap();
    let signature = payer().sign([1; 32].into());
    ledger.store_closing(channel_id(0), amount(0), Signature::parse(signature.as_bytes()).unwrap()).await.unwrap();
    let signed = ledger.particulars(channel_id(0)).await.unwrap().unwrap();
    assert!(signed.changed_at > signed.created_at && signed.pending.is_empty());
}

#[tokio::test]
async fn the_last_balance_stands_with_its_time() {
    let (ledger, _) = ledger().await;
    assert_eq!(ledger.balance(DEPLOYMENT).await.unwrap(), None);
    ledger.note_balance(DEPLOYMENT, amount(5)).await.unwrap();
    let (first, at) = ledger.balance(DEPLOYMENT).await.unwrap().unwrap();
    ledger.note_balance(DEPLOYMENT, Amount::MAX).await.unwrap();
    let (second, later) = ledger.balance(DEPLOYMENT).await.unwrap().unwrap();
    assert_eq!((first, second), (amount(5), Amount::MAX));
    assert!(later > at);
    assert!(matches!(ledger.note_balance("nobody", amount(5)).await, Err(LedgerError::Rejected(_))));
}
