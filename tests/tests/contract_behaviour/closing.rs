//! cooperativeClose, uncooperativeClose and settle.

use alloy_primitives::{Address, Bytes, U256};
use anyhow::Result;
use channel::Key;
use contracts::raiden::{self, abi};
use contracts::{SolCall, artifacts, token};
use serde_json::{Value, json};

use crate::behaviours;
use crate::chain::{OWNER, created};
use crate::world::{World, n};

behaviours! {
    both_signatures_settle_at_once,
    anybody_may_bring_both_signatures,
    a_close_together_may_pay_nothing_or_all_but_no_more,
    a_close_together_needs_both_signatures_under_this_very_balance,
    a_close_together_pays_what_was_not_withdrawn_yet,
    both_signatures_beat_a_close_request_until_it_is_settled,
    a_close_request_starts_the_challenge_period,
    a_close_request_stays_within_the_deposit,
    a_close_is_requested_once_by_the_payer_of_a_channel,
    a_settlement_waits_for_the_block_after_the_challenge_period,
    only_the_payer_settles_and_only_what_was_requested,
    a_request_below_what_was_withdrawn_can_only_be_closed_together,
    a_challenge_period_may_end_at_the_last_uint32_and_no_later,
    no_close_is_requested_in_blocks_above_uint32,
}

async fn both_signatures_settle_at_once(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let before = w.tokens().await?;
    let block = w.open(n(100)).await?;
    let mined = w.accepts(payer, w.close_together(block, n(30))).await?;
    let expected = [
        w.transfer(w.channels, payee, n(30)),
        w.transfer(w.channels, payer, n(70)),
        w.log_settled(block, n(30), n(30)),
    ];
    assert_eq!(mined.logs, expected);

    let thirty = U256::from(30);
    assert_eq!(w.tokens().await?, [before[0] - thirty, before[1] + thirty, before[2]]);
    gone(w, block).await?;
    w.refuses(payer, w.close_together(block, n(30)), "no such channel").await
}

async fn gone(w: &World, block: u32) -> Result<()> {
    assert_eq!(w.channel(block).await?, None);
    let stored = w.says(abi::channelsCall(w.key(block))).await?;
    assert_eq!((stored.deposit, stored.open_block_number), (n(0), 0));
    let request = w.says(abi::closing_requestsCall(w.key(block))).await?;
    assert_eq!((request.closing_balance, request.settle_block_number), (n(0), 0));
    Ok(())
}

async fn anybody_may_bring_both_signatures(w: &World) -> Result<()> {
    for anybody in [&w.payer, &w.payee, &w.stranger] {
        let block = w.open(n(100)).await?;
        w.accepts(anybody.address(), w.close_together(block, n(30))).await?;
    }
    Ok(())
}

async fn a_close_together_may_pay_nothing_or_all_but_no_more(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    for balance in [0, 100] {
        let block = w.open(n(100)).await?;
        let mined = w.accepts(payer, w.close_together(block, n(balance))).await?;
        // Both transfers happen, also of nothing.
        let expected = [
            w.transfer(w.channels, payee, n(balance)),
            w.transfer(w.channels, payer, n(100 - balance)),
            w.log_settled(block, n(balance), n(balance)),
        ];
        assert_eq!(mined.logs, expected);
    }
    let block = w.open(n(100)).await?;
    w.refuses(payer, w.close_together(block, n(101)), "balance above the deposit").await
}

async fn a_close_together_needs_both_signatures_under_this_very_balance(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let block = w.open(n(100)).await?;
    let with = |_balance_msg_sig, _closing_sig| abi::cooperativeCloseCall {
        _balance_msg_sig,
        _closing_sig,
        ..w.close_together(block, n(30))
    };
    let (proof, closing) = (w.proof(block, n(30)), w.closing(block, n(30)));
    let by = |key: &Key, digest| Bytes::copy_from_slice(key.sign(digest).as_bytes());
    let proof_digest = raiden::balance_proof_digest(w.channels, payee, block, n(30));
    let closing_digest = raiden::closing_digest(w.channels, payer, block, n(30));

    // A proof that recovers to another sender makes the closing signature one for another sender, too.
    let unsigned = "not the receiver's closing signature";
    for bad in [w.proof(block, n(29)), w.proof(block + 1, n(30)), by(&w.stranger, proof_digest), closing.clone()] {
        w.refuses(payer, with(bad, closing.clone()), unsigned).await?;
    }
    let elsewhere = raiden::closing_digest(w.token, payer, block, n(30));
    for bad in [
        w.closing(block, n(29)),
        w.closing(block + 1, n(30)),
        by(&w.payer, closing_digest),
        by(&w.payee, proof_digest),
        by(&w.payee, elsewhere),
        proof.clone(),
    ] {
        w.refuses(payer, with(proof.clone(), bad), unsigned).await?;
    }
    for length in [0, 64, 66] {
        let cut = Bytes::from(vec![27; length]);
        w.refuses(payer, with(cut.clone(), closing.clone()), "signature is not 65 bytes").await?;
        w.refuses(payer, with(proof.clone(), cut), "signature is not 65 bytes").await?;
    }
    w.refuses(payer, with(Bytes::from([0; 65]), closing.clone()), "not a signature").await?;
    w.refuses(payer, with(proof.clone(), Bytes::from([0; 65])), "not a signature").await?;

    // Two good signatures, but of a pair without a channel.
    let of_stranger = raiden::closing_digest(w.channels, w.stranger.address(), block, n(30));
    let strangers = with(by(&w.stranger, proof_digest), by(&w.payee, of_stranger));
    w.refuses(payer, strangers, "no such channel").await?;

    w.accepts(payer, with(proof, closing)).await?;
    Ok(())
}

