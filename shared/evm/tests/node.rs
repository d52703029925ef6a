//! A node as it is: it answers, refuses, hangs, goes away, and comes back as another.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};
use anyhow::Result;
use channel::{BlockRef, Key};
use contracts::{LogFilter, artifacts, token};
use evm::{Account, EvmError, Rpc, Transaction, sign_transaction};
use testkit::anvil::{Anvil, KEYS, Options};
use testkit::liar::{Liar, Lie};

const TIMEOUT: Duration = Duration::from_secs(5);

fn key(index: usize) -> Key {
    let bytes = alloy_primitives::hex::decode_to_array(KEYS[index]).expect("well-known keys are hex");
    Key::from_bytes(&bytes).expect("well-known keys are keys")
}

async fn connect(chain: &Anvil) -> Result<Rpc> {
    Ok(Rpc::connect(&chain.url(), chain.chain_id(), TIMEOUT).await?)
}

async fn token(rpc: &Rpc) -> Result<(Account, Address)> {
    let account = Account::new(rpc.clone(), key(0));
    let arguments = artifacts::token_arguments(U256::from(1_000), "Token", "TKN", 0);
    let (token, _) = account.deploy(artifacts::TEST_TOKEN.deploy(&arguments)).await?;
    Ok((account, token))
}

#[tokio::test]
async fn refuses_the_node_of_another_chain() -> Result<()> {
    let chain = Anvil::start().await?;
    let error = Rpc::connect(&chain.url(), 1, TIMEOUT).await.unwrap_err();
    assert!(matches!(error, EvmError::WrongChain { expected: 1, got: 61 }), "{error}");
    Ok(())
}

#[tokio::test]
async fn notices_when_the_node_is_replaced_by_one_of_another_chain() -> Result<()> {
    let mut chain = Anvil::start().await?;
    let rpc = connect(&chain).await?;
    rpc.head().await?;
    chain.kill9()?;
    assert!(matches!(rpc.head().await, Err(EvmError::Transport(_))));

    let options = Options { chain_id: 62, ..Options::default() };
    let _other = Anvil::start_in(testkit::scratch::Scratch::new("anvil")?, chain.port(), options).await?;
    assert!(matches!(rpc.head().await, Err(EvmError::WrongChain { expected: 61, got: 62 })));
    Ok(())
}

#[tokio::test]
async fn a_node_that_hangs_costs_one_time_out_and_a_node_that_is_back_answers() -> Result<()> {
    let chain = Anvil::start().await?;
    let patience = Duration::from_secs(1);
    let rpc = Rpc::connect(&chain.url(), 61, patience).await?;
    chain.process()?.pause()?;
    tokio::time::sleep(Duration::from_millis(100)).await; // threads that run on another core stop a little later
    let start = Instant::now();
    let answer = rpc.head().await;
    assert!(matches!(answer, Err(EvmError::Timeout(_))), "{answer:?}");
    assert!(start.elapsed() < patience * 2, "{:?}", start.elapsed());
    chain.process()?.resume()?;
    testkit::wait::until("the node to answer", TIMEOUT, async || Ok(rpc.head().await?)).await?;
    Ok(())
}

