//! getChannelInfo, getKey, the two functions that recover signers, and what the contract does not answer at all.

use std::path::Path;

use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, B256, Bytes, U256, address};
use anyhow::{Context, Result};
use channel::Key;
use contracts::raiden::abi;
use serde_json::{Value, json};

use crate::behaviours;
use crate::world::{World, n};

behaviours! {
    a_channel_that_is_not_there_has_no_info,
    a_key_is_the_hash_of_sender_receiver_and_block,
    signers_are_recovered_at_full_width,
    what_is_no_signature_has_no_signer,
    the_original_clients_signatures_recover_to_their_signers,
    ether_and_unknown_calls_are_refused,
}

async fn a_channel_that_is_not_there_has_no_info(w: &World) -> Result<()> {
    let block = w.open(n(100)).await?;
    let info = |sender: Address, receiver: Address, block| abi::getChannelInfoCall {
        _sender_address: sender,
        _receiver_address: receiver,
        _open_block_number: block,
    };
    let (payer, payee) = (w.payer.address(), w.payee.address());
    w.does_not_say(info(payer, payee, block + 1), "no such channel").await?;
    w.does_not_say(info(payee, payer, block), "no such channel").await?;
    w.says(info(payer, payee, block)).await?;

    let unknown = B256::repeat_byte(7);
    assert_eq!(w.says(abi::channelsCall(unknown)).await?.open_block_number, 0);
    assert_eq!(w.says(abi::closing_requestsCall(unknown)).await?.settle_block_number, 0);
    assert_eq!(w.says(abi::withdrawn_balancesCall(unknown)).await?, n(0));
    assert!(!w.says(abi::trusted_contractsCall(payer)).await?);
    Ok(())
}

async fn a_key_is_the_hash_of_sender_receiver_and_block(w: &World) -> Result<()> {
    for block in [0, 37, u32::MAX] {
        let call = abi::getKeyCall {
            _sender_address: w.payer.address(),
            _receiver_address: w.payee.address(),
            _open_block_number: block,
        };
        assert_eq!(w.says(call).await?, w.key(block));
    }
    Ok(())
}

fn proof_of(w: &World, block: u32, balance: U192, signature: Bytes) -> abi::extractBalanceProofSignatureCall {
    abi::extractBalanceProofSignatureCall {
        _receiver_address: w.payee.address(),
        _open_block_number: block,
        _balance: balance,
        _balance_msg_sig: signature,
    }
}

fn closing_of(w: &World, block: u32, balance: U192, signature: Bytes) -> abi::extractClosingSignatureCall {
    abi::extractClosingSignatureCall {
        _sender_address: w.payer.address(),
        _open_block_number: block,
        _balance: balance,
        _closing_sig: signature,
    }
}

async fn signers_are_recovered_at_full_width(w: &World) -> Result<()> {
    for (block, balance) in [(0, n(0)), (37, n(15)), (u32::MAX, U192::MAX)] {
        let signer = w.says(proof_of(w, block, balance, w.proof(block, balance))).await?;
        assert_eq!(signer, w.payer.address());
        let signer = w.says(closing_of(w, block, balance, w.closing(block, balance))).await?;
        assert_eq!(signer, w.payee.address());
        // A proof is no closing signature: it recovers to nobody we know.
        let signer = w.says(closing_of(w, block, balance, w.proof(block, balance))).await?;
        assert!(signer != w.payer.address() && signer != w.payee.address());
    }
    Ok(())
}

async fn what_is_no_signature_has_no_signer(w: &World) -> Result<()> {
    let good = w.proof(37, n(15)).to_vec();
    for length in [0, 1, 64, 66, 96] {
        let mut signature = good.clone();
        signature.resize(length, 27);
        let because = "signature is not 65 bytes";
        w.does_not_say(proof_of(w, 37, n(15), signature.clone().into()), because).await?;
        w.does_not_say(closing_of(w, 37, n(15), signature.into()), because).await?;
    }
    for v in [2, 26, 29, 35, 255] {
        let signature = Bytes::from([&good[..64], &[v]].concat());
        w.does_not_say(proof_of(w, 37, n(15), signature.clone()), "not a signature").await?;
        w.does_not_say(closing_of(w, 37, n(15), signature), "not a signature").await?;
    }
    Ok(())
}

async fn the_original_clients_signatures_recover_to_their_signers(w: &World) -> Result<()> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("shared/contracts/vectors/raiden.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(vectors)?)?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("the vectors hold text");
    let sender: Address = text(&file["sender"])?.parse()?;
    let receiver: Address = text(&file["receiver"])?.parse()?;
    let code: Bytes = w.chain.rpc("eth_getCode", json!([w.channels, "latest"])).await?;
    let mut checked = 0;
    for vector in file["vectors"].as_array().context("the vectors are a list")? {
        let contract: Address = text(&vector["contract"])?.parse()?;
        // Where a precompile lives no code can.
        if contract == address!("0000000000000000000000000000000000000001") {
            continue;
        }
        w.chain.rpc::<Value>("anvil_setCode", json!([contract, code])).await?;
        let block = u32::try_from(vector["block"].as_u64().context("a block is a number")?)?;
        let balance: U192 = text(&vector["balance"])?.parse()?;
        let proof = abi::extractBalanceProofSignatureCall {
            _receiver_address: receiver,
            ..proof_of(w, block, balance, text(&vector["sig"])?.parse()?)
        };
        assert_eq!(w.chain.ask(contract, &proof).await?, Ok(sender));
        let closing = abi::extractClosingSignatureCall {
            _sender_address: sender,
            ..closing_of(w, block, balance, text(&vector["close_sig"])?.parse()?)
        };
        assert_eq!(w.chain.ask(contract, &closing).await?, Ok(receiver));
        checked += 1;
    }
    assert_eq!(checked, 2);
    Ok(())
}

async fn ether_and_unknown_calls_are_refused(w: &World) -> Result<()> {
    let payer = w.payer.address();
    for data in [Bytes::new(), Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef]), Bytes::from_static(&[0xa6])] {
        let outcome = w.chain.send(payer, Some(w.channels), data).await?;
        assert!(outcome.is_err(), "{outcome:?}");
    }
    let key = Key::from_bytes(&[9; 32]).context("32 equal bytes are a key")?;
    w.chain.fund(key.address()).await?;
    let value = json!([{"from": key.address(), "to": w.channels, "value": "0x1", "gas": "0x186a0"}]);
    let hash: B256 = w.chain.rpc("eth_sendTransaction", value).await?;
    w.chain.anvil.mine(1).await?;
    assert!(w.chain.outcome(hash).await?.is_err());
    let balance: U256 = w.chain.rpc("eth_getBalance", json!([w.channels, "latest"])).await?;
    assert_eq!(balance, U256::ZERO);
    Ok(())
}
