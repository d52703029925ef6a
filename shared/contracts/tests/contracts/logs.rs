//! Logs become events of the core.

use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, B256, Bytes};
use channel::{Amount, BlockRef, Deadline, Event, EventKind, facts};
use contracts::raiden::{self, Raiden, abi};
use contracts::{Contract, ContractError, Deployment, Kind, Log, Opening, SolEvent};

use crate::{PAYEE, PAYER, deployment};

const BLOCK: u64 = 37;

fn log(event: impl SolEvent) -> Log {
    Log {
        address: deployment().contract,
        topics: event.encode_topics().into_iter().map(|topic| topic.0).collect(),
        data: event.encode_data().into(),
        block: BlockRef { number: BLOCK, hash: B256::repeat_byte(1) },
        tx_hash: B256::repeat_byte(2),
        log_index: 3,
    }
}

fn created(deposit: U192) -> Log {
    log(abi::ChannelCreated { _sender_address: PAYER, _receiver_address: PAYEE, _deposit: deposit })
}

fn decode(log: &Log) -> Option<(Opening, Event)> {
    Kind::Raiden.contract().decode(&deployment(), log).expect("the log is well formed")
}

fn kind_of(log: &Log) -> EventKind {
    decode(log).expect("the log is ours").1.kind
}

#[test]
fn an_opening_is_named_by_the_block_of_its_log() {
    let (opening, event) = decode(&created(U192::from(100))).unwrap();
    assert_eq!(opening, raiden::opening(PAYER, 37));
    let expected = Event {
        channel: Raiden.channel_id(&deployment(), &opening),
        block: BlockRef { number: BLOCK, hash: B256::repeat_byte(1) },
        tx_hash: B256::repeat_byte(2),
        log_index: 3,
        kind: EventKind::Opened { deposit: Amount::new(100) },
    };
    assert_eq!(event, expected);
}

#[test]
fn an_open_block_above_32_bits_wraps_as_in_the_contract() {
    let mut log = created(U192::from(100));
    log.block.number = (1 << 32) + 5;
    assert_eq!(decode(&log).unwrap().0, raiden::opening(PAYER, 5));
}

#[test]
fn a_top_up_adds() {
    let log = log(abi::ChannelToppedUp {
        _sender_address: PAYER,
        _receiver_address: PAYEE,
        _open_block_number: 12,
        _added_deposit: U192::from(7),
    });
    assert_eq!(kind_of(&log), EventKind::ToppedUp { added: Amount::new(7) });
    assert_eq!(decode(&log).unwrap().0, raiden::opening(PAYER, 12));
}

#[test]
fn a_close_request_may_be_answered_until_the_last_block_of_the_challenge_period() {
    let log = log(abi::ChannelCloseRequested {
        _sender_address: PAYER,
        _receiver_address: PAYEE,
        _open_block_number: 12,
        _balance: U192::from(7),
    });
    let kind = EventKind::CloseRequested { requested: Amount::new(7), deadline: Deadline::Block(BLOCK + 500) };
    assert_eq!(kind_of(&log), kind);
}

#[test]
fn a_withdrawal_claims_what_it_took_alone() {
    let log = log(abi::ChannelWithdraw {
        _sender_address: PAYER,
        _receiver_address: PAYEE,
        _open_block_number: 12,
        _withdrawn_balance: U192::from(7),
    });
    assert_eq!(kind_of(&log), EventKind::Claimed { taken: Amount::new(7) });
}

#[test]
fn a_settlement_says_what_the_payee_got_in_all() {
    let log = log(abi::ChannelSettled {
        _sender_address: PAYER,
        _receiver_address: PAYEE,
        _open_block_number: 12,
        _balance: U192::from(9),
        _receiver_tokens: U192::from(2),
    });
    assert_eq!(kind_of(&log), EventKind::Settled { total: Amount::new(9) });
}

#[test]
fn a_deposit_wider_than_the_ledger_counts_as_the_most_it_holds() {
    let above = U192::from(u128::MAX) + U192::from(1);
    for deposit in [U192::from(u128::MAX), above, U192::MAX] {
        assert_eq!(kind_of(&created(deposit)), EventKind::Opened { deposit: Amount::MAX });
    }
}

