//! The constructor, and what a fresh contract says of itself.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, Log, U256, hex};
use anyhow::Result;
use contracts::raiden::{self, abi};
use contracts::{SolCall, SolEvent, artifacts};
use serde_json::Value;

use crate::behaviours;
use crate::chain::{ORIGINAL, OWNER, created};
use crate::world::{MISER, World, n};

behaviours! {
    a_fresh_contract_knows_what_it_was_deployed_with,
    anybody_may_deploy_and_becomes_the_owner,
    a_challenge_period_is_500_blocks_or_more,
    a_token_has_code_and_a_supply,
    contracts_are_trusted_from_the_start_and_accounts_passed_over,
    a_token_that_does_not_pay_reverts_the_call,
}

/// A contract that answers 0 to everything.
const NOTHING: Bytes = Bytes::from_static(&hex!("6004600c60003960046000f3" "60205ff3"));

async fn a_fresh_contract_knows_what_it_was_deployed_with(w: &World) -> Result<()> {
    assert_eq!(w.says(abi::tokenCall {}).await?, w.token);
    assert_eq!(w.says(abi::challenge_periodCall {}).await?, 500);
    assert_eq!(w.says(abi::owner_addressCall {}).await?, OWNER);
    assert_eq!(w.says(abi::versionCall {}).await?, "0.2.0");
    let limit = U256::from(100) * U256::from(10).pow(U256::from(18));
    assert_eq!(w.says(abi::channel_deposit_bugbounty_limitCall {}).await?, limit);
    Ok(())
}

async fn anybody_may_deploy_and_becomes_the_owner(w: &World) -> Result<()> {
    let arguments = artifacts::channels_arguments(w.token, 501, &[]);
    let stranger = w.stranger.address();
    let channels = created(w.chain.deploy(stranger, &w.contracts.channels, &arguments).await?)?;
    assert_eq!(w.chain.ask(channels, &abi::owner_addressCall {}).await?, Ok(stranger));
    assert_eq!(w.chain.ask(channels, &abi::challenge_periodCall {}).await?, Ok(501));
    Ok(())
}

async fn refuses(w: &World, token: Address, period: u32, because: &str) -> Result<()> {
    let arguments = artifacts::channels_arguments(token, period, &[]);
    match w.chain.deploy(OWNER, &w.contracts.channels, &arguments).await? {
        Ok(_) => anyhow::bail!("it was deployed, but {because}"),
        Err(reverted) => w.for_this_reason(&reverted, because),
    }
}

async fn a_challenge_period_is_500_blocks_or_more(w: &World) -> Result<()> {
    for period in [0, 1, 499] {
        refuses(w, w.token, period, "challenge period below 500 blocks").await?;
    }
    for period in [500, u32::MAX] {
        let arguments = artifacts::channels_arguments(w.token, period, &[]);
        let channels = created(w.chain.deploy(OWNER, &w.contracts.channels, &arguments).await?)?;
        assert_eq!(w.chain.ask(channels, &abi::challenge_periodCall {}).await?, Ok(period));
    }
    Ok(())
}

async fn a_token_has_code_and_a_supply(w: &World) -> Result<()> {
    refuses(w, Address::ZERO, 500, "token without code").await?;
    refuses(w, w.stranger.address(), 500, "token without code").await?;
    let nothing = created(w.chain.deploy(OWNER, &NOTHING, &[]).await?)?;
    refuses(w, nothing, 500, "token without supply").await
}

async fn contracts_are_trusted_from_the_start_and_accounts_passed_over(w: &World) -> Result<()> {
    let (code, account) = (w.token, w.stranger.address());
    let arguments = artifacts::channels_arguments(w.token, 500, &[account, code]);
    let mined = w.chain.deploy(OWNER, &w.contracts.channels, &arguments).await?.expect("it is deployed");
    let channels = mined.contract.expect("it has an address");
    let trusted = abi::TrustedContract { _trusted_contract_address: code, _trusted_status: true };
    assert_eq!(mined.logs, [Log { address: channels, data: trusted.encode_log_data() }]);
    assert_eq!(w.chain.ask(channels, &abi::trusted_contractsCall(code)).await?, Ok(true));
    assert_eq!(w.chain.ask(channels, &abi::trusted_contractsCall(account)).await?, Ok(false));
    Ok(())
}

async fn a_token_that_does_not_pay_reverts_the_call(w: &World) -> Result<()> {
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let miser = created(w.chain.deploy(OWNER, &MISER, &[]).await?)?;
    let channels = w.chain.deploy_channels(&w.contracts.channels, miser).await?;
    let create = abi::createChannelCall { _receiver_address: payee, _deposit: n(100) };
    let outcome = w.chain.send(payer, Some(channels), create.abi_encode().into()).await?;
    w.for_this_reason(&outcome.expect_err("transferFrom is false"), "token refused to collect")?;

    // What came by tokenFallback cannot leave again: transfer is false, too.
    w.chain.fund(miser).await?;
    let _data = raiden::open_data(payer, payee);
    let open = abi::tokenFallbackCall { _sender_address: payer, _deposit: U256::from(100), _data };
    let mined = w.chain.send(miser, Some(channels), open.abi_encode().into()).await?.expect("the channel opens");
    let block = u32::try_from(mined.block)?;
    let proof = w.payer.sign(raiden::balance_proof_digest(channels, payee, block, n(30)));
    let closing = w.payee.sign(raiden::closing_digest(channels, payer, block, n(30)));
    let close = abi::cooperativeCloseCall {
        _receiver_address: payee,
        _open_block_number: block,
        _balance: n(30),
        _balance_msg_sig: Bytes::copy_from_slice(proof.as_bytes()),
        _closing_sig: Bytes::copy_from_slice(closing.as_bytes()),
    };
    let outcome = w.chain.send(payer, Some(channels), close.abi_encode().into()).await?;
    w.for_this_reason(&outcome.expect_err("transfer is false"), "token refused to pay")
}

/// By kind and name, for the order says nothing.
fn by_name(abi: &Value) -> BTreeMap<String, &Value> {
    let entries = abi.as_array().expect("an ABI is a list");
    entries.iter().map(|entry| (format!("{} {}", entry["type"], entry["name"]), entry)).collect()
}

#[test]
fn the_abi_is_the_originals_to_the_letter() {
    let original = by_name(&ORIGINAL["RaidenMicroTransferChannels"]["abi"]);
    assert_eq!(original.len(), 31);
    assert_eq!(by_name(&artifacts::CHANNELS.abi), original);
}
