//! What the chain says, folded; and what to do about it.

mod common;

use alloy_primitives::B256;
use channel::{
    Action, Amount, BlockRef, CloseRefusal, Closure, Deadline, Event, EventKind, Facts, Freshness, Status,
    absorb_claims, agree_close, challenge, closure, facts, safe_until,
};
use common::*;

fn event(block: u64, kind: EventKind) -> Event {
    let hash = B256::left_padding_from(&block.to_be_bytes());
    Event { channel: channel_id(), block: BlockRef { number: block, hash }, tx_hash: hash, log_index: 0, kind }
}

fn opened(block: u64, deposit: u128) -> Event {
    event(block, EventKind::Opened { deposit: amount(deposit) })
}

#[test]
fn a_channel_without_events_is_absent() {
    assert_eq!(facts([], 100), Facts::default());
    assert_eq!(Facts::default().status, Status::Absent);
}

#[test]
fn money_coming_in_counts_only_when_confirmed() {
    let events = [opened(10, 100), event(12, EventKind::ToppedUp { added: amount(50) })];
    let at = |confirmed| facts(&events, confirmed);
    assert_eq!((at(9).confirmed, at(9).deposit, at(9).pending), (false, Amount::ZERO, amount(150)));
    assert_eq!((at(10).confirmed, at(10).deposit, at(10).pending), (true, amount(100), amount(50)));
    assert_eq!((at(12).deposit, at(12).pending), (amount(150), Amount::ZERO));
}

#[test]
fn a_close_request_counts_at_once() {
    let deadline = Deadline::Block(513);
    let events = [opened(10, 100), event(13, EventKind::CloseRequested { requested: amount(5), deadline })];
    assert_eq!(facts(&events, 10).status, Status::Closing { requested: amount(5), deadline });
}

#[test]
fn claims_add_up_and_a_settlement_says_the_total() {
    let claim = |block, taken| event(block, EventKind::Claimed { taken: amount(taken) });
    let mut events = vec![opened(10, 100), claim(11, 10), claim(12, 15)];
    assert_eq!(facts(&events, 10).claimed, amount(25));
    events.push(event(13, EventKind::Settled { total: amount(40) }));
    let settled = facts(&events, 10);
    assert_eq!((settled.status, settled.claimed), (Status::Closed, amount(40)));
}

#[test]
fn sums_above_the_ledgers_range_saturate() {
    let events = [opened(1, u128::MAX), event(2, EventKind::ToppedUp { added: amount(1) })];
    assert_eq!(facts(&events, 2).deposit, Amount::MAX);
}

#[test]
fn a_claim_without_a_voucher_raises_what_is_authorised_and_spent() {
    let mut epoch = epoch(30, 20, 5);
    let facts = Facts { claimed: amount(50), ..Facts::default() };
    assert_eq!(absorb_claims(&facts, &mut epoch), amount(20));
    assert_eq!((epoch.authorised, epoch.spent, epoch.credit()), (amount(50), amount(40), amount(5)));
    assert_eq!(epoch.published, amount(50), "it stands in calldata");
    assert_eq!(absorb_claims(&facts, &mut epoch), Amount::ZERO);
}

#[test]
fn a_close_below_our_voucher_is_challenged_and_an_honest_one_is_not() {
    let (mut channel, mut epoch) = (open_channel(100), epoch(30, 30, 0));
    epoch.voucher = Some((amount(30), voucher(30).signature));
    assert_eq!(challenge(&channel, &epoch), None);
    for (requested, challenged) in [(0, true), (29, true), (30, false), (31, false)] {
        channel.facts.status = Status::Closing { requested: amount(requested), deadline: Deadline::Block(9) };
        let expected = challenged.then_some(Action::Challenge { amount: amount(30), signature: voucher(30).signature });
        assert_eq!(challenge(&channel, &epoch), expected, "requested {requested}");
    }
    channel.agreed_close = Some(amount(20));
    for (requested, challenged) in [(19, true), (20, false)] {
        channel.facts.status = Status::Closing { requested: amount(requested), deadline: Deadline::Block(9) };
        assert_eq!(challenge(&channel, &epoch).is_some(), challenged, "agreed to 20, requested {requested}");
    }
    (channel.agreed_close, channel.facts.claimed) = (None, amount(31));
    channel.facts.status = Status::Closing { requested: Amount::ZERO, deadline: Deadline::Block(9) };
    assert_eq!(challenge(&channel, &epoch), None, "the contract pays nothing below what was claimed");
    channel.facts.claimed = Amount::ZERO;
    epoch.voucher = None;
    channel.facts.status = Status::Closing { requested: Amount::ZERO, deadline: Deadline::Block(9) };
    assert_eq!(challenge(&channel, &epoch), None);
}

#[test]
fn no_close_is_agreed_to_below_what_was_claimed_or_may_be_on_its_way() {
    let (mut channel, mut epoch) = (open_channel(100), epoch(30, 10, 0));
    channel.facts.claimed = amount(15);
    let refused = |least| Err(CloseRefusal::Amount { least: amount(least), most: amount(30) });
    assert_eq!(agree_close(&mut channel, &epoch, amount(14)), refused(15));
    epoch.published = amount(20);
    assert_eq!(agree_close(&mut channel, &epoch, amount(19)), refused(20));
    assert_eq!(agree_close(&mut channel, &epoch, amount(20)), Ok(()));
}

#[test]
fn selling_is_safe_for_the_window_less_the_budget_after_the_older_of_block_and_sight() {
    let freshness = Freshness { window: 500, budget: 120 };
    assert_eq!(safe_until(1_000, 1_010, &freshness), 1_380);
    assert_eq!(safe_until(1_010, 1_000, &freshness), 1_380);
    assert_eq!(safe_until(1_000, 1_000, &Freshness { window: 100, budget: 120 }), 1_000);
}

#[test]
fn the_payee_closes_alone_with_its_best_voucher_or_says_why_not() {
    let (mut channel, mut epoch) = (open_channel(100), epoch(30, 20, 0));
    assert_eq!(closure(&channel, &epoch), Closure::Worthless);
    let signature = voucher(30).signature;
    epoch.voucher = Some((amount(30), signature));
    let best = Closure::Best { amount: amount(30), signature };
    assert_eq!(closure(&channel, &epoch), best);
    channel.agreed_close = Some(amount(30));
    assert_eq!(closure(&channel, &epoch), best);
    channel.agreed_close = Some(amount(20));
    assert_eq!(closure(&channel, &epoch), Closure::AgreedOtherwise { agreed: amount(20) });
    channel.agreed_close = None;
    channel.facts.status = Status::Closing { requested: amount(30), deadline: Deadline::Block(9) };
    assert_eq!(closure(&channel, &epoch), best);
    channel.facts.claimed = amount(31);
    assert_eq!(closure(&channel, &epoch), Closure::Uncovered);
    (channel.facts.claimed, channel.facts.deposit) = (amount(30), amount(29));
    assert_eq!(closure(&channel, &epoch), Closure::Uncovered);
    channel.facts.pending = amount(1);
    assert_eq!(closure(&channel, &epoch), best);
    for status in [Status::Closed, Status::Absent] {
        channel.facts.status = status;
        assert_eq!(closure(&channel, &epoch), Closure::Gone);
    }
}
