//! createChannel, createChannelDelegate and the 40 bytes of tokenFallback.

use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, Bytes, U256};
use anyhow::Result;
use contracts::raiden::{self, ChannelInfo, abi};
use contracts::{SolCall, token};

use crate::behaviours;
use crate::chain::OWNER;
use crate::world::{World, limit, n};

behaviours! {
    an_opening_escrows_the_deposit,
    a_channel_may_hold_nothing_or_the_limit_but_no_more,
    an_opening_takes_an_allowance_and_a_balance,
    two_channels_of_one_pair_cannot_open_in_one_block,
    an_erc223_transfer_with_40_bytes_opens,
    only_the_token_may_call_token_fallback,
    a_token_fallback_takes_40_or_44_bytes,
    a_token_fallback_takes_no_more_than_uint192,
    tokens_open_a_channel_of_their_owner_alone,
    a_trusted_contract_opens_channels_for_others,
}

fn create(payee: Address, deposit: U192) -> abi::createChannelCall {
    abi::createChannelCall { _receiver_address: payee, _deposit: deposit }
}

async fn an_opening_escrows_the_deposit(w: &World) -> Result<()> {
    let (payer, payee, before) = (w.payer.address(), w.payee.address(), w.tokens().await?);
    let mined = w.accepts(payer, create(payee, n(100))).await?;
    assert_eq!(mined.logs, [w.log_created(n(100)), w.transfer(payer, w.channels, n(100))]);

    let hundred = U256::from(100);
    assert_eq!(w.tokens().await?, [before[0] - hundred, before[1], before[2] + hundred]);

    let block = u32::try_from(mined.block)?;
    let key = w.key(block);
    let expected = ChannelInfo { key, deposit: n(100), settle_block: None, closing_balance: n(0), withdrawn: n(0) };
    assert_eq!(w.channel(block).await?, Some(expected));
    let stored = w.says(abi::channelsCall(key)).await?;
    assert_eq!((stored.deposit, stored.open_block_number), (n(100), block));
    Ok(())
}

async fn a_channel_may_hold_nothing_or_the_limit_but_no_more(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let mined = w.accepts(payer, create(payee, n(0))).await?;
    assert_eq!(mined.logs, [w.log_created(n(0)), w.transfer(payer, w.channels, n(0))]);
    assert_eq!(w.channel(u32::try_from(mined.block)?).await?.map(|info| info.deposit), Some(n(0)));

    w.accepts(payer, create(payee, limit())).await?;
    w.refuses(payer, create(payee, limit() + n(1)), "deposit above the limit").await?;
    w.refuses(payer, create(payee, U192::MAX), "deposit above the limit").await
}

async fn an_opening_takes_an_allowance_and_a_balance(w: &World) -> Result<()> {
    let (stranger, payee) = (w.stranger.address(), w.payee.address());
    w.refuses(stranger, create(payee, n(100)), "allowance too small").await?;
    w.token_accepts(stranger, token::approve(w.channels, U256::from(100))).await?;
    w.refuses(stranger, create(payee, n(101)), "allowance too small").await?;
    w.accepts(stranger, create(payee, n(100))).await?;

    // The payee has nothing, whatever it allows.
    w.token_accepts(payee, token::approve(w.channels, U256::from(100))).await?;
    w.refuses(payee, create(stranger, n(100)), "balance too small").await
}

async fn two_channels_of_one_pair_cannot_open_in_one_block(w: &World) -> Result<()> {
    let (payer, payee, stranger) = (w.payer.address(), w.payee.address(), w.stranger.address());
    let mut sent = vec![];
    for (receiver, deposit) in [(payee, 1), (payee, 2), (stranger, 3)] {
        let data = create(receiver, n(deposit)).abi_encode().into();
        sent.push(w.chain.submit(payer, Some(w.channels), data).await?);
    }
    w.chain.anvil.mine(1).await?;

    let first = w.chain.outcome(sent[0]).await?.expect("the first opens");
    w.chain.outcome(sent[1]).await?.expect_err("the second has the first's name");
    let third = w.chain.outcome(sent[2]).await?.expect("another pair is another channel");
    assert_eq!(first.block, third.block);
    assert_eq!(w.channel(u32::try_from(first.block)?).await?.map(|info| info.deposit), Some(n(1)));
    Ok(())
}