#[test]
fn a_whole_life_folds_into_facts() {
    let to = |_open_block_number| abi::ChannelToppedUp {
        _sender_address: PAYER,
        _receiver_address: PAYEE,
        _open_block_number,
        _added_deposit: U192::from(5),
    };
    let settled = abi::ChannelSettled {
        _sender_address: PAYER,
        _receiver_address: PAYEE,
        _open_block_number: 37,
        _balance: U192::from(9),
        _receiver_tokens: U192::from(9),
    };
    let logs = [created(U192::from(10)), log(to(37)), log(settled)];
    let events: Vec<_> = logs.iter().map(|log| decode(log).unwrap().1).collect();
    assert!(events.iter().all(|event| event.channel == events[0].channel));
    let facts = facts(&events, BLOCK);
    assert_eq!((facts.deposit, facts.claimed), (Amount::new(15), Amount::new(9)));
}

#[test]
fn logs_of_others_are_not_ours() {
    let of_another_payee =
        log(abi::ChannelCreated { _sender_address: PAYEE, _receiver_address: PAYER, _deposit: U192::from(1) });
    let of_another_contract = Log { address: deployment().token, ..created(U192::from(1)) };
    let about_no_channel = log(abi::TrustedContract { _trusted_contract_address: PAYEE, _trusted_status: true });
    let anonymous = Log { topics: vec![], ..created(U192::from(1)) };
    let unknown = Log { topics: vec![B256::ZERO, PAYER.into_word(), PAYEE.into_word()], ..created(U192::from(1)) };
    for log in [of_another_payee, of_another_contract, about_no_channel, anonymous, unknown] {
        assert_eq!(decode(&log), None, "{log:?}");
    }
}

#[test]
fn a_log_with_an_events_signature_and_other_arguments_is_an_error() {
    let good = created(U192::from(1));
    let truncated = Log { data: Bytes::from_static(&[0; 31]), ..good.clone() };
    let too_wide = Log { data: [0xff; 32].into(), ..good.clone() };
    let missing_topic = Log {
        topics: vec![abi::ChannelToppedUp::SIGNATURE_HASH, PAYER.into_word(), PAYEE.into_word()],
        ..good.clone()
    };
    let dirty_sender = Log { topics: vec![good.topics[0], B256::repeat_byte(0xff), PAYEE.into_word()], ..good };
    for log in [truncated, too_wide, missing_topic, dirty_sender] {
        let error = Raiden.decode(&deployment(), &log).unwrap_err();
        assert!(matches!(error, ContractError::Log { .. }), "{error:?}");
        let sentence = error.to_string();
        assert!(sentence.starts_with("the log is no Channel") && sentence.ends_with("event of this contract"));
    }
}

#[test]
fn the_filter_lets_through_what_decodes_and_nothing_of_other_payees() {
    let filter = Raiden.filter(&deployment());
    assert_eq!(filter.address, deployment().contract);
    let passes = |log: &Log| {
        filter.topics.iter().enumerate().all(|(i, allowed)| allowed.is_empty() || allowed.contains(&log.topics[i]))
    };
    let of_another_payee =
        abi::ChannelCreated { _sender_address: PAYER, _receiver_address: Address::ZERO, _deposit: U192::from(1) };
    assert!(passes(&created(U192::from(1))));
    assert!(!passes(&log(of_another_payee)));
    assert_eq!(filter.topics[0].len(), 5);
}

#[test]
fn another_challenge_period_is_another_deadline() {
    let deployment = Deployment { challenge_period: u32::MAX, ..deployment() };
    let log = log(abi::ChannelCloseRequested {
        _sender_address: PAYER,
        _receiver_address: PAYEE,
        _open_block_number: 12,
        _balance: U192::ZERO,
    });
    let (_, event) = Raiden.decode(&deployment, &log).unwrap().unwrap();
    let EventKind::CloseRequested { deadline, .. } = event.kind else { panic!("{event:?}") };
    assert_eq!(deadline, Deadline::Block(BLOCK + u64::from(u32::MAX)));
}
