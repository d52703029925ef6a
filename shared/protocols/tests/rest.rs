//! The REST interface of µRaiden: which question a path is, and how its answers are worded.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use alloy_primitives::{B256, Bytes as Params, address, hex};
use bytes::Bytes;
use channel::{Amount, Channel, ChannelId, CloseRefusal, Deadline, Epoch, Facts, Key, Signature, Status, Totals};
use contracts::{Deployment, Kind, raiden};
use http::{Method, Request, StatusCode};
use protocols::{Answer, Command, Details, Listing, Operation, Page, Protocol, Reply, Statistics};
use serde_json::{Value, json};

const RDN: protocols::raiden::Raiden = protocols::raiden::Raiden;
const SENDER: &str = "0x8Bf640A099fE945DA46F354d3B49c48a125F48B6";

fn deployment() -> Deployment {
    Deployment {
        name: "main".to_owned(),
        kind: Kind::Raiden,
        chain_id: 1,
        contract: address!("e7f1725e7734ce288f8367e1bb143e90bb3f0512"),
        token: address!("5fbdb2315678afecb367f032d93f642f64180aa3"),
        payee: address!("08c86b491a37c2ffc25072a17c7a97ef2d0357dd"),
        challenge_period: 500,
        from_block: 12,
        confirmations: 1,
    }
}

fn signature() -> Signature {
    Key::from_bytes(&[0xa0; 32]).unwrap().sign([1; 32].into())
}

