//! The token of tests and demos: ERC-20, ERC-223, EIP-2612 and EIP-3009. Ours alone; the original's has none of the
//! latter two.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use anyhow::{Result, anyhow};
use channel::Key;
use contracts::{raiden, token};
use serde_json::{Value, json};

use crate::chain::{OWNER, ours};
use crate::world::{World, n};

/// Calldata: a selector and words. Nothing here has arguments of other shapes.
fn call(signature: &str, words: &[B256]) -> Bytes {
    [&keccak256(signature)[..4], &words.concat()].concat().into()
}

fn word(number: u64) -> B256 {
    U256::from(number).into()
}

async fn ask(w: &World, signature: &str, words: &[B256]) -> Result<B256> {
    let answer = w.chain.ask_raw(w.token, call(signature, words)).await?;
    let answer = answer.map_err(|reverted| anyhow!("{signature} reverted: {reverted:?}"))?;
    Ok(B256::from_slice(&answer))
}

async fn balance(w: &World, account: Address) -> Result<U256> {
    w.chain.tokens_of(w.token, account).await
}

/// The EIP-712 domain, put together here from the standard's own words.
fn domain(w: &World) -> B256 {
    let words = [
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
        keccak256("Test"),
        keccak256("1"),
        word(w.chain.anvil.chain_id()),
        w.token.into_word(),
    ];
    keccak256(words.concat())
}

/// v, r and s of a signature over a struct of EIP-712, as words.
fn sign(w: &World, key: &Key, typed: &str, values: &[B256]) -> [B256; 3] {
    let message = keccak256([&[keccak256(typed)], values].concat().concat());
    let digest = keccak256([&[0x19, 0x01], domain(w).as_slice(), message.as_slice()].concat());
    let bytes = *key.sign(digest).as_bytes();
    [word(bytes[64].into()), B256::from_slice(&bytes[..32]), B256::from_slice(&bytes[32..64])]
}

/// The same signature with the other s, which recovers to the same signer.
fn with_high_s([v, r, s]: [B256; 3]) -> [B256; 3] {
    let order: U256 = "0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141".parse().expect("a number");
    let flipped = U256::from(27 + 28) - U256::from_be_bytes(v.0);
    [flipped.into(), r, (order - U256::from_be_bytes(s.0)).into()]
}

async fn now(w: &World) -> Result<u64> {
    let block: Value = w.chain.rpc("eth_getBlockByNumber", json!(["latest", false])).await?;
    testkit::rpc::quantity(&block["timestamp"])
}

#[tokio::test]
async fn it_tells_its_name_and_supply_and_everybody_may_mint() -> Result<()> {
    let w = World::new(ours()).await?;
    let supply = U256::from(10).pow(U256::from(30));
    assert_eq!(ask(&w, "totalSupply()", &[]).await?, B256::from(supply));
    assert_eq!(ask(&w, "decimals()", &[]).await?, word(18));
    let name = w.chain.ask_raw(w.token, call("name()", &[])).await?.map_err(|reverted| anyhow!("{reverted:?}"))?;
    assert_eq!(&name[64..68], b"Test");

    let payee = w.payee.address();
    let mint = call("mint(address,uint256)", &[payee.into_word(), word(7)]);
    let mined = w.token_accepts(w.stranger.address(), mint).await?;
    assert_eq!(mined.logs, [w.transfer(Address::ZERO, payee, n(7))]);
    assert_eq!(balance(&w, payee).await?, U256::from(7));
    assert_eq!(ask(&w, "totalSupply()", &[]).await?, B256::from(supply + U256::from(7)));
    Ok(())
}

#[tokio::test]
async fn transfers_move_what_is_there_and_allowances_are_used_up() -> Result<()> {
    let w = World::new(ours()).await?;
    let (payer, payee, stranger) = (w.payer.address(), w.payee.address(), w.stranger.address());
    let mined = w.token_accepts(payer, token::transfer(payee, U256::from(10))).await?;
    assert_eq!(mined.logs, [w.transfer(payer, payee, n(10))]);
    w.token_refuses(payee, token::transfer(payer, U256::from(11)), "balance too small").await?;
    for nowhere in [Address::ZERO, w.token] {
        w.token_refuses(payee, token::transfer(nowhere, U256::from(1)), "no such receiver").await?;
    }

    w.token_accepts(payee, token::approve(stranger, U256::from(6))).await?;
    let take = |value| {
        let words = [payee.into_word(), stranger.into_word(), word(value)];
        call("transferFrom(address,address,uint256)", &words)
    };
    w.token_refuses(stranger, take(7), "allowance too small").await?;
    w.token_accepts(stranger, take(4)).await?;
    assert_eq!(ask(&w, "allowance(address,address)", &[payee.into_word(), stranger.into_word()]).await?, word(2));
    w.token_refuses(stranger, take(3), "allowance too small").await?;

    // The largest allowance lasts for ever.
    w.token_accepts(payee, token::approve(stranger, U256::MAX)).await?;
    w.token_accepts(stranger, take(3)).await?;
    let left = ask(&w, "allowance(address,address)", &[payee.into_word(), stranger.into_word()]).await?;
    assert_eq!(left, B256::from(U256::MAX));
    w.token_refuses(stranger, take(4), "balance too small").await
}

