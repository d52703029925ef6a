//! withdraw.

use alloy_primitives::{Bytes, U256};
use anyhow::Result;
use channel::Amount;
use contracts::raiden::{self, Raiden, abi};
use contracts::{Contract, SolCall};

use crate::behaviours;
use crate::world::{World, n};

behaviours! {
    a_withdrawal_pays_the_difference_and_leaves_the_channel_open,
    what_the_wallet_sends_as_a_claim_is_a_withdrawal,
    a_withdrawal_stays_within_the_deposit,
    a_withdrawal_needs_more_than_was_withdrawn,
    only_the_payee_may_withdraw,
    a_withdrawal_needs_the_payers_proof_of_this_very_balance,
    nothing_is_withdrawn_once_a_close_was_requested,
    nothing_is_withdrawn_from_a_channel_that_is_gone,
}

async fn a_withdrawal_pays_the_difference_and_leaves_the_channel_open(w: &World) -> Result<()> {
    let payee = w.payee.address();
    let block = w.open(n(100)).await?;
    let before = w.tokens().await?;
    let mut withdrawn = 0;
    for balance in [1, 40, 100] {
        let paid = n(balance - withdrawn);
        let mined = w.accepts(payee, w.withdraw(block, n(balance))).await?;
        let event = w.log(abi::ChannelWithdraw {
            _sender_address: w.payer.address(),
            _receiver_address: payee,
            _open_block_number: block,
            _withdrawn_balance: paid,
        });
        assert_eq!(mined.logs, [w.transfer(w.channels, payee, paid), event]);

        let total = U256::from(balance);
        assert_eq!(w.tokens().await?, [before[0], before[1] + total, before[2] - total]);
        assert_eq!(w.says(abi::withdrawn_balancesCall(w.key(block))).await?, n(balance));
        let info = w.channel(block).await?.expect("the channel stays");
        assert_eq!((info.deposit, info.withdrawn, info.settle_block), (n(100), n(balance), None));
        withdrawn = balance;
    }
    Ok(())
}

/// By the calldata of the crate `contracts`: asked first, as a wallet does, and then sent.
async fn what_the_wallet_sends_as_a_claim_is_a_withdrawal(w: &World) -> Result<()> {
    let payee = w.payee.address();
    let block = w.open(n(100)).await?;
    let opening = raiden::opening(w.payer.address(), block);
    let before = w.tokens().await?;
    for amount in [40, 100] {
        let digest = raiden::balance_proof_digest(w.channels, payee, block, n(amount));
        let data = Raiden.claim(&opening, Amount::new(amount), &w.payer.sign(digest))?;
        assert_eq!(data, Bytes::from(w.withdraw(block, n(amount)).abi_encode()));
        let mined = w.chain.send(payee, Some(w.channels), data.clone()).await?;
        mined.map_err(|reverted| anyhow::anyhow!("refused: {:?}", reverted.reason))?;
        assert_eq!(w.says(abi::withdrawn_balancesCall(w.key(block))).await?, n(amount));
        // A claim that comes twice takes nothing.
        let again = w.chain.send(payee, Some(w.channels), data).await?;
        let again = again.err().ok_or_else(|| anyhow::anyhow!("it was paid twice"))?;
        w.for_this_reason(&again, "balance withdrawn already")?;
    }
    assert_eq!(w.tokens().await?[1], before[1] + U256::from(100));
    assert!(w.channel(block).await?.is_some(), "it stays open");
    Ok(())
}

async fn a_withdrawal_stays_within_the_deposit(w: &World) -> Result<()> {
    let payee = w.payee.address();
    let block = w.open(n(100)).await?;
    w.refuses(payee, w.withdraw(block, n(101)), "balance above the deposit").await?;
    w.accepts(w.payer.address(), w.top_up(block, n(1))).await?;
    w.accepts(payee, w.withdraw(block, n(101))).await?;
    Ok(())
}

async fn a_withdrawal_needs_more_than_was_withdrawn(w: &World) -> Result<()> {
    let payee = w.payee.address();
    let block = w.open(n(100)).await?;
    w.refuses(payee, w.withdraw(block, n(0)), "balance withdrawn already").await?;
    w.accepts(payee, w.withdraw(block, n(40))).await?;
    w.refuses(payee, w.withdraw(block, n(40)), "balance withdrawn already").await?;
    w.refuses(payee, w.withdraw(block, n(39)), "balance withdrawn already").await?;
    w.accepts(payee, w.withdraw(block, n(41))).await?;
    Ok(())
}

async fn only_the_payee_may_withdraw(w: &World) -> Result<()> {
    let block = w.open(n(100)).await?;
    // With another caller the proof recovers to another sender, who has no channel.
    for other in [w.payer.address(), w.stranger.address()] {
        w.refuses(other, w.withdraw(block, n(40)), "no such channel").await?;
    }
    w.accepts(w.payee.address(), w.withdraw(block, n(40))).await?;
    Ok(())
}

async fn a_withdrawal_needs_the_payers_proof_of_this_very_balance(w: &World) -> Result<()> {
    let payee = w.payee.address();
    let block = w.open(n(100)).await?;
    let with = |_balance_msg_sig| abi::withdrawCall { _balance_msg_sig, ..w.withdraw(block, n(40)) };
    w.refuses(payee, with(w.proof(block, n(39))), "no such channel").await?;
    w.refuses(payee, with(w.proof(block + 1, n(40))), "no such channel").await?;
    w.refuses(payee, with(w.closing(block, n(40))), "no such channel").await?;
    let digest = raiden::balance_proof_digest(w.channels, payee, block, n(40));
    let by_stranger = Bytes::copy_from_slice(w.stranger.sign(digest).as_bytes());
    w.refuses(payee, with(by_stranger), "no such channel").await?;
    w.refuses(payee, with(Bytes::new()), "signature is not 65 bytes").await?;
    w.refuses(payee, with(Bytes::from([0; 65])), "not a signature").await?;
    let elsewhere = abi::withdrawCall { _open_block_number: block + 1, ..w.withdraw(block, n(40)) };
    w.refuses(payee, elsewhere, "no such channel").await?;
    w.accepts(payee, with(w.proof(block, n(40)))).await?;
    Ok(())
}

async fn nothing_is_withdrawn_once_a_close_was_requested(w: &World) -> Result<()> {
    let payee = w.payee.address();
    let block = w.open(n(100)).await?;
    w.accepts(payee, w.withdraw(block, n(10))).await?;
    w.ask_to_close(block, n(40)).await?;
    w.refuses(payee, w.withdraw(block, n(40)), "a close was requested").await
}

async fn nothing_is_withdrawn_from_a_channel_that_is_gone(w: &World) -> Result<()> {
    let payee = w.payee.address();
    let block = w.open(n(100)).await?;
    w.accepts(payee, w.close_together(block, n(10))).await?;
    w.refuses(payee, w.withdraw(block, n(40)), "no such channel").await
}
