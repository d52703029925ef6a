//! The original client's own signatures, see `vectors/raiden.json`.

use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, B256, Bytes, U256, b256, keccak256};
use channel::{Amount, ChannelId, Key, Signature};
use contracts::raiden::{self, Raiden};
use contracts::{Contract, Deployment, Opening};
use serde::Deserialize;

use crate::deployment;

#[derive(Deserialize)]
struct File {
    sender_key: B256,
    sender: Address,
    receiver_key: B256,
    receiver: Address,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    contract: Address,
    block: u32,
    balance: U192,
    packed_data: Bytes,
    data_hash: B256,
    hash: B256,
    sig: Bytes,
    close_packed: Bytes,
    close_hash: B256,
    close_sig: Bytes,
    channel_key: B256,
}

fn file() -> File {
    let file: File =
        serde_json::from_str(include_str!("../../vectors/raiden.json")).expect("it is committed in this form");
    assert_eq!(file.vectors.len(), 3);
    file
}

fn key(bytes: B256) -> Key {
    Key::from_bytes(&bytes.0).expect("the vectors hold valid keys")
}

#[test]
fn digests_are_those_of_the_original_client() {
    let file = file();
    for v in &file.vectors {
        assert_eq!(raiden::balance_proof_digest(v.contract, file.receiver, v.block, v.balance), v.hash);
        assert_eq!(raiden::closing_digest(v.contract, file.sender, v.block, v.balance), v.close_hash);
    }
}

#[test]
fn digests_are_over_the_packed_preimages_of_the_original_client() {
    for v in &file().vectors {
        assert_eq!(keccak256(&v.packed_data), v.data_hash);
        let schema = b256!("58609bfe78970060668532972d17b7dead82d88aa62966110094cd806a421d9c");
        assert_eq!(keccak256([schema, v.data_hash].concat()), v.hash);
        let schema = b256!("9d3122a6193f337abb0b13a1e6d57b164a6acb15d825b38a5bd2e66af512f09f");
        assert_eq!(keccak256([schema, keccak256(&v.close_packed)].concat()), v.close_hash);
    }
}

#[test]
fn signatures_are_those_of_the_original_client() {
    let file = file();
    let (sender, receiver) = (key(file.sender_key), key(file.receiver_key));
    assert_eq!((sender.address(), receiver.address()), (file.sender, file.receiver));
    for v in &file.vectors {
        assert_eq!(sender.sign(v.hash).as_bytes().as_slice(), v.sig.as_ref());
        assert_eq!(receiver.sign(v.close_hash).as_bytes().as_slice(), v.close_sig.as_ref());
        assert_eq!(Signature::parse(&v.sig).unwrap().recover(v.hash), Ok(file.sender));
        assert_eq!(Signature::parse(&v.close_sig).unwrap().recover(v.close_hash), Ok(file.receiver));
    }
}

#[test]
fn channel_keys_are_those_of_the_original_contract() {
    let file = file();
    for v in &file.vectors {
        assert_eq!(raiden::key(file.sender, file.receiver, v.block), v.channel_key);
    }
}

#[test]
fn the_trait_says_what_the_vectors_say_for_amounts_of_the_ledger() {
    let file = file();
    for v in &file.vectors {
        let Ok(amount) = Amount::try_from(U256::from(v.balance)) else { continue };
        let deployment = Deployment { contract: v.contract, payee: file.receiver, ..deployment() };
        let opening = raiden::opening(file.sender, v.block);
        assert_eq!(Raiden.digest(&deployment, &opening, amount), v.hash);
        assert_eq!(Raiden.closing_digest(&deployment, &opening, amount), v.close_hash);

        let chain_id = U256::from(deployment.chain_id).to_be_bytes::<32>();
        let preimage = [&chain_id, v.contract.as_slice(), v.channel_key.as_slice()].concat();
        assert_eq!(Raiden.channel_id(&deployment, &opening), ChannelId(keccak256(preimage)));
    }
}

#[test]
fn the_last_vector_is_too_wide_for_the_ledger() {
    let widest = file().vectors[2].balance;
    assert_eq!(widest, U192::MAX);
    assert!(Amount::try_from(U256::from(widest)).is_err());
}

#[test]
fn a_channel_has_another_id_on_another_chain_contract_payee_payer_or_block() {
    let base = deployment();
    let opening = raiden::opening(crate::PAYER, 37);
    let elsewhere = [
        Deployment { chain_id: 101, ..base.clone() },
        Deployment { contract: base.token, ..base.clone() },
        Deployment { payee: base.token, ..base.clone() },
    ];
    let mut ids: Vec<_> = elsewhere.iter().map(|deployment| Raiden.channel_id(deployment, &opening)).collect();
    ids.push(Raiden.channel_id(&base, &opening));
    ids.push(Raiden.channel_id(&base, &raiden::opening(base.token, 37)));
    ids.push(Raiden.channel_id(&base, &raiden::opening(crate::PAYER, 38)));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn params_of_another_length_name_no_channel_of_the_contract() {
    let (base, amount) = (deployment(), Amount::new(15));
    let good = raiden::opening(crate::PAYER, 37);
    for params in [&[][..], &[0, 0, 37], &[0, 0, 0, 37, 0], &[0, 0, 0, 0, 37]] {
        let bad = Opening { params: Bytes::copy_from_slice(params), ..good.clone() };
        assert_ne!(Raiden.digest(&base, &bad, amount), Raiden.digest(&base, &good, amount));
        assert_ne!(Raiden.channel_id(&base, &bad), Raiden.channel_id(&base, &good));
        let error = raiden::open_block(&bad.params).unwrap_err();
        let sentence = format!("a channel's params are 4 bytes for this contract, not {}", params.len());
        assert_eq!(error.to_string(), sentence);
    }
    assert_eq!(raiden::open_block(&good.params).unwrap(), 37);
}
