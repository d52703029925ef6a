//! What the chain says: any sequence of blocks and reorgs leaves what a fresh sync of the final chain gives.

mod common;

use std::time::Duration;

use alloy_primitives::{Address, keccak256};
use channel::{BlockRef, Deadline, EventKind, Refusal, Status, Step};
use common::*;
use futures::future::join_all;
use ledger::{DeploymentRow, JobKind, Ledger, LedgerError, NewEvent, Order};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A block of a made-up chain, and what its contract says in it.
#[derive(Clone, Debug)]
struct Made {
    block: BlockRef,
    events: Vec<NewEvent>,
}

/// What happens to the chain between two looks at it.
#[derive(Clone, Debug)]
struct Turn {
    reorg: usize,
    blocks: Vec<Vec<(u64, EventKind)>>,
    depth: u64,
}

fn kind() -> impl Strategy<Value = EventKind> {
    let units = || (0..50_u128).prop_map(amount);
    let deadline = prop_oneof![(0..99_u64).prop_map(Deadline::Block), (0..99_u64).prop_map(Deadline::Time)];
    prop_oneof![
        4 => units().prop_map(|deposit| EventKind::Opened { deposit }),
        3 => units().prop_map(|added| EventKind::ToppedUp { added }),
        2 => (units(), deadline).prop_map(|(requested, deadline)| EventKind::CloseRequested { requested, deadline }),
        1 => units().prop_map(|taken| EventKind::Claimed { taken }),
        1 => units().prop_map(|total| EventKind::Settled { total }),
    ]
}

fn step() -> impl Strategy<Value = Turn> {
    let blocks = vec(vec((0..5_u64, kind()), 0..4), 0..6);
    (0..8_usize, blocks, 0..4_u64).prop_map(|(reorg, blocks, depth)| Turn { reorg, blocks, depth })
}

/// The chain after a step: a fork from some blocks below the head, longer or shorter than before.
fn grow(chain: &mut Vec<Made>, step: &Turn, fork: u64) {
    chain.truncate(chain.len().saturating_sub(step.reorg).max(1));
    for events in &step.blocks {
        let here = block(chain.len() as u64, fork);
        let events = (0..).zip(events).map(|(index, (channel, kind))| event(*channel, here, index, *kind)).collect();
        chain.push(Made { block: here, events });
    }
}

/// Does what a watcher does: finds what is still true of what it read, and reads from there.
async fn follow(ledger: &Ledger, chain: &[Made], depth: u64) -> Result<(), LedgerError> {
    let cursor = ledger.cursor(DEPLOYMENT).await?.map(|cursor| cursor.block);
    let head = chain.last().expect("there is a genesis");
    let mut read = chain.iter().rposition(|made| Some(made.block) == cursor).map_or(0, |at| at + 1);
    if cursor.is_some() && read == 0 {
        read = chain.len().saturating_sub(10); // deeper than any reorg here
    }
    let events = chain[read.min(chain.len())..].iter().flat_map(|made| made.events.clone()).collect();
    let confirmed = head.block.number.saturating_sub(depth);
    let advance = advance(cursor, head.block, confirmed, events);
    ledger.advance(&ledger::Advance { rescan_from: read as u64, ..advance }).await
}

async fn forget_everything(ledger: &Ledger, url: &str) {
    let rows = "DELETE FROM jobs; DELETE FROM events; DELETE FROM cursors; DELETE FROM epochs; DELETE FROM channels;
        DELETE FROM deployments";
    sql(url).await.batch_execute(rows).await.expect("it answers");
    ledger.register(&deployment()).await.expect("it is new");
}

