//! Every selector and every event signature, as the original contract has them.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, U256, b256};
use contracts::artifacts::{self, Artifact};
use contracts::raiden::abi;
use contracts::{SolCall, SolEvent};
use serde_json::Value;

#[test]
fn every_function_has_the_selector_of_the_original() {
    let table: [(&str, [u8; 4], &str); 24] = [
        ("a6d15963", abi::createChannelCall::SELECTOR, "createChannel"),
        ("fcff5ed6", abi::createChannelDelegateCall::SELECTOR, "createChannelDelegate"),
        ("016a8cf6", abi::topUpCall::SELECTOR, "topUp"),
        ("79694f08", abi::topUpDelegateCall::SELECTOR, "topUpDelegate"),
        ("c0ee0b8a", abi::tokenFallbackCall::SELECTOR, "tokenFallback"),
        ("a6b7fa36", abi::withdrawCall::SELECTOR, "withdraw"),
        ("1c6f609b", abi::cooperativeCloseCall::SELECTOR, "cooperativeClose"),
        ("323cb59b", abi::uncooperativeCloseCall::SELECTOR, "uncooperativeClose"),
        ("5a8e9d66", abi::settleCall::SELECTOR, "settle"),
        ("0eba6b06", abi::getChannelInfoCall::SELECTOR, "getChannelInfo"),
        ("1ac25e99", abi::extractBalanceProofSignatureCall::SELECTOR, "extractBalanceProofSignature"),
        ("1d8ceb44", abi::extractClosingSignatureCall::SELECTOR, "extractClosingSignature"),
        ("803c8383", abi::getKeyCall::SELECTOR, "getKey"),
        ("8c76b4b7", abi::addTrustedContractsCall::SELECTOR, "addTrustedContracts"),
        ("1f52cc35", abi::removeTrustedContractsCall::SELECTOR, "removeTrustedContracts"),
        ("0a00840c", abi::challenge_periodCall::SELECTOR, "challenge_period"),
        ("54fd4d50", abi::versionCall::SELECTOR, "version"),
        ("fc0c546a", abi::tokenCall::SELECTOR, "token"),
        ("80edef8e", abi::owner_addressCall::SELECTOR, "owner_address"),
        ("6108b5ff", abi::channel_deposit_bugbounty_limitCall::SELECTOR, "channel_deposit_bugbounty_limit"),
        ("7a7ebd7b", abi::channelsCall::SELECTOR, "channels"),
        ("77c13323", abi::closing_requestsCall::SELECTOR, "closing_requests"),
        ("990030cc", abi::trusted_contractsCall::SELECTOR, "trusted_contracts"),
        ("22a3eab5", abi::withdrawn_balancesCall::SELECTOR, "withdrawn_balances"),
    ];
    for (expected, selector, name) in table {
        assert_eq!(alloy_primitives::hex::encode(selector), expected, "{name}");
    }
    let functions = names(&artifacts::CHANNELS, "function");
    assert_eq!(functions, table.iter().map(|(_, _, name)| (*name).to_owned()).collect::<BTreeSet<_>>());
}

#[test]
fn every_event_has_the_signature_of_the_original() {
    let table: [(B256, B256, &str); 6] = [
        (
            b256!("986876e67d288f7b8bc5229976a1d5710be919feb66d2e1aec1bf3eadebba207"),
            abi::ChannelCreated::SIGNATURE_HASH,
            "ChannelCreated",
        ),
        (
            b256!("283bcbed58779cdfe40c216a69673863430a43dbf7fe557730c0498890e55126"),
            abi::ChannelToppedUp::SIGNATURE_HASH,
            "ChannelToppedUp",
        ),
        (
            b256!("960e55a871be40c817ffd64e2117c513e42f047ccfdcbc5454e68dfc65e9a9b0"),
            abi::ChannelCloseRequested::SIGNATURE_HASH,
            "ChannelCloseRequested",
        ),
        (
            b256!("5f32714de7650ec742b858687d8db145623b99b0748db73df3ffc4d718867a8d"),
            abi::ChannelSettled::SIGNATURE_HASH,
            "ChannelSettled",
        ),
        (
            b256!("e588a2bb9921c62e0da981f10952a3bb82216bf11a1f731da610fd2542eef27d"),
            abi::ChannelWithdraw::SIGNATURE_HASH,
            "ChannelWithdraw",
        ),
        (
            b256!("e2ad9d0600e2a93ef46991efd2c22f65f9ebe472487cc7551647bc52d7932899"),
            abi::TrustedContract::SIGNATURE_HASH,
            "TrustedContract",
        ),
    ];
    for (expected, topic, name) in table {
        assert_eq!(topic, expected, "{name}");
    }
    let events = names(&artifacts::CHANNELS, "event");
    assert_eq!(events, table.iter().map(|(_, _, name)| (*name).to_owned()).collect::<BTreeSet<_>>());
}

#[test]
fn events_keep_the_argument_names_that_clients_filter_by() {
    let all = artifacts::CHANNELS.abi.as_array().unwrap();
    let event = all.iter().find(|entry| entry["name"] == "ChannelSettled").unwrap();
    let names: Vec<_> = event["inputs"].as_array().unwrap().iter().map(|input| &input["name"]).collect();
    let expected =
        ["_sender_address", "_receiver_address", "_open_block_number", "_balance", "_receiver_tokens"].map(Value::from);
    assert_eq!(names, expected.iter().collect::<Vec<_>>());
}

#[test]
fn the_token_speaks_erc20_erc223_and_authorisations() {
    let functions = names(&artifacts::TEST_TOKEN, "function");
    let expected = [
        "balanceOf",
        "approve",
        "transfer",
        "transferFrom",
        "permit",
        "transferWithAuthorization",
        "receiveWithAuthorization",
        "cancelAuthorization",
        "mint",
    ];
    for name in expected {
        assert!(functions.contains(name), "{name} is missing");
    }
}

#[test]
fn a_deployment_is_bytecode_and_arguments() {
    let arguments = artifacts::channels_arguments(Address::repeat_byte(7), 500, &[Address::repeat_byte(8)]);
    let words = [
        Address::repeat_byte(7).into_word(),
        U256::from(500).into(),
        U256::from(96).into(),
        U256::from(1).into(),
        Address::repeat_byte(8).into_word(),
    ];
    assert_eq!(arguments, words.concat());

    let data = artifacts::CHANNELS.deploy(&arguments);
    assert!(data.len() > 5_000 && data.starts_with(&artifacts::CHANNELS.bytecode) && data.ends_with(&arguments));
}

#[test]
fn token_arguments_are_four_words_and_two_texts() {
    let arguments = artifacts::token_arguments(U256::from(1_000), "Sluice Test", "SLT", 18);
    let text = |text: &str| {
        let mut padded = [0; 32];
        padded[..text.len()].copy_from_slice(text.as_bytes());
        [U256::from(text.len()).into(), B256::from(padded)]
    };
    let head = [1_000, 128, 192, 18].map(|word| B256::from(U256::from(word)));
    assert_eq!(arguments, [head.as_slice(), &text("Sluice Test"), &text("SLT")].concat().concat());
}

fn names(artifact: &Artifact, kind: &str) -> BTreeSet<String> {
    let entries = artifact.abi.as_array().expect("an ABI is a list").iter();
    let name = |entry: &Value| entry["name"].as_str().expect("functions and events have names").to_owned();
    entries.filter(|entry| entry["type"] == kind).map(name).collect()
}