fn ask(method: Method, uri: &str, body: &'static str) -> Result<Command, Box<Answer>> {
    let (head, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
    RDN.command(&head, &Bytes::from_static(body.as_bytes()))
}

fn get(path: &str) -> Result<Command, Box<Answer>> {
    ask(Method::GET, &format!("/api/1{path}"), "")
}

/// Status and body of what is answered at once.
fn answered(asked: Result<Command, Box<Answer>>) -> (u16, Value) {
    said(&asked.unwrap_err())
}

fn said(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
}

fn close(query: &str, body: &'static str) -> Result<Command, Box<Answer>> {
    ask(Method::DELETE, &format!("/api/1/channels/{SENDER}/37{query}"), body)
}

fn listing() -> Listing {
    Listing { deployment: None, payer: None, open: Some(true), after: None }
}

/// A channel of the n-th payer.
fn channel(payer: u8, open_block: u32, status: Status) -> (Channel, Epoch) {
    let payer = Key::from_bytes(&[payer; 32]).unwrap().address();
    let facts = Facts { confirmed: true, deposit: Amount::new(100), status, ..Facts::default() };
    let channel = Channel {
        id: ChannelId(B256::left_padding_from(&open_block.to_be_bytes())),
        deployment: "main".to_owned(),
        payer,
        params: Params::copy_from_slice(&open_block.to_be_bytes()),
        facts,
        agreed_close: None,
    };
    let voucher = Some((Amount::new(30), signature()));
    (channel, Epoch { authorised: Amount::new(30), spent: Amount::new(30), voucher, ..Epoch::default() })
}

fn details(channel: &Channel, epoch: &Epoch) -> Value {
    let pending = [(B256::repeat_byte(5), Amount::new(7))];
    let details = Details {
        deployment: &deployment(),
        channel,
        epoch,
        created_at: Duration::from_millis(1_500),
        changed_at: Duration::from_millis(2_500),
        pending: &pending,
    };
    let (status, body) = said(&RDN.reply(&Reply::Shown(Some(&details))));
    assert_eq!(status, 200);
    body
}

#[test]
fn owns_the_rest_interface_and_nothing_else() {
    for path in ["/api/1", "/api/1/", "/api/1/channels/0x0/1", "/cm"] {
        assert!(RDN.owns(path), "{path}");
    }
    for path in ["/", "/api", "/api/10", "/api/2/x", "/x/api/1", "/cmx"] {
        assert!(!RDN.owns(path), "{path}");
    }
}

#[test]
fn every_path_of_the_original_is_a_question() {
    let opening = || raiden::opening(SENDER.parse().unwrap(), 37);
    assert_eq!(get("/stats"), Ok(Command::Statistics { deployment: None }));
    assert_eq!(get("/stats?deployment=gold"), Ok(Command::Statistics { deployment: Some("gold".to_owned()) }));
    assert_eq!(get(&format!("/channels/{SENDER}/37")), Ok(Command::Show(opening())));
    assert_eq!(get("/login"), Ok(Command::Operate(Operation::LogIn)));
    assert_eq!(get("/logout"), Ok(Command::Operate(Operation::LogOut)));
    assert_eq!(get("/admin"), Ok(Command::Operate(Operation::Greet)));
    let forced = ask(Method::DELETE, &format!("/api/1/admin/channels/{SENDER}/37"), "");
    assert_eq!(forced, Ok(Command::Operate(Operation::Close(opening()))));
    assert_eq!(answered(ask(Method::GET, "/cm", "")), (200, json!("OK")));
}

#[test]
fn channels_are_listed_by_status_open_unless_told_otherwise() {
    let all = |open| Ok(Command::List(Listing { open, ..listing() }));
    assert_eq!(get("/channels/"), all(Some(true)));
    for (status, open) in [("open", Some(true)), ("opened", Some(true)), ("closed", Some(false)), ("all", None)] {
        assert_eq!(get(&format!("/channels/?status={status}")), all(open), "{status}");
    }
    let (status, body) = answered(get("/channels/?status=bogus"));
    assert_eq!(status, 400);
    assert!(body["message"]["status"].is_string(), "{body}");
}

#[test]
fn a_sender_s_channels_are_listed_and_what_is_no_address_lists_all() {
    let payer = Some(SENDER.parse().unwrap());
    let of_sender = Ok(Command::List(Listing { payer, open: None, ..listing() }));
    assert_eq!(get(&format!("/channels/{SENDER}?status=all")), of_sender);
    assert_eq!(get(&format!("/channels/{}?status=all", SENDER.to_lowercase())), of_sender);
    assert_eq!(get("/channels/somebody"), Ok(Command::List(listing())));
}

#[test]
fn channels_without_a_slash_move_there_with_308() {
    let answer = ask(Method::GET, "/api/1/channels?status=all", "").unwrap_err();
    assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(answer.headers["location"], "/api/1/channels/?status=all");
}

#[test]
fn an_unknown_path_is_404_as_json() {
    for path in ["", "/", "/nothing", "/stats/", "/channels/x/y", "/channels/x/-1", "/channels/x/1/2", "/admin/x"] {
        assert_eq!(answered(get(path)), (404, json!({ "message": "Not found" })), "{path}");
    }
}

#[test]
fn an_undefined_method_is_405_with_a_message_and_options_says_which_are_defined() {
    for (path, allowed) in [
        ("/stats", "GET, HEAD, OPTIONS"),
        ("/channels/", "GET, HEAD, OPTIONS"),
        ("/channels/0x0", "GET, HEAD, OPTIONS"),
        ("/channels/0x0/1", "GET, DELETE, HEAD, OPTIONS"),
        ("/admin/channels/0x0/1", "DELETE, OPTIONS"),
        ("/login", "GET, HEAD, OPTIONS"),
    ] {
        let uri = format!("/api/1{path}");
        let answer = ask(Method::PATCH, &uri, "").unwrap_err();
        assert_eq!(answer.headers["allow"], allowed, "{path}");
        let (status, body) = said(&answer);
        assert!(status == 405 && body["message"].is_string(), "{path}: {status} {body}");
        let answer = ask(Method::OPTIONS, &uri, "").unwrap_err();
        assert_eq!((answer.status, &answer.headers["allow"]), (StatusCode::OK, &allowed.parse().unwrap()), "{path}");
    }
    assert_eq!(ask(Method::HEAD, "/api/1/stats", ""), get("/stats"));
}

#[test]
fn a_channel_that_cannot_be_is_404_with_the_original_s_words() {
    let words = (404, json!("Sender address not found"));
    assert_eq!(answered(get("/channels/somebody/37")), words);
    assert_eq!(answered(get(&format!("/channels/{SENDER}/4294967296"))), words);
    assert_eq!(said(&RDN.reply(&Reply::Shown(None))), words);
}

#[test]
fn reads_the_final_balance_from_form_json_or_query() {
    let expected = |amount: &str| {
        let opening = raiden::opening(SENDER.parse().unwrap(), 37);
        Ok(Command::Close { opening, amount: amount.parse().unwrap() })
    };
    assert_eq!(close("", "balance=15"), expected("15"));
    assert_eq!(close("", "a=b&balance=15&c"), expected("15"));
    assert_eq!(close("", r#"{"balance": 15}"#), expected("15"));
    assert_eq!(close("", r#"{"balance": "15", "x": null}"#), expected("15"));
    assert_eq!(close("", r#"{"balance": 100000000000000000000}"#), expected("100000000000000000000"));
    assert_eq!(close("?balance=15", ""), expected("15"));
}

#[test]
fn a_close_without_a_balance_or_with_a_strange_one_is_400() {
    let missing = (400, json!("Bad balance format"));
    assert_eq!(answered(close("", "")), missing);
    assert_eq!(answered(close("?x=1", "{}")), missing);
    let strange = (400, json!({ "message": { "balance": "last balance proof balance" } }));
    assert_eq!(answered(close("", "balance=-1")), strange);
    assert_eq!(answered(close("", r#"{"balance": 1.5}"#)), strange);
    let nobody = ask(Method::DELETE, "/api/1/channels/somebody/37", "balance=1");
    assert_eq!(answered(nobody), (400, json!("Invalid sender address")));
}

#[test]
fn a_closing_signature_is_hex_with_v_27_or_28() {
    let (status, body) = said(&RDN.reply(&Reply::Closed(Ok(&signature()))));
    let expected = hex::encode_prefixed(signature().as_bytes());
    assert_eq!((status, &body["close_signature"]), (200, &json!(expected)));
    assert!(expected.ends_with("1b") || expected.ends_with("1c"));
}

#[test]
fn a_refused_close_is_400_in_the_original_s_words() {
    for (refusal, words) in [
        (CloseRefusal::NotOpen, "Channel does not exist or has been closed"),
        (CloseRefusal::AgreedOtherwise { agreed: Amount::ZERO }, "Channel closing has been requested already."),
        (
            CloseRefusal::Amount { least: Amount::ZERO, most: Amount::ZERO },
            "Requested closing balance does not match latest one.",
        ),
    ] {
        assert_eq!(said(&RDN.reply(&Reply::Closed(Err(&refusal)))), (400, json!(words)));
    }
}

#[test]
fn statistics_have_every_field_of_the_original_and_numbers_of_any_size() {
    let deployment = deployment();
    let totals =
        Totals { open: 3, closing: 2, payers: 4, deposit: Amount::MAX, authorised: Amount::new(9_007_199_254_740_993) };
    let balance = Some((Amount::new(5), Duration::from_millis(1_234_567)));
    let statistics = Statistics { deployment: &deployment, erc223: true, totals, balance, synced: Some(99) };
    let answer = RDN.reply(&Reply::Statistics(&statistics));
    let text = std::str::from_utf8(&answer.body).unwrap();
    for number in [
        "\"balance_sum\":9007199254740993,",
        "\"deposit_sum\":340282366920938463463374607431768211455,",
        "\"open_channels\":3,",
        "\"pending_channels\":2,",
        "\"unique_senders\":4,",
        "\"liquid_balance\":5,",
        "\"liquid_balance_at\":1234,",
        "\"sync_block\":12,",
        "\"synced_block\":99",
    ] {
        assert!(text.contains(number), "{number} is missing in {text}");
    }
    let stats: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(stats["token_address"], "0x5FbDB2315678afecb367f032d93F642f64180aa3");
    assert_eq!(stats["contract_address"], "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512");
    assert_eq!(stats["receiver_address"], "0x08c86B491A37C2FFC25072a17c7A97EF2D0357dd");
    // Clients filter logs by these names.
    let created = stats["manager_abi"].as_array().unwrap().iter().find(|entry| entry["name"] == "ChannelCreated");
    let names: Vec<_> = created.unwrap()["inputs"].as_array().unwrap().iter().map(|input| &input["name"]).collect();
    assert_eq!(names, ["_sender_address", "_receiver_address", "_deposit"]);
}

#[test]
fn the_abi_of_the_token_says_whether_transfers_carry_data() {
    let deployment = deployment();
    for erc223 in [true, false] {
        let totals = Totals::default();
        let statistics = Statistics { deployment: &deployment, erc223, totals, balance: None, synced: None };
        let (_, stats) = said(&RDN.reply(&Reply::Statistics(&statistics)));
        let transfers = stats["token_abi"].as_array().unwrap().iter().filter(|entry| entry["name"] == "transfer");
        assert_eq!(transfers.count(), if erc223 { 2 } else { 1 });
        assert!(stats["liquid_balance"].is_null() && stats["liquid_balance_at"].is_null());
    }
}

#[test]
fn all_channels_are_listed_by_sender_and_a_sender_s_one_by_one() {
    let closing = Status::Closing { requested: Amount::new(30), deadline: Deadline::Block(600) };
    let channels = [channel(1, 7, Status::Open), channel(1, 8, closing), channel(2, 9, Status::Open)];
    let (one, other) = (channels[0].0.payer, channels[2].0.payer);
    let page = |listing: &Listing, channels| said(&RDN.reply(&Reply::Listed(&Page { listing, channels, more: false })));
    let expected = json!([
        { "sender_address": one.to_checksum(None), "blocks": [7, 8] },
        { "sender_address": other.to_checksum(None), "blocks": [9] },
    ]);
    assert_eq!(page(&listing(), &channels), (200, expected));
    let of_one = Listing { payer: Some(one), ..listing() };
    let shown = |block: u32, state: &str| {
        let sender = one.to_checksum(None);
        json!({ "sender_address": sender, "open_block": block, "state": state, "deposit": 100, "balance": 30 })
    };
    assert_eq!(page(&of_one, &channels[..2]), (200, json!([shown(7, "open"), shown(8, "closed")])));
    assert_eq!(page(&of_one, &[]), (200, json!([])));
}

#[test]
fn a_page_links_to_the_next_one_which_is_asked_for_by_that_link() {
    let channels = [channel(1, 7, Status::Open)];
    for listing in [
        listing(),
        Listing { open: None, deployment: Some("gold".to_owned()), ..listing() },
        Listing { open: Some(false), payer: Some(SENDER.parse().unwrap()), ..listing() },
    ] {
        let answer = RDN.reply(&Reply::Listed(&Page { listing: &listing, channels: &channels, more: true }));
        let link = answer.headers["link"].to_str().unwrap();
        let target = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        let next = Listing { after: Some(channels[0].0.id), ..listing };
        assert_eq!(ask(Method::GET, target, ""), Ok(Command::List(next)));
    }
    let (status, body) = answered(get("/channels/?after=7"));
    assert!(status == 400 && body["message"]["after"].is_string(), "{status} {body}");
}

#[test]
fn a_channel_has_every_field_of_the_original_but_never_the_signature() {
    let (mut channel, epoch) = channel(1, 37, Status::Open);
    let mut expected = json!({
        "receiver": "0x08c86B491A37C2FFC25072a17c7A97EF2D0357dd",
        "sender": channel.payer.to_checksum(None),
        "deposit": 100,
        "open_block_number": 37,
        "balance": 30,
        "state": 0,
        "last_signature": null,
        "settle_timeout": -1,
        "ctime": 1.5,
        "mtime": 2.5,
        "confirmed": 1,
        "unconfirmed_topups": { B256::repeat_byte(5).to_string(): 7 },
    });
    assert_eq!(details(&channel, &epoch), expected);
    channel.agreed_close = Some(Amount::new(30));
    expected["state"] = 1.into();
    assert_eq!(details(&channel, &epoch), expected);
    // Closing for less than is owed, until that is answered.
    for (requested, state) in [(30, 1), (29, 2)] {
        channel.facts.status = Status::Closing { requested: Amount::new(requested), deadline: Deadline::Block(600) };
        (expected["state"], expected["settle_timeout"]) = (state.into(), 600.into());
        assert_eq!(details(&channel, &epoch), expected);
    }
}

#[test]
fn the_operator_is_answered_in_the_original_s_words() {
    let opening = raiden::opening(SENDER.parse().unwrap(), 37);
    assert_eq!(said(&RDN.reply(&Reply::LoggedIn { token: "abc" })), (200, json!({ "token": "abc" })));
    assert_eq!(said(&RDN.reply(&Reply::LoggedOut)), (200, json!("OK")));
    assert_eq!(said(&RDN.reply(&Reply::Greeted)), (200, json!("NOTHING TO SEE HERE, GO AWAY")));
    let closed = (200, json!(format!("force closed ({SENDER}, 37)")));
    assert_eq!(said(&RDN.reply(&Reply::ForceClosed(&opening))), closed);
    let unauthorized = RDN.reply(&Reply::Unauthorized);
    assert_eq!(unauthorized.status, StatusCode::UNAUTHORIZED);
    assert!(unauthorized.headers["www-authenticate"].to_str().unwrap().starts_with("Basic "));
}