#[test]
fn any_blocks_and_reorgs_leave_what_a_fresh_sync_gives() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (followed, fresh) = runtime.block_on(async { (ledger_with(0, 0).await, ledger_with(0, 0).await) });
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(step(), 1..12), |steps| {
        runtime.block_on(async {
            forget_everything(&followed.0, &followed.1).await;
            forget_everything(&fresh.0, &fresh.1).await;
            let mut chain = vec![Made { block: block(0, 0), events: Vec::new() }];
            for (fork, step) in (1..).zip(&steps) {
                grow(&mut chain, step, fork);
                follow(&followed.0, &chain, step.depth).await.expect("it is the only watcher");
            }
            follow(&fresh.0, &chain, steps.last().map_or(0, |step| step.depth)).await.expect("it is the only watcher");
            let dumps = (followed.0.dump(DEPLOYMENT).await.unwrap(), fresh.0.dump(DEPLOYMENT).await.unwrap());
            prop_assert_eq!(dumps.0, dumps.1);
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn goes_on_from_an_advance_of_many_channels_that_failed_half_way() {
    const CHANNELS: u64 = 1_300;
    let opened = EventKind::Opened { deposit: amount(5) };
    let added = EventKind::ToppedUp { added: amount(1) };
    let chain = |fork| {
        let at = |number: u64, fork| block(number, fork);
        let mut chain: Vec<Made> = (0..5).map(|n| Made { block: at(n, 0), events: Vec::new() }).collect();
        chain[1].events = (0..CHANNELS).map(|n| event(n, at(1, 0), n, opened)).collect();
        chain[4].block = at(4, fork);
        chain[4].events = (0..100).map(|n| event(n, at(4, fork), n, added)).collect();
        chain
    };
    let (ledger, url) = ledger_with(0, 0).await;
    let (fresh, fresh_url) = ledger_with(0, 0).await;
    forget_everything(&ledger, &url).await;
    forget_everything(&fresh, &fresh_url).await;
    follow(&ledger, &chain(1)[..3], 2).await.unwrap();

    let last = (0..CHANNELS).map(|n| channel_id(n).0).max().expect("there are some");
    let trigger = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON channels
         FOR EACH ROW WHEN (NEW.id = '\\x{last:x}') EXECUTE FUNCTION refuse()"
    );
    let client = sql(&url).await;
    client.batch_execute(&trigger).await.unwrap();
    let failed = follow(&ledger, &chain(1), 0).await;
    assert!(matches!(failed, Err(LedgerError::Rejected(_))), "{failed:?}");
    assert_eq!(ledger.cursor(DEPLOYMENT).await.unwrap().map(|cursor| cursor.block.number), Some(2));
    client.batch_execute("DROP TRIGGER refuse ON channels").await.unwrap();

    // The last block was another one after all, and money must lie deeper than half of the channels believe by now.
    follow(&ledger, &chain(2), 4).await.unwrap();
    follow(&fresh, &chain(2), 4).await.unwrap();
    let dump = ledger.dump(DEPLOYMENT).await.unwrap();
    assert_eq!(dump.lines().count(), 1_300);
    assert_eq!(dump, fresh.dump(DEPLOYMENT).await.unwrap());
}

#[tokio::test]
async fn lets_one_of_several_watchers_move_the_cursor() {
    let (ledger, url) = ledger_with(0, 0).await;
    forget_everything(&ledger, &url).await;
    let opened = EventKind::Opened { deposit: amount(5) };
    for (from, to) in [(None, block(1, 0)), (Some(block(1, 0)), block(2, 0)), (Some(block(2, 0)), block(3, 0))] {
        let others = [ledger.clone(), connect(&url).await, connect(&url).await];
        let race = others
            .iter()
            .zip(0..)
            .map(async |(ledger, n)| ledger.advance(&advance(from, to, 0, vec![event(n, to, n, opened)])).await);
        let outcomes = join_all(race).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(LedgerError::Fenced))).count(), 2);
        let height = i64::try_from(to.number).unwrap();
        let sql = sql(&url).await;
        let events = sql.query_one("SELECT count(*) FROM events WHERE block = $1", &[&height]).await.unwrap();
        assert_eq!(events.get::<_, i64>(0), 1, "what was fenced wrote nothing");
    }
}