async fn an_erc223_transfer_with_40_bytes_opens(w: &World) -> Result<()> {
    let stranger = w.stranger.address();
    let data = raiden::open_data(stranger, w.payee.address());
    let mined = w.token_accepts(stranger, token::transfer_with_data(w.channels, U256::from(100), data.clone())).await?;
    let created = w.log(abi::ChannelCreated {
        _sender_address: stranger,
        _receiver_address: w.payee.address(),
        _deposit: n(100),
    });
    assert_eq!(mined.logs, [w.transfer(stranger, w.channels, n(100)), created]);
    let key = raiden::key(stranger, w.payee.address(), u32::try_from(mined.block)?);
    assert_eq!(w.says(abi::channelsCall(key)).await?.deposit, n(100));

    w.token_accepts(stranger, token::transfer_with_data(w.channels, U256::ZERO, data.clone())).await?;
    let above = U256::from(limit()) + U256::from(1);
    w.token_refuses(stranger, token::transfer_with_data(w.channels, above, data), "deposit above the limit").await
}

async fn only_the_token_may_call_token_fallback(w: &World) -> Result<()> {
    let payer = w.payer.address();
    let call = abi::tokenFallbackCall {
        _sender_address: payer,
        _deposit: U256::from(100),
        _data: raiden::open_data(payer, w.payee.address()),
    };
    w.refuses(payer, call.clone(), "caller is not the token").await?;
    w.refuses(OWNER, call.clone(), "caller is not the token").await?;
    w.chain.fund(w.token).await?;
    w.accepts(w.token, call).await?;
    Ok(())
}

async fn a_token_fallback_takes_40_or_44_bytes(w: &World) -> Result<()> {
    let payer = w.payer.address();
    let open = raiden::open_data(payer, w.payee.address());
    for length in [0, 20, 39, 41, 43, 45, 64, 76] {
        let mut data = open.to_vec();
        data.resize(length, 0);
        let transfer = token::transfer_with_data(w.channels, U256::from(100), data.into());
        w.token_refuses(payer, transfer, "data is neither 40 nor 44 bytes").await?;
    }
    let without_data = token::transfer_with_data(w.channels, U256::from(100), Bytes::new());
    w.token_refuses(payer, without_data, "data is neither 40 nor 44 bytes").await?;
    w.token_accepts(payer, token::transfer_with_data(w.channels, U256::from(100), open)).await?;
    Ok(())
}

async fn a_token_fallback_takes_no_more_than_uint192(w: &World) -> Result<()> {
    w.chain.fund(w.token).await?;
    let payer = w.payer.address();
    let call = |deposit| abi::tokenFallbackCall {
        _sender_address: payer,
        _deposit: deposit,
        _data: raiden::open_data(payer, w.payee.address()),
    };
    // Cut to 192 bits, both would be a deposit of 100.
    let wide = U256::from(1) << 192;
    w.refuses(w.token, call(wide + U256::from(100)), "deposit above uint192").await?;
    w.refuses(w.token, call((wide << 63) + U256::from(100)), "deposit above uint192").await?;
    w.accepts(w.token, call(U256::from(100))).await?;
    Ok(())
}

async fn tokens_open_a_channel_of_their_owner_alone(w: &World) -> Result<()> {
    let data = raiden::open_data(w.payer.address(), w.payee.address());
    let transfer = token::transfer_with_data(w.channels, U256::from(100), data);
    w.token_refuses(w.stranger.address(), transfer.clone(), "tokens of somebody else").await?;
    w.token_accepts(w.payer.address(), transfer).await?;
    Ok(())
}

async fn a_trusted_contract_opens_channels_for_others(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let open = abi::createChannelDelegateCall { _sender_address: payer, _receiver_address: payee, _deposit: n(100) };
    let transfer = token::transfer_with_data(w.channels, U256::from(100), raiden::open_data(payer, payee));
    let delegate = w.delegate().await?;
    w.refuses(delegate, open.clone(), "caller is not trusted").await?;
    w.token_refuses(delegate, transfer.clone(), "tokens of somebody else").await?;
    w.refuses(payer, open.clone(), "caller is not trusted").await?;

    w.trust(delegate).await?;
    let before = w.tokens().await?;
    let mined = w.accepts(delegate, open.clone()).await?;
    // The payer's channel, the delegate's tokens.
    assert_eq!(mined.logs, [w.log_created(n(100)), w.transfer(delegate, w.channels, n(100))]);
    assert_eq!(w.tokens().await?, [before[0], before[1], before[2] + U256::from(100)]);
    let block = u32::try_from(mined.block)?;
    assert_eq!(w.channel(block).await?.map(|info| info.deposit), Some(n(100)));

    let mined = w.token_accepts(delegate, transfer.clone()).await?;
    assert_eq!(mined.logs, [w.transfer(delegate, w.channels, n(100)), w.log_created(n(100))]);

    w.accepts(OWNER, abi::removeTrustedContractsCall { _trusted_contracts: vec![delegate] }).await?;
    w.refuses(delegate, open, "caller is not trusted").await?;
    w.token_refuses(delegate, transfer, "tokens of somebody else").await
}
