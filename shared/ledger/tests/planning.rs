//! What plans are made on: since when something is unclaimed, which channels to look at, and the jobs that come of it.

mod common;

use channel::{BlockRef, ChannelId, Deadline, EventKind, HoldState, Refusal, Sold, Step};
use common::*;
use ledger::{ClaimCause, Job, JobKind, Ledger, NewEvent, NewJob, Order, Prospect, Settlement, When};
use tokio_postgres::Client;

/// Sells what this voucher adds.
async fn pay(ledger: &Ledger, channel: u64, cumulative: u128) {
    let (_, epoch) = ledger.view(channel_id(channel)).await.expect("the database answers").expect("it is known");
    let price = amount(cumulative).saturating_sub(epoch.spent);
    let order = Order { price, terms: terms(Step::Any), ..order(voucher(channel, cumulative)) };
    sell(ledger, order).await.expect("it is sold");
}

async fn read(ledger: &Ledger, from: BlockRef, to: BlockRef, events: Vec<NewEvent>) {
    ledger.advance(&advance(Some(from), to, to.number, events)).await.expect("it is the only watcher");
}

fn claimed(channel: u64, block: BlockRef, units: u128) -> NewEvent {
    event(channel, block, channel, EventKind::Claimed { taken: amount(units) })
}

/// Since when there has been something to claim, in seconds before now.
async fn age(client: &Client, channel: u64) -> Option<i64> {
    let sql = "SELECT extract(epoch FROM now() - unclaimed_since)::int8 FROM epochs WHERE channel = $1";
    client.query_one(sql, &[&channel_id(channel).0.as_slice()]).await.expect("it answers").get(0)
}

async fn an_hour_later(client: &Client) {
    let sql = "UPDATE epochs SET unclaimed_since = unclaimed_since - interval '1 hour';
        UPDATE channels SET agreed_at = agreed_at - interval '1 hour'";
    client.batch_execute(sql).await.expect("it answers");
}

#[tokio::test]
async fn the_age_is_that_of_the_first_unclaimed_voucher() {
    let (ledger, url) = ledger_with(1, 100).await;
    let client = sql(&url).await;
    assert_eq!(age(&client, 0).await, None);
    pay(&ledger, 0, 10).await;
    assert_eq!(age(&client, 0).await, Some(0));
    an_hour_later(&client).await;
    pay(&ledger, 0, 20).await;
    assert_eq!(age(&client, 0).await, Some(3_600), "the first one counts");

    // What came while the claim was on its way is new.
    read(&ledger, block(1, 0), block(2, 0), vec![claimed(0, block(2, 0), 10)]).await;
    assert_eq!(age(&client, 0).await, Some(0));
    read(&ledger, block(2, 0), block(3, 0), vec![claimed(0, block(3, 0), 10)]).await;
    assert_eq!(age(&client, 0).await, None, "nothing is left");
    pay(&ledger, 0, 25).await;
    assert_eq!(age(&client, 0).await, Some(0));
}

#[tokio::test]
async fn what_a_reorganisation_gives_back_is_to_be_claimed_again() {
    let (ledger, url) = ledger_with(1, 100).await;
    let client = sql(&url).await;
    pay(&ledger, 0, 10).await;
    read(&ledger, block(1, 0), block(2, 0), vec![claimed(0, block(2, 0), 10)]).await;
    assert_eq!(age(&client, 0).await, None);
    let forked = ledger::Advance { rescan_from: 2, ..advance(Some(block(2, 0)), block(2, 1), 2, Vec::new()) };
    ledger.advance(&forked).await.expect("it is the only watcher");
    assert_eq!(age(&client, 0).await, Some(0));
    an_hour_later(&client).await;
    read(&ledger, block(2, 1), block(3, 1), vec![event(0, block(3, 1), 0, EventKind::ToppedUp { added: amount(1) })])
        .await;
    assert_eq!(age(&client, 0).await, Some(3_600), "another event changes nothing");
}

#[tokio::test]
async fn what_was_claimed_elsewhere_is_not_to_be_claimed() {
    let (ledger, url) = ledger_with(1, 100).await;
    let client = sql(&url).await;
    pay(&ledger, 0, 10).await;
    read(&ledger, block(1, 0), block(2, 0), vec![claimed(0, block(2, 0), 30)]).await;
    assert_eq!(age(&client, 0).await, None);
    let prospect = ledger.prospect(channel_id(0)).await.unwrap().expect("it is open");
    assert_eq!((prospect.epoch.authorised, prospect.unclaimed_for.as_secs()), (amount(30), 0));
}