#[tokio::test]
async fn stops_selling_and_moving_when_it_is_halted() {
    let (ledger, _) = ledger_with(1, 100).await;
    ledger.halt(DEPLOYMENT, "finality was broken").await.unwrap();
    assert_eq!(sell(&ledger, order(voucher(0, 1))).await.expect_err("halted").refusal, Refusal::Stale);
    let moved = ledger.advance(&advance(Some(block(1, 0)), block(2, 0), 1, Vec::new())).await;
    assert!(matches!(moved, Err(LedgerError::Fenced)), "{moved:?}");
    let cursor = ledger.cursor(DEPLOYMENT).await.unwrap().expect("it stands");
    assert_eq!((cursor.block, cursor.halted.as_deref()), (block(1, 0), Some("finality was broken")));
}

#[tokio::test]
async fn refuses_another_contract_under_the_same_name() {
    let (ledger, _) = ledger_with(0, 0).await;
    ledger.register(&deployment()).await.expect("it is the same");
    let other = DeploymentRow { contract: Address::repeat_byte(9), ..deployment() };
    assert!(matches!(ledger.register(&other).await, Err(LedgerError::Conflict(_))));
}

#[tokio::test]
async fn stops_selling_when_a_reorg_takes_the_deposit_back_and_goes_on_when_it_returns() {
    let (ledger, _) = ledger_with(1, 10).await;
    let (ten, top_up) = (amount(10), EventKind::ToppedUp { added: amount(10) });
    let two = block(2, 0);
    ledger.advance(&advance(Some(block(1, 0)), two, 2, vec![event(0, two, 0, top_up)])).await.unwrap();
    let prepaid = |units| Order { terms: terms(Step::Any), ..order(voucher(0, units)) };
    sell(&ledger, prepaid(15)).await.expect("the deposit is 20");

    let gone = ledger::Advance { rescan_from: 2, ..advance(Some(two), block(2, 1), 2, Vec::new()) };
    ledger.advance(&gone).await.unwrap();
    let refused = sell(&ledger, prepaid(15)).await.expect_err("the deposit is 10");
    assert_eq!(refused.refusal, Refusal::OverDeposit { wanted: amount(15), deposit: ten, pending: amount(0) });

    let three = block(3, 1);
    let back = advance(Some(block(2, 1)), three, 2, vec![event(0, three, 0, top_up)]);
    ledger.advance(&back).await.unwrap();
    let refused = sell(&ledger, prepaid(15)).await.expect_err("it is not deep enough");
    assert_eq!(refused.refusal, Refusal::OverDeposit { wanted: amount(15), deposit: ten, pending: ten });
    ledger.advance(&advance(Some(three), block(4, 1), 3, Vec::new())).await.unwrap();
    sell(&ledger, prepaid(15)).await.expect("the top-up is deep enough now");
}

#[tokio::test]
async fn sells_nothing_on_a_close_request_and_has_it_answered_once() {
    let (ledger, _) = ledger_with(2, 100).await;
    let prepaid = |n| Order { terms: terms(Step::Any), ..order(voucher(n, 10)) };
    sell(&ledger, prepaid(0)).await.expect("it is open");
    sell(&ledger, prepaid(1)).await.expect("it is open");
    let mut bell = ledger.listen(&[JobKind::Challenge]);
    bell.wait(Duration::from_millis(1_500)).await; // that it is connected
    let two = block(2, 0);
    let request = |units| EventKind::CloseRequested { requested: amount(units), deadline: Deadline::Block(500) };
    let events = vec![event(0, two, 0, request(9)), event(1, two, 1, request(10))];
    ledger.advance(&advance(Some(block(1, 0)), two, 1, events.clone())).await.unwrap();
    tokio::time::timeout(Duration::from_secs(2), bell.wait(Duration::from_secs(9))).await.expect("the bell rings");

    assert_eq!(sell(&ledger, prepaid(0)).await.expect_err("it is closing").refusal, Refusal::NotOpen);
    let again = ledger::Advance { rescan_from: 2, ..advance(Some(two), block(3, 0), 2, events) };
    ledger.advance(&again).await.unwrap();
    let due = ledger.due(JobKind::Challenge, &[DEPLOYMENT], 10).await.unwrap();
    let about: Vec<_> = due.iter().map(|job| (job.job.channel, job.job.amount)).collect();
    assert_eq!(about, [(Some(channel_id(0)), Some(amount(10)))], "one asks for less than we hold a voucher for");
    let (channel, _) = ledger.view(channel_id(0)).await.unwrap().expect("it is known");
    let closing = Status::Closing { requested: amount(9), deadline: Deadline::Block(500) };
    assert_eq!(channel.facts.status, closing);
}