async fn a_close_together_pays_what_was_not_withdrawn_yet(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    for (balance, rest) in [(30, 10), (20, 0)] {
        let block = w.open(n(100)).await?;
        w.accepts(payee, w.withdraw(block, n(20))).await?;
        w.refuses(payer, w.close_together(block, n(19)), "balance below what was withdrawn").await?;
        let mined = w.accepts(payer, w.close_together(block, n(balance))).await?;
        let expected = [
            w.transfer(w.channels, payee, n(rest)),
            w.transfer(w.channels, payer, n(100 - balance)),
            w.log_settled(block, n(balance), n(rest)),
        ];
        assert_eq!(mined.logs, expected);
        gone(w, block).await?;
        // What was withdrawn is remembered for ever.
        assert_eq!(w.says(abi::withdrawn_balancesCall(w.key(block))).await?, n(20));
    }
    Ok(())
}

async fn both_signatures_beat_a_close_request_until_it_is_settled(w: &World) -> Result<()> {
    let payee = w.payee.address();
    let first = w.open(n(100)).await?;
    let second = w.open(n(100)).await?;
    let third = w.open(n(100)).await?;
    for block in [first, second, third] {
        w.ask_to_close(block, n(10)).await?;
    }
    // Within the challenge period: more than was requested, or less.
    let mined = w.accepts(payee, w.close_together(first, n(30))).await?;
    assert_eq!(mined.logs.last(), Some(&w.log_settled(first, n(30), n(30))));
    gone(w, first).await?;
    let mined = w.accepts(payee, w.close_together(second, n(5))).await?;
    assert_eq!(mined.logs.last(), Some(&w.log_settled(second, n(5), n(5))));

    // After it, as long as the payer did not settle.
    w.chain.anvil.mine(600).await?;
    w.accepts(payee, w.close_together(third, n(30))).await?;
    w.refuses(w.payer.address(), w.settle(third), "no close was requested").await?;

    let settled = w.open(n(100)).await?;
    w.ask_to_close(settled, n(10)).await?;
    w.chain.anvil.mine(600).await?;
    w.accepts(w.payer.address(), w.settle(settled)).await?;
    w.refuses(payee, w.close_together(settled, n(30)), "no such channel").await
}

async fn a_close_request_starts_the_challenge_period(w: &World) -> Result<()> {
    let payer = w.payer.address();
    let block = w.open(n(100)).await?;
    let before = w.tokens().await?;
    let mined = w.accepts(payer, w.close_alone(block, n(30))).await?;
    let event = w.log(abi::ChannelCloseRequested {
        _sender_address: payer,
        _receiver_address: w.payee.address(),
        _open_block_number: block,
        _balance: n(30),
    });
    assert_eq!(mined.logs, [event]);
    assert_eq!(w.tokens().await?, before);

    let settle_block = u32::try_from(mined.block + 500)?;
    let request = w.says(abi::closing_requestsCall(w.key(block))).await?;
    assert_eq!((request.closing_balance, request.settle_block_number), (n(30), settle_block));
    let info = w.channel(block).await?.expect("the channel lives");
    assert_eq!((info.deposit, info.settle_block, info.closing_balance), (n(100), Some(settle_block), n(30)));
    Ok(())
}

async fn a_close_request_stays_within_the_deposit(w: &World) -> Result<()> {
    let payer = w.payer.address();
    let (first, second) = (w.open(n(100)).await?, w.open(n(100)).await?);
    w.refuses(payer, w.close_alone(first, n(101)), "balance above the deposit").await?;
    w.accepts(payer, w.close_alone(first, n(100))).await?;
    w.accepts(payer, w.close_alone(second, n(0))).await?;
    Ok(())
}

async fn a_close_is_requested_once_by_the_payer_of_a_channel(w: &World) -> Result<()> {
    let payer = w.payer.address();
    let block = w.open(n(100)).await?;
    for other in [w.payee.address(), w.stranger.address()] {
        w.refuses(other, w.close_alone(block, n(30)), "no such channel").await?;
    }
    w.refuses(payer, w.close_alone(block + 1, n(30)), "no such channel").await?;
    w.accepts(payer, w.close_alone(block, n(30))).await?;
    w.refuses(payer, w.close_alone(block, n(30)), "a close was requested").await?;
    w.chain.anvil.mine(600).await?;
    w.refuses(payer, w.close_alone(block, n(30)), "a close was requested").await
}