#[tokio::test]
async fn a_transfer_with_data_calls_contracts_and_leaves_accounts_alone() -> Result<()> {
    let w = World::new(ours()).await?;
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let data = raiden::open_data(payer, payee);
    let to_account = token::transfer_with_data(payee, U256::from(5), data.clone());
    assert_eq!(w.token_accepts(payer, to_account).await?.logs, [w.transfer(payer, payee, n(5))]);
    let to_contract = token::transfer_with_data(w.channels, U256::from(5), data.clone());
    let mined = w.token_accepts(payer, to_contract).await?;
    assert_eq!(mined.logs, [w.transfer(payer, w.channels, n(5)), w.log_created(n(5))]);
    // What the receiver refuses does not move.
    let before = balance(&w, payer).await?;
    let refused = token::transfer_with_data(w.channels, U256::from(5), Bytes::new());
    w.token_refuses(payer, refused, "data is neither 40 nor 44 bytes").await?;
    assert_eq!(balance(&w, payer).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_permit_approves_once_by_signature_until_its_deadline() -> Result<()> {
    const PERMIT: &str = "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)";
    const TYPE: &str = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)";
    let w = World::new(ours()).await?;
    assert_eq!(ask(&w, "DOMAIN_SEPARATOR()", &[]).await?, domain(&w));
    let (owner, spender) = (w.stranger.address().into_word(), w.channels.into_word());
    let permit = |key: &Key, value: u64, nonce: u64, deadline: u64| {
        let signature = sign(&w, key, TYPE, &[owner, spender, word(value), word(nonce), word(deadline)]);
        ([owner, spender, word(value), word(deadline)], signature)
    };
    let data = |(words, signature): ([B256; 4], [B256; 3])| call(PERMIT, &[&words[..], &signature[..]].concat());
    let deadline = now(&w).await? + 1_000;
    let good = permit(&w.stranger, 50, 0, deadline);

    let unsigned = "not signed by the owner";
    w.token_refuses(OWNER, data(permit(&w.payer, 50, 0, deadline)), unsigned).await?;
    w.token_refuses(OWNER, data(permit(&w.stranger, 50, 1, deadline)), unsigned).await?;
    let (mut words, signature) = good;
    words[2] = word(51);
    w.token_refuses(OWNER, data((words, signature)), unsigned).await?;
    w.token_refuses(OWNER, data((good.0, with_high_s(good.1))), "s in the upper half").await?;
    w.token_refuses(OWNER, data(permit(&w.stranger, 50, 0, deadline - 2_000)), "permit expired").await?;

    w.token_accepts(OWNER, data(good)).await?;
    assert_eq!(ask(&w, "allowance(address,address)", &[owner, spender]).await?, word(50));
    assert_eq!(ask(&w, "nonces(address)", &[owner]).await?, word(1));
    w.token_refuses(OWNER, data(good), unsigned).await?;

    // The whole point: a channel opens on it.
    let create = raiden::create_channel(w.payee.address(), channel::Amount::new(50));
    let mined = w.chain.send(w.stranger.address(), Some(w.channels), create).await?;
    assert!(mined.is_ok(), "{mined:?}");
    Ok(())
}

const VALUES: &str = "address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce";
const ARGUMENTS: &str = "address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32";

/// An EIP-3009 authorisation from the payer to the payee, as calldata of the function of that `kind`.
fn authorisation(w: &World, kind: &str, value: u64, after: u64, before: u64, nonce: u8) -> Bytes {
    let (from, to) = (w.payer.address().into_word(), w.payee.address().into_word());
    let values = [from, to, word(value), word(after), word(before), B256::repeat_byte(nonce)];
    let signature = sign(w, &w.payer, &format!("{kind}({VALUES})"), &values);
    let function = format!("{}{}({ARGUMENTS})", kind[..1].to_lowercase(), &kind[1..]);
    call(&function, &[&values[..], &signature[..]].concat())
}

#[tokio::test]
async fn anybody_may_bring_a_transfer_authorisation_once_and_in_time() -> Result<()> {
    const KIND: &str = "TransferWithAuthorization";
    let w = World::new(ours()).await?;
    let (payer, payee) = (w.payer.address(), w.payee.address());
    let start = now(&w).await?;
    w.token_refuses(OWNER, authorisation(&w, KIND, 9, start + 5_000, start + 9_000, 1), "authorization not valid yet")
        .await?;
    w.token_refuses(OWNER, authorisation(&w, KIND, 9, 0, start, 1), "authorization expired").await?;
    let good = authorisation(&w, KIND, 9, 0, start + 5_000, 1);
    let mut changed = good.to_vec();
    changed[4 + 3 * 32 - 1] = 10;
    w.token_refuses(OWNER, changed.into(), "not signed by the owner").await?;

    let mined = w.token_accepts(OWNER, good.clone()).await?;
    assert_eq!(mined.logs.len(), 2);
    assert_eq!(mined.logs[0].topics()[0], keccak256("AuthorizationUsed(address,bytes32)"));
    assert_eq!(mined.logs[1], w.transfer(payer, payee, n(9)));
    assert_eq!(balance(&w, payee).await?, U256::from(9));
    let state = ask(&w, "authorizationState(address,bytes32)", &[payer.into_word(), B256::repeat_byte(1)]).await?;
    assert_eq!(state, word(1));
    w.token_refuses(OWNER, good, "authorization used or cancelled").await?;
    w.token_accepts(OWNER, authorisation(&w, KIND, 9, 0, start + 5_000, 2)).await.map(drop)
}

#[tokio::test]
async fn both_bounds_of_an_authorisation_are_exclusive() -> Result<()> {
    const KIND: &str = "TransferWithAuthorization";
    let w = World::new(ours()).await?;
    let start = now(&w).await? + 1_000;
    for (at, after, before, because) in [
        (start, start, start + 9, Some("authorization not valid yet")),
        (start + 10, start + 9, start + 10, Some("authorization expired")),
        (start + 20, start + 19, start + 21, None),
    ] {
        let data = authorisation(&w, KIND, 9, after, before, 1);
        w.chain.rpc::<Value>("evm_setNextBlockTimestamp", json!([at])).await?;
        match because {
            Some(because) => w.token_refuses(OWNER, data, because).await?,
            None => w.token_accepts(OWNER, data).await.map(drop)?,
        }
    }
    Ok(())
}

#[tokio::test]
async fn only_the_receiver_brings_a_receive_authorisation() -> Result<()> {
    const KIND: &str = "ReceiveWithAuthorization";
    let w = World::new(ours()).await?;
    let before = now(&w).await? + 5_000;
    let good = authorisation(&w, KIND, 9, 0, before, 1);
    w.token_refuses(w.payer.address(), good.clone(), "caller is not the receiver").await?;
    // A signature for the one is none for the other.
    let mut as_transfer = authorisation(&w, "TransferWithAuthorization", 9, 0, before, 1).to_vec();
    as_transfer[..4].copy_from_slice(&good[..4]);
    w.token_refuses(w.payee.address(), as_transfer.into(), "not signed by the owner").await?;
    w.token_accepts(w.payee.address(), good.clone()).await?;
    w.token_refuses(w.payee.address(), good, "authorization used or cancelled").await
}

#[tokio::test]
async fn an_unused_authorisation_can_be_cancelled() -> Result<()> {
    let w = World::new(ours()).await?;
    let (payer, nonce) = (w.payer.address().into_word(), B256::repeat_byte(1));
    let cancel = |key: &Key, nonce: B256| {
        let signature = sign(&w, key, "CancelAuthorization(address authorizer,bytes32 nonce)", &[payer, nonce]);
        let words = [&[payer, nonce][..], &signature[..]].concat();
        call("cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)", &words)
    };
    w.token_refuses(OWNER, cancel(&w.stranger, nonce), "not signed by the owner").await?;
    let mined = w.token_accepts(OWNER, cancel(&w.payer, nonce)).await?;
    assert_eq!(mined.logs[0].topics()[0], keccak256("AuthorizationCanceled(address,bytes32)"));
    w.token_refuses(OWNER, cancel(&w.payer, nonce), "authorization used or cancelled").await?;

    let authorised = authorisation(&w, "TransferWithAuthorization", 9, 0, now(&w).await? + 5_000, 1);
    w.token_refuses(OWNER, authorised, "authorization used or cancelled").await
}