#[tokio::test]
async fn takes_over_what_was_claimed_without_a_voucher_of_ours() {
    let (ledger, url) = ledger_with(1, 100).await;
    sell(&ledger, Order { terms: terms(Step::Any), ..order(voucher(0, 10)) }).await.expect("it is open");
    let claimed = EventKind::Claimed { taken: amount(30) };
    let two = block(2, 0);
    ledger.advance(&advance(Some(block(1, 0)), two, 2, vec![event(0, two, 0, claimed)])).await.unwrap();
    let (channel, epoch) = ledger.view(channel_id(0)).await.unwrap().expect("it is known");
    assert_eq!(channel.facts.claimed, amount(30));
    assert_eq!((epoch.authorised, epoch.spent, epoch.credit()), (amount(30), amount(21), amount(9)));
    assert_eq!(violations(&sql(&url).await).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_payments_do_not_hinder_each_other() {
    let (front, url) = ledger_with(300, 1_000_000).await;
    let watcher = connect(&url).await;
    let sellers: Vec<_> = (0..60_u64)
        .map(|n| {
            let front = front.clone();
            tokio::spawn(async move {
                for round in 0..60_u64 {
                    let channel = (n * 7 + round) % 300;
                    let prepaid = Order { terms: terms(Step::Any), ..order(voucher(channel, 1_000)) };
                    sell(&front, prepaid).await.expect("there is credit");
                }
            })
        })
        .collect();
    let mut at = block(1, 0);
    while !sellers.iter().all(tokio::task::JoinHandle::is_finished) {
        let next = block(at.number + 1, 0);
        let added = EventKind::ToppedUp { added: amount(1) };
        let events = (0..300).map(|n| event(n, next, n, added)).collect();
        watcher.advance(&advance(Some(at), next, next.number, events)).await.expect("it is the only watcher");
        at = next;
    }
    for seller in sellers {
        seller.await.expect("every sale went through");
    }
    println!("{} blocks over 300 channels during 3600 sales", at.number - 1);
    assert_eq!(violations(&sql(&url).await).await, 0);
    let (channel, _) = front.view(channel_id(0)).await.unwrap().expect("it is known");
    assert_eq!(channel.facts.deposit, amount(1_000_000 + u128::from(at.number - 1)));
}

#[tokio::test]
async fn lists_channels_page_by_page() {
    let (ledger, _) = ledger_with(25, 100).await;
    let two = block(2, 0);
    let settled = EventKind::Settled { total: amount(0) };
    ledger.advance(&advance(Some(block(1, 0)), two, 2, vec![event(3, two, 0, settled)])).await.unwrap();
    let mut filter = ledger::ChannelFilter { limit: 10, payer: Some(payer().address()), ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = ledger.channels(&filter).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        filter.after = Some(last.id);
        seen.extend(page.iter().map(|(channel, _)| channel.id));
    }
    assert_eq!(seen.len(), 24, "the closed one is left out");
    assert!(seen.is_sorted());
    let all = ledger::ChannelFilter { ended: true, deployment: Some(DEPLOYMENT.into()), ..Default::default() };
    assert_eq!(ledger.channels(&all).await.unwrap().len(), 25);
    let nobody = ledger::ChannelFilter { payer: Some(Address::from_word(keccak256("nobody"))), ..Default::default() };
    assert!(ledger.channels(&nobody).await.unwrap().is_empty());
}
