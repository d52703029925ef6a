//! topUp, topUpDelegate and the 44 bytes of tokenFallback.

use alloy_primitives::aliases::U192;
use alloy_primitives::{Bytes, U256};
use anyhow::Result;
use contracts::raiden::{self, abi};
use contracts::token;

use crate::behaviours;
use crate::world::{World, limit, n};

behaviours! {
    a_top_up_adds_to_the_deposit,
    a_top_up_adds_something,
    a_top_up_needs_a_channel_of_the_caller,
    a_channel_is_topped_up_to_the_limit_and_no_further,
    a_top_up_takes_an_allowance,
    nothing_is_added_once_a_close_was_requested,
    an_erc223_transfer_with_44_bytes_tops_up,
    a_trusted_contract_tops_up_for_others,
}

async fn a_top_up_adds_to_the_deposit(w: &World) -> Result<()> {
    let payer = w.payer.address();
    let block = w.open(n(100)).await?;
    let before = w.tokens().await?;
    let mined = w.accepts(payer, w.top_up(block, n(7))).await?;
    assert_eq!(mined.logs, [w.log_topped_up(block, n(7)), w.transfer(payer, w.channels, n(7))]);
    assert_eq!(w.channel(block).await?.map(|info| info.deposit), Some(n(107)));
    let seven = U256::from(7);
    assert_eq!(w.tokens().await?, [before[0] - seven, before[1], before[2] + seven]);

    let stored = w.says(abi::channelsCall(w.key(block))).await?;
    assert_eq!((stored.deposit, stored.open_block_number), (n(107), block));
    Ok(())
}

async fn a_top_up_adds_something(w: &World) -> Result<()> {
    let block = w.open(n(100)).await?;
    w.refuses(w.payer.address(), w.top_up(block, n(0)), "nothing added").await?;
    let data = raiden::top_up_data(&raiden::opening(w.payer.address(), block), w.payee.address())?;
    let transfer = token::transfer_with_data(w.channels, U256::ZERO, data);
    w.token_refuses(w.payer.address(), transfer, "nothing added").await?;
    w.accepts(w.payer.address(), w.top_up(block, n(1))).await?;
    Ok(())
}

async fn a_top_up_needs_a_channel_of_the_caller(w: &World) -> Result<()> {
    let block = w.open(n(100)).await?;
    for wrong in [0, block - 1, block + 1, u32::MAX] {
        w.refuses(w.payer.address(), w.top_up(wrong, n(1)), "no such channel").await?;
    }
    w.token_accepts(w.stranger.address(), token::approve(w.channels, U256::from(1))).await?;
    w.refuses(w.stranger.address(), w.top_up(block, n(1)), "no such channel").await?;
    let to_oneself = abi::topUpCall { _receiver_address: w.payer.address(), ..w.top_up(block, n(1)) };
    w.refuses(w.payer.address(), to_oneself, "no such channel").await?;

    w.accepts(w.payer.address(), w.close_together(block, n(0))).await?;
    w.refuses(w.payer.address(), w.top_up(block, n(1)), "no such channel").await
}

async fn a_channel_is_topped_up_to_the_limit_and_no_further(w: &World) -> Result<()> {
    let payer = w.payer.address();
    let block = w.open(limit() - n(5)).await?;
    w.refuses(payer, w.top_up(block, n(6)), "deposit above the limit").await?;
    // Cut to 192 bits, this sum would be below the limit.
    w.refuses(payer, w.top_up(block, U192::MAX), "deposit above the limit").await?;
    w.accepts(payer, w.top_up(block, n(5))).await?;
    assert_eq!(w.channel(block).await?.map(|info| info.deposit), Some(limit()));
    w.refuses(payer, w.top_up(block, n(1)), "deposit above the limit").await
}

async fn a_top_up_takes_an_allowance(w: &World) -> Result<()> {
    let block = w.open(n(100)).await?;
    w.token_accepts(w.payer.address(), token::approve(w.channels, U256::ZERO)).await?;
    w.refuses(w.payer.address(), w.top_up(block, n(1)), "allowance too small").await?;
    assert_eq!(w.channel(block).await?.map(|info| info.deposit), Some(n(100)));
    Ok(())
}

async fn nothing_is_added_once_a_close_was_requested(w: &World) -> Result<()> {
    let payer = w.payer.address();
    let block = w.open(n(100)).await?;
    w.ask_to_close(block, n(0)).await?;
    w.refuses(payer, w.top_up(block, n(1)), "a close was requested").await?;
    let data = raiden::top_up_data(&raiden::opening(payer, block), w.payee.address())?;
    let transfer = token::transfer_with_data(w.channels, U256::from(1), data);
    w.token_refuses(payer, transfer, "a close was requested").await
}

async fn an_erc223_transfer_with_44_bytes_tops_up(w: &World) -> Result<()> {
    let payer = w.payer.address();
    // So that the open block has two bytes, and their order matters.
    w.chain.anvil.mine(300).await?;
    let block = w.open(n(100)).await?;
    let opening = raiden::opening(payer, block);
    let data = raiden::top_up_data(&opening, w.payee.address())?;
    let mined = w.token_accepts(payer, token::transfer_with_data(w.channels, U256::from(7), data)).await?;
    assert_eq!(mined.logs, [w.transfer(payer, w.channels, n(7)), w.log_topped_up(block, n(7))]);
    assert_eq!(w.channel(block).await?.map(|info| info.deposit), Some(n(107)));

    let mut reversed = raiden::top_up_data(&opening, w.payee.address())?.to_vec();
    reversed[40..].reverse();
    let transfer = token::transfer_with_data(w.channels, U256::from(7), Bytes::from(reversed));
    w.token_refuses(payer, transfer, "no such channel").await?;

    let data = raiden::top_up_data(&opening, w.payee.address())?;
    let transfer = token::transfer_with_data(w.channels, U256::from(7), data);
    w.token_refuses(w.stranger.address(), transfer, "tokens of somebody else").await
}

async fn a_trusted_contract_tops_up_for_others(w: &World) -> Result<()> {
    let block = w.open(n(100)).await?;
    let add = |added| abi::topUpDelegateCall {
        _sender_address: w.payer.address(),
        _receiver_address: w.payee.address(),
        _open_block_number: block,
        _added_deposit: added,
    };
    let data = raiden::top_up_data(&raiden::opening(w.payer.address(), block), w.payee.address())?;
    let transfer = token::transfer_with_data(w.channels, U256::from(7), data);
    let delegate = w.delegate().await?;
    w.refuses(delegate, add(n(7)), "caller is not trusted").await?;
    w.token_refuses(delegate, transfer.clone(), "tokens of somebody else").await?;

    w.trust(delegate).await?;
    let mined = w.accepts(delegate, add(n(7))).await?;
    assert_eq!(mined.logs, [w.log_topped_up(block, n(7)), w.transfer(delegate, w.channels, n(7))]);
    let mined = w.token_accepts(delegate, transfer).await?;
    assert_eq!(mined.logs, [w.transfer(delegate, w.channels, n(7)), w.log_topped_up(block, n(7))]);
    assert_eq!(w.channel(block).await?.map(|info| info.deposit), Some(n(114)));

    w.refuses(delegate, add(n(0)), "nothing added").await?;
    w.refuses(delegate, add(limit()), "deposit above the limit").await?;
    let unknown = abi::topUpDelegateCall { _sender_address: delegate, ..add(n(7)) };
    w.refuses(delegate, unknown, "no such channel").await
}