async fn a_settlement_waits_for_the_block_after_the_challenge_period(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let before = w.tokens().await?;
    let block = w.open(n(100)).await?;
    let settle_block = w.ask_to_close(block, n(30)).await?;
    w.refuses(payer, w.settle(block), "challenge period is not over").await?;
    w.chain.anvil.mine(settle_block - w.chain.anvil.head().await? - 1).await?;
    w.refuses(payer, w.settle(block), "challenge period is not over").await?;
    assert_eq!(w.chain.anvil.head().await?, settle_block);

    let mined = w.accepts(payer, w.settle(block)).await?;
    assert_eq!(mined.block, settle_block + 1);
    let expected = [
        w.transfer(w.channels, payee, n(30)),
        w.transfer(w.channels, payer, n(70)),
        w.log_settled(block, n(30), n(30)),
    ];
    assert_eq!(mined.logs, expected);
    let thirty = U256::from(30);
    assert_eq!(w.tokens().await?, [before[0] - thirty, before[1] + thirty, before[2]]);
    gone(w, block).await?;
    w.refuses(payer, w.settle(block), "no close was requested").await
}

async fn only_the_payer_settles_and_only_what_was_requested(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let (open, closing) = (w.open(n(100)).await?, w.open(n(100)).await?);
    w.accepts(payee, w.withdraw(closing, n(20))).await?;
    w.ask_to_close(closing, n(30)).await?;
    w.chain.anvil.mine(600).await?;
    w.refuses(payer, w.settle(open), "no close was requested").await?;
    for other in [payee, w.stranger.address()] {
        w.refuses(other, w.settle(closing), "no close was requested").await?;
    }
    let mined = w.accepts(payer, w.settle(closing)).await?;
    assert_eq!(mined.logs.last(), Some(&w.log_settled(closing, n(30), n(10))));
    Ok(())
}

async fn a_request_below_what_was_withdrawn_can_only_be_closed_together(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let block = w.open(n(100)).await?;
    w.accepts(payee, w.withdraw(block, n(20))).await?;
    w.ask_to_close(block, n(19)).await?;
    w.chain.anvil.mine(600).await?;
    w.refuses(payer, w.settle(block), "balance below what was withdrawn").await?;
    w.accepts(payer, w.close_together(block, n(20))).await?;
    Ok(())
}

/// A contract with another challenge period.
async fn with_period(w: &World, period: u32) -> Result<Address> {
    let arguments = artifacts::channels_arguments(w.token, period, &[]);
    let channels = created(w.chain.deploy(OWNER, &w.contracts.channels, &arguments).await?)?;
    w.token_accepts(w.payer.address(), token::approve(channels, U256::MAX)).await?;
    Ok(channels)
}

async fn a_challenge_period_may_end_at_the_last_uint32_and_no_later(w: &World) -> Result<()> {
    let payer = w.payer.address();
    let last_chance = u32::try_from(w.chain.anvil.head().await?)? + 20;
    let channels = with_period(w, u32::MAX - last_chance).await?;
    let create = abi::createChannelCall { _receiver_address: w.payee.address(), _deposit: n(100) };
    let mut blocks = vec![];
    for _ in 0..2 {
        let mined = w.chain.send(payer, Some(channels), create.abi_encode().into()).await?;
        blocks.push(u32::try_from(mined.expect("the channel opens").block)?);
    }
    w.chain.anvil.mine(u64::from(last_chance) - w.chain.anvil.head().await? - 1).await?;
    let close = |block| w.chain.send(payer, Some(channels), w.close_alone(block, n(30)).abi_encode().into());
    let mined = close(blocks[0]).await?.expect("the period ends in block 2^32 - 1");
    assert_eq!(mined.block, u64::from(last_chance));
    let reverted = close(blocks[1]).await?.expect_err("the period would end in block 2^32");
    w.for_this_reason(&reverted, "challenge period ends above uint32")
}

async fn no_close_is_requested_in_blocks_above_uint32(w: &World) -> Result<()> {
    let block = w.open(n(100)).await?;
    let call = json!({"from": w.payer.address(), "to": w.channels, "data": Bytes::from(w.close_alone(block, n(30)).abi_encode())});
    let at = |number: u64| json!([call, "latest", {}, {"number": format!("{number:#x}")}]);
    let last = u64::from(u32::MAX) - 500;
    w.chain.rpc::<Value>("eth_call", at(last)).await?;
    for beyond in [last + 1, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::from(u32::MAX) + 1_000] {
        assert!(w.chain.rpc::<Value>("eth_call", at(beyond)).await.is_err(), "in block {beyond}");
    }
    Ok(())
}