#[tokio::test]
async fn the_channels_to_look_at_come_in_pages_each_once_and_no_other() {
    const CHANNELS: u64 = 60;
    let (ledger, url) = ledger_with(CHANNELS, 100).await;
    let client = sql(&url).await;
    for channel in 0..20 {
        pay(&ledger, channel, 10).await;
    }
    ledger.agree_close(channel_id(20), amount(0)).await.unwrap().expect("agreed");
    let closing = EventKind::CloseRequested { requested: amount(0), deadline: Deadline::Block(99) };
    let settled = EventKind::Settled { total: amount(10) };
    let events = vec![event(21, block(2, 0), 0, closing), event(0, block(2, 0), 1, settled)];
    read(&ledger, block(1, 0), block(2, 0), events).await;
    an_hour_later(&client).await;

    let mut expected: Vec<ChannelId> = (1..22).map(channel_id).collect();
    expected.sort();
    for limit in [1, 7, 100] {
        let (mut found, mut after): (Vec<Prospect>, _) = (Vec::new(), None);
        loop {
            let page = ledger.prospects(DEPLOYMENT, after, limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            after = Some(last.channel.id);
            found.extend(page);
        }
        assert_eq!(found.iter().map(|prospect| prospect.channel.id).collect::<Vec<_>>(), expected);
        for prospect in found {
            let (is_owed, is_agreed) = (prospect.epoch.voucher.is_some(), prospect.channel.agreed_close.is_some());
            let ages = (prospect.unclaimed_for.as_secs(), prospect.agreed_for.as_secs());
            assert_eq!(ages, (if is_owed { 3_600 } else { 0 }, if is_agreed { 3_600 } else { 0 }));
        }
    }
    assert_eq!(ledger.prospects("elsewhere", None, 100).await.unwrap(), []);
    assert_eq!(ledger.prospect(channel_id(0)).await.unwrap(), None, "it is closed");
    ledger.halt(DEPLOYMENT, "a test").await.unwrap();
    assert_eq!(ledger.prospects(DEPLOYMENT, None, 100).await.unwrap(), []);
    assert_eq!(ledger.prospect(channel_id(1)).await.unwrap(), None);
}

#[tokio::test]
async fn jobs_are_added_once_while_they_are_open_and_say_why_they_claim() {
    let (ledger, _) = ledger_with(3, 100).await;
    let mut channels = Vec::new();
    for n in 0..3 {
        channels.push(ledger.view(channel_id(n)).await.unwrap().expect("it is known").0);
    }
    let causes = [ClaimCause::Planned(amount(7)), ClaimCause::Asked, ClaimCause::Forced];
    let jobs: Vec<NewJob> = channels.iter().zip(causes).map(|(channel, cause)| NewJob::claim(channel, cause)).collect();
    assert_eq!(ledger.add_jobs(&jobs[..1]).await.unwrap(), [0]);
    let close = NewJob::about(JobKind::Close, &channels[0], None);
    let challenge = NewJob::challenge(&channels[0], amount(7));
    let all = [jobs[0].clone(), jobs[1].clone(), close, jobs[2].clone(), challenge];
    assert_eq!(ledger.add_jobs(&all).await.unwrap(), [1, 2, 3, 4], "one is open");
    assert_eq!(ledger.add_jobs(&all).await.unwrap(), [0_usize; 0]);
    let due: Vec<Job> = ledger.due(JobKind::Claim, &[DEPLOYMENT], 10).await.unwrap();
    assert_eq!(due.iter().map(|job| job.job.claim_cause()).collect::<Vec<_>>(), causes);
    // An operator's claim of the same channel is the one that is planned.
    assert_eq!(ledger.enqueue(&NewJob::claim(&channels[0], ClaimCause::Asked)).await.unwrap(), due[0].id);
    ledger.finish(due[0].id, &serde_json::Value::Null).await.unwrap();
    assert_eq!(ledger.add_jobs(&all).await.unwrap(), [0]);
}

#[tokio::test]
async fn the_newest_voucher_is_published_unless_that_would_disturb_a_call_or_a_close() {
    let (ledger, _) = ledger_with(2, 100).await;
    let newest = async |channel, if_quiet| {
        let newest = ledger.publish_newest(channel_id(channel), if_quiet).await.unwrap();
        newest.map(|(amount, _)| amount.units())
    };
    assert_eq!(newest(0, true).await, None, "there is none");
    pay(&ledger, 0, 10).await;
    let held =
        Order { settle: When::Later, price: amount(5), terms: terms(Step::FromAuthorised), ..order(voucher(0, 15)) };
    let hold = hold_of(sell(&ledger, held.clone()).await.expect("it is sold"));
    assert_eq!(newest(0, true).await, None, "a call is in flight");
    ledger.settle(&hold, Settlement::Release).await.unwrap();
    assert_eq!(newest(0, true).await, None, "it failed and may be repeated");
    let again = sell(&ledger, held.clone()).await.expect("for nothing");
    let Sold::New { hold, .. } = again.sold else { panic!("it was not served") };
    assert_eq!(hold.state, HoldState::Held);
    ledger.settle(&hold, Settlement::Capture(amount(5))).await.unwrap();
    assert_eq!(newest(0, true).await, Some(15));
    let refused = sell(&ledger, held).await.expect_err("it is public");
    assert_eq!(refused.refusal, Refusal::Published);

    pay(&ledger, 1, 10).await;
    let held = Order { settle: When::Later, price: amount(5), terms: terms(Step::Any), ..order(voucher(1, 15)) };
    sell(&ledger, held).await.expect("it is sold");
    assert_eq!((newest(1, true).await, newest(1, false).await), (None, Some(15)));
    let refused = ledger.agree_close(channel_id(0), amount(14)).await.unwrap();
    assert!(refused.is_err(), "the claim may be mined at any time: {refused:?}");
    ledger.agree_close(channel_id(0), amount(15)).await.unwrap().expect("agreed");
    assert_eq!(newest(0, false).await, None, "a close was agreed to");
}
