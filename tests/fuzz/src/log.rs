//! A contract's log, as a node gives it.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use channel::{Amount, BlockRef, Deadline, EventKind};
use contracts::raiden::{self, Raiden};
use contracts::{Contract, Log, Opening};

use crate::sample;

/// A byte that counts the topics, 8 of the block's number, the topics, the data. What is decoded is what the ABI's layout
/// says, read by hand.
pub fn read(input: &[u8]) -> bool {
    let Some(log) = log(input) else { return false };
    let decoded = Raiden.decode(sample::deployment(), &log).ok().flatten();
    let expected = by_hand(&log);
    assert_eq!(decoded.as_ref().map(|(opening, event)| (opening.clone(), event.kind)), expected);
    let Some((opening, event)) = decoded else { return false };
    assert_eq!((event.block, event.log_index), (log.block, log.log_index));
    assert_eq!(event.channel, Raiden.channel_id(sample::deployment(), &opening));
    true
}

fn log(input: &[u8]) -> Option<Log> {
    let (&count, input) = input.split_first()?;
    let (number, input) = input.split_at_checked(8)?;
    let (topics, data) = input.split_at_checked(usize::from(count % 6) * 32)?;
    Some(Log {
        address: sample::deployment().contract,
        topics: topics.chunks_exact(32).map(B256::from_slice).collect(),
        data: Bytes::copy_from_slice(data),
        block: BlockRef { number: u64::from_be_bytes(number.try_into().ok()?), hash: B256::repeat_byte(1) },
        tx_hash: B256::repeat_byte(2),
        log_index: 3,
    })
}

/// Words of 32 bytes: signature, sender, receiver, then the open block (but in an opening), then the amounts. As everywhere
/// in the ABI, what follows the arguments is not looked at.
fn by_hand(log: &Log) -> Option<(Opening, EventKind)> {
    let deployment = sample::deployment();
    let is = |event: &str| log.topics[0] == keccak256(event);
    if log.topics.len() < 3 || log.topics[2] != deployment.payee.into_word() {
        return None;
    }
    let amount = narrow(log.data.get(..32)?, 24)?.saturating_to::<u128>();
    let amount = Amount::new(amount);
    if is("ChannelCreated(address,address,uint192)") {
        let payer = address(&log.topics[1]).filter(|_| log.topics.len() == 3)?;
        let low = u32::try_from(log.block.number & 0xffff_ffff).ok()?;
        return Some((raiden::opening(payer, low), EventKind::Opened { deposit: amount }));
    }
    let requested_until = log.block.number.saturating_add(deployment.challenge_period.into());
    let kinds = [
        ("ChannelToppedUp(address,address,uint32,uint192)", 1, EventKind::ToppedUp { added: amount }),
        ("ChannelWithdraw(address,address,uint32,uint192)", 1, EventKind::Claimed { taken: amount }),
        ("ChannelSettled(address,address,uint32,uint192,uint192)", 2, EventKind::Settled { total: amount }),
        (
            "ChannelCloseRequested(address,address,uint32,uint192)",
            1,
            EventKind::CloseRequested { requested: amount, deadline: Deadline::Block(requested_until) },
        ),
    ];
    let (_, words, kind) = kinds.into_iter().find(|(event, ..)| is(event))?;
    let has_its_form = log.topics.len() == 4
        && log.data.len() >= words * 32
        && log.data.chunks_exact(32).take(words).all(|word| narrow(word, 24).is_some());
    let payer = address(&log.topics[1]).filter(|_| has_its_form)?;
    let block = u32::try_from(narrow(log.topics[3].as_slice(), 4)?).ok()?;
    Some((raiden::opening(payer, block), kind))
}

/// A word whose value takes so many bytes.
fn narrow(word: &[u8], bytes: usize) -> Option<U256> {
    word[..32 - bytes].iter().all(|byte| *byte == 0).then(|| U256::from_be_slice(word))
}

fn address(word: &B256) -> Option<Address> {
    narrow(word.as_slice(), 20).map(|_| Address::from_word(*word))
}
