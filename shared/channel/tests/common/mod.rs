//! A payer with a key, and a channel to sell through.
#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::RefCell;
use std::collections::HashMap;

use alloy_primitives::{Address, B128, B256, Bytes, U256, keccak256};
use channel::{
    Amount, Channel, ChannelId, Epoch, Facts, HoldId, Key, Request, RequestHash, Sale, Status, VerifiedVoucher, Voucher,
};

pub fn payer() -> Key {
    Key::from_bytes(&[0xa0; 32]).expect("a valid key")
}

pub fn amount(units: u128) -> Amount {
    Amount::new(units)
}

pub fn channel_id() -> ChannelId {
    ChannelId(B256::repeat_byte(7))
}

/// An open, confirmed channel with this deposit.
pub fn open_channel(deposit: u128) -> Channel {
    let facts = Facts { confirmed: true, deposit: amount(deposit), status: Status::Open, ..Facts::default() };
    Channel {
        id: channel_id(),
        deployment: "test".into(),
        payer: payer().address(),
        params: Bytes::new(),
        facts,
        agreed_close: None,
    }
}

/// Any digest will do for the rules: what it is made of is the contracts' business.
pub fn digest(units: u128, epoch: u64) -> B256 {
    keccak256([U256::from(units).to_be_bytes::<32>(), U256::from(epoch).to_be_bytes::<32>()].concat())
}

/// A voucher as it comes out of verification. Signing takes a while, so each is made once.
pub fn voucher(units: u128) -> VerifiedVoucher {
    thread_local!(static MADE: RefCell<HashMap<u128, VerifiedVoucher>> = RefCell::default());
    MADE.with_borrow_mut(|made| *made.entry(units).or_insert_with(|| voucher_of(units, 0)))
}

pub fn voucher_of(units: u128, epoch: u64) -> VerifiedVoucher {
    let key = payer();
    let signature = key.sign(digest(units, epoch));
    Voucher { channel: channel_id(), epoch, amount: amount(units), signature }
        .verify(digest(units, epoch), key.address())
        .expect("signed by the payer")
}

pub fn request(content: u8) -> Request {
    Request { id: None, hash: RequestHash(B256::repeat_byte(content)) }
}

pub fn named_request(id: &str, content: u8) -> Request {
    Request { id: Some(id.into()), ..request(content) }
}

pub fn hold_id(n: u128) -> HoldId {
    HoldId(B128::from(n))
}

pub fn sale<'a>(voucher: &'a VerifiedVoucher, price: u128, request: &'a Request) -> Sale<'a> {
    Sale {
        id: hold_id(1),
        voucher,
        price: amount(price),
        request,
        prior: None,
        elsewhere: Amount::ZERO,
        in_all: Amount::ZERO,
    }
}

pub fn epoch(authorised: u128, spent: u128, held: u128) -> Epoch {
    Epoch { authorised: amount(authorised), spent: amount(spent), held: amount(held), ..Epoch::default() }
}

pub fn nobody() -> Address {
    Address::repeat_byte(0x99)
}