#[tokio::test]
async fn an_error_never_shows_the_address_of_the_node() -> Result<()> {
    let port = testkit::ports::free()?;
    let rpc = Rpc::new(&format!("http://user:hunter2@127.0.0.1:{port}/v3/hunter2"), 1, TIMEOUT)?;
    let error = rpc.head().await.unwrap_err();
    assert!(matches!(error, EvmError::Transport(_)), "{error}");
    assert!(!format!("{error} {error:?} {rpc:?}").contains("hunter2"), "{error:?}");
    for bad in ["ftp://hunter2", "hunter2"] {
        assert!(!Rpc::new(bad, 1, TIMEOUT).unwrap_err().to_string().contains("hunter2"));
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_of_a_contract_comes_with_its_reason() -> Result<()> {
    let chain = Anvil::start().await?;
    let rpc = connect(&chain).await?;
    let (account, token) = token(&rpc).await?;
    let poor = Account::new(rpc.clone(), key(1));
    let error =
        poor.send(Some(token), token::transfer(account.address(), U256::from(1)), U256::ZERO).await.unwrap_err();
    let EvmError::Revert { reason, data } = error else { panic!("{error}") };
    assert!(!reason.is_empty() && !data.is_empty(), "{reason} {data}");
    assert!(!reason.contains("execution reverted"), "not decoded: {reason}");
    Ok(())
}

#[tokio::test]
async fn sends_a_transaction_and_finds_its_log_where_the_receipt_says() -> Result<()> {
    let chain = Anvil::start().await?;
    let rpc = connect(&chain).await?;
    let (account, token) = token(&rpc).await?;
    let receipt = account.send(Some(token), token::transfer(key(1).address(), U256::from(7)), U256::ZERO).await?;
    assert_eq!(receipt.logs.len(), 1);
    let balance = rpc.call(token, token::balance_of(key(1).address())).await?;
    assert_eq!(token::read_amount(&balance)?, U256::from(7));

    chain.mine(3).await?;
    let head = rpc.head().await?;
    assert_eq!(head.number, receipt.block.number + 3);
    let filter = LogFilter { address: token, topics: vec![vec![receipt.logs[0].topics[0]]] };
    assert_eq!(rpc.logs(&filter, receipt.block.number, head.number).await?, receipt.logs);
    assert_eq!(rpc.logs_of(&filter, receipt.block).await?, receipt.logs);
    assert_eq!(rpc.logs_of(&filter, head.reference()).await?, vec![]);
    let nothing = LogFilter { address: token, topics: vec![vec![B256::repeat_byte(1)]] };
    assert_eq!(rpc.logs(&nothing, 0, head.number).await?, vec![]);

    let block = rpc.block(receipt.block.number).await?.unwrap();
    assert_eq!(block.reference(), receipt.block);
    assert_eq!(rpc.block_by_hash(block.parent).await?.unwrap().number, block.number - 1);
    assert_eq!(rpc.block(head.number + 1).await?, None);
    assert!(rpc.finalized().await?.unwrap().number < head.number);
    Ok(())
}

#[tokio::test]
async fn logs_of_a_block_the_node_does_not_have_are_an_error_not_an_empty_list() -> Result<()> {
    let chain = Anvil::start().await?;
    let rpc = connect(&chain).await?;
    let filter = LogFilter { address: Address::repeat_byte(1), topics: vec![] };
    let unknown = BlockRef { number: 1, hash: B256::repeat_byte(7) };
    let error = rpc.logs_of(&filter, unknown).await.unwrap_err();
    assert!(matches!(error, EvmError::Rejected { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_query_that_is_too_large_is_told_from_a_node_that_cannot_answer_now() -> Result<()> {
    let chain = Anvil::start().await?;
    let (account, token) = token(&connect(&chain).await?).await?;
    for _ in 0..3 {
        account.send(Some(token), token::transfer(key(1).address(), U256::from(1)), U256::ZERO).await?;
    }
    let filter = LogFilter { address: token, topics: vec![] };
    let too_large = [Lie::MaxRange(2), Lie::MaxResults(2), Lie::Http(413), Lie::Error(-32005, "limit exceeded".into())];
    let not_now = [Lie::Http(429), Lie::Http(502), Lie::Http(200), Lie::Error(-32005, "request rate exceeded".into())];
    let answer = async |lie: &Lie| {
        let liar = Liar::start(&chain.url()).await?;
        let rpc = Rpc::connect(&liar.url(), 61, TIMEOUT).await?;
        liar.tell("eth_getLogs", lie.clone());
        anyhow::Ok(rpc.logs(&filter, 0, 4).await)
    };
    for lie in too_large {
        let answer = answer(&lie).await?;
        assert!(matches!(answer, Err(EvmError::RangeTooLarge(_))), "{lie:?}: {answer:?}");
    }
    for lie in not_now {
        let answer = answer(&lie).await?;
        assert!(matches!(answer, Err(EvmError::Transport(_))), "{lie:?}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_was_taken_is_found_although_the_node_denied_it() -> Result<()> {
    let chain = Anvil::start().await?;
    let liar = Liar::start(&chain.url()).await?;
    let account = Account::new(Rpc::connect(&liar.url(), 61, TIMEOUT).await?, key(0));
    liar.tell_times(1, "eth_sendRawTransaction", Lie::ErrorAfterwards(429, "too many requests".into()));
    let receipt = account.send(Some(key(1).address()), Default::default(), U256::from(1)).await?;
    assert!(receipt.succeeded);
    assert_eq!(account.rpc().mined_nonce(account.address()).await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_hash_of_a_signed_transaction_is_the_one_the_node_gives_it() -> Result<()> {
    let chain = Anvil::start().await?;
    let rpc = connect(&chain).await?;
    let transaction = Transaction {
        chain_id: 61,
        nonce: rpc.nonce(key(2).address()).await?,
        to: Some(key(3).address()),
        data: Default::default(),
        value: U256::from(5),
        gas: 21_000,
        fees: rpc.fees().await?,
    };
    let signed = sign_transaction(&key(2), &transaction);
    assert_eq!(signed, sign_transaction(&key(2), &transaction));
    assert_eq!(rpc.send_raw(&signed.raw).await?, signed.hash);
    let receipt = rpc.wait_mined(signed.hash, TIMEOUT).await?;
    assert!(receipt.succeeded && receipt.gas_used == 21_000);
    assert_eq!(rpc.mined_nonce(key(2).address()).await?, 1);

    // Sent again, the node says no and nothing happens twice.
    assert!(matches!(rpc.send_raw(&signed.raw).await, Err(EvmError::Rejected { .. })));
    let before = U256::from(10_000) * U256::from(10).pow(U256::from(18));
    assert_eq!(rpc.balance(key(3).address()).await?, before + U256::from(5));
    Ok(())
}

#[tokio::test]
async fn waits_for_a_receipt_through_an_outage() -> Result<()> {
    let chain = Anvil::start().await?;
    let rpc = Rpc::connect(&chain.url(), 61, Duration::from_secs(1)).await?;
    chain.set_automine(false).await?;
    let transaction = Transaction {
        chain_id: 61,
        nonce: 0,
        to: Some(key(3).address()),
        data: Default::default(),
        value: U256::from(5),
        gas: 21_000,
        fees: rpc.fees().await?,
    };
    let hash = rpc.send_raw(&sign_transaction(&key(2), &transaction).raw).await?;
    assert!(matches!(rpc.wait_mined(hash, Duration::from_millis(200)).await, Err(EvmError::Timeout(_))));
    let (waited, outage) = tokio::join!(rpc.wait_mined(hash, Duration::from_secs(20)), async {
        chain.process()?.pause()?;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        chain.process()?.resume()?;
        chain.mine(1).await
    });
    outage?;
    assert!(waited?.succeeded);
    Ok(())
}
