//! A ledger on a real PostgreSQL, a payer with a key, and channels to sell through.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use channel::{
    Amount, BlockRef, ChannelId, Event, EventKind, Hold, Key, Request, RequestHash, Sold, Step, Terms, VerifiedVoucher,
    Voucher,
};
use ledger::{Advance, Cursor, DeploymentRow, Ledger, NewEvent, Order, Receipt, Refused, Settings, When};
use testkit::postgres::Postgres;
use tokio_postgres::{Client, NoTls};

pub const DEPLOYMENT: &str = "test";

/// The address of an empty, migrated database on the server that the tests of one file share.
pub async fn database() -> String {
    let server = Postgres::shared().await.expect("PostgreSQL starts");
    server.fresh_database().await.expect("a database is made")
}

pub fn settings(url: &str) -> Settings {
    Settings { single_node: true, ..Settings::new(url) }
}

pub async fn connect(url: &str) -> Ledger {
    Ledger::connect(&settings(url)).await.expect("the ledger connects")
}

/// A ledger on a database of its own, with `channels` open channels of this deposit.
pub async fn ledger_with(channels: u64, deposit: u128) -> (Ledger, String) {
    let url = database().await;
    let ledger = connect(&url).await;
    open_channels(&ledger, channels, deposit).await;
    (ledger, url)
}

/// A connection past the ledger.
pub async fn sql(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
}

pub fn payer() -> Key {
    Key::from_bytes(&[0xa0; 32]).expect("a valid key")
}

pub fn amount(units: u128) -> Amount {
    Amount::new(units)
}

pub fn channel_id(n: u64) -> ChannelId {
    ChannelId(keccak256(n.to_be_bytes()))
}

pub fn deployment() -> DeploymentRow {
    let (contract, token, payee) = (Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3));
    DeploymentRow { id: DEPLOYMENT.into(), chain_id: 31_337, contract, token, payee }
}

pub fn block(number: u64, fork: u64) -> BlockRef {
    BlockRef { number, hash: keccak256([number.to_be_bytes(), fork.to_be_bytes()].concat()) }
}

pub fn event(channel: u64, block: BlockRef, log_index: u64, kind: EventKind) -> NewEvent {
    let event = Event { channel: channel_id(channel), block, tx_hash: block.hash, log_index, kind };
    NewEvent { event, payer: payer().address(), params: Bytes::copy_from_slice(&channel.to_be_bytes()) }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// An advance that finds these events in the blocks after `from`.
pub fn advance(from: Option<BlockRef>, to: BlockRef, confirmed: u64, events: Vec<NewEvent>) -> Advance {
    let cursor = Cursor { block: to, block_time: now(), anchor: block(0, 0), halted: None };
    Advance {
        deployment: DEPLOYMENT.into(),
        rescan_from: from.map_or(0, |from| from.number + 1),
        from,
        to: cursor,
        events,
        confirmed,
        safe_until: now() + 3_600,
    }
}

/// Opens channels 0..count in block 1, confirmed.
pub async fn open_channels(ledger: &Ledger, count: u64, deposit: u128) {
    ledger.register(&deployment()).await.expect("it is new");
    testkit::clear::all_clear(ledger, DEPLOYMENT).await.expect("it is known");
    let opened = EventKind::Opened { deposit: amount(deposit) };
    let events = (0..count).map(|n| event(n, block(1, 0), n, opened)).collect();
    ledger.advance(&advance(None, block(1, 0), 1, events)).await.expect("the first advance");
}

/// Any digest will do for the ledger: what it is made of is the contracts' business.
pub fn voucher(channel: u64, units: u128) -> VerifiedVoucher {
    let channel = channel_id(channel);
    let digest = keccak256([channel.0, B256::from(U256::from(units))].concat());
    let voucher = Voucher { channel, epoch: 0, amount: amount(units), signature: payer().sign(digest) };
    voucher.verify(digest, payer().address()).expect("signed by the payer")
}

pub fn request(content: u64) -> Request {
    Request { id: None, hash: RequestHash(keccak256(content.to_be_bytes())) }
}

pub fn named_request(id: &str, content: u64) -> Request {
    Request { id: Some(id.into()), ..request(content) }
}

pub fn terms(step: Step) -> Terms {
    Terms { step, ..Terms::default() }
}

/// One unit for a call of content 1, as µRaiden steps, charged at once.
pub fn order(voucher: VerifiedVoucher) -> Order {
    Order {
        deployment: Arc::from(DEPLOYMENT),
        route: Arc::from("things"),
        voucher,
        price: amount(1),
        terms: terms(Step::FromAuthorised),
        request: request(1),
        settle: When::Now,
    }
}

pub async fn sell(ledger: &Ledger, order: Order) -> Result<Receipt, Refused> {
    ledger.sell(order).await.expect("the database answers")
}

pub fn hold_of(receipt: Receipt) -> Hold {
    match receipt.sold {
        Sold::New { hold, .. } | Sold::Again(hold) => hold,
    }
}

/// Rows that break the ledger's one invariant, and counters that their holds do not explain.
pub async fn violations(client: &Client) -> i64 {
    let sql = "SELECT count(*) FROM epochs e
        LEFT JOIN (SELECT channel, epoch, sum(amount) AS held FROM holds WHERE state = 'held' GROUP BY channel, epoch) h
               ON h.channel = e.channel AND h.epoch = e.number
        WHERE spent + e.held > authorised OR e.held <> COALESCE(h.held, 0) OR voucher_amount > authorised";
    client.query_one(sql, &[]).await.expect("the database answers").get(0)
}

/// How far the sales are from what is spent, in one look at both.
pub async fn unexplained(client: &Client) -> i64 {
    let sql = "SELECT (SELECT COALESCE(sum(spent), 0) FROM epochs)::int8
        - (SELECT COALESCE(sum(amount), 0) FROM sales)::int8
        - (SELECT COALESCE(sum(u), 0) FROM sales_log CROSS JOIN LATERAL unnest(amounts) AS u)::int8";
    client.query_one(sql, &[]).await.expect("the database answers").get(0)
}
