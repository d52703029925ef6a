//! Several nodes of one chain: they stand in for each other, and the one that lags or is on another fork is avoided.

use std::time::{Duration, Instant};

use alloy_primitives::U256;
use anyhow::Result;
use channel::Key;
use evm::{Account, EvmError, Rpc, Submission, Transaction, sign_transaction};
use testkit::anvil::{Anvil, KEYS, Options};
use testkit::liar::{Liar, Lie};

const TIMEOUT: Duration = Duration::from_secs(2);
const MAX_LAG: u64 = 3;

fn key(index: usize) -> Result<Key> {
    let bytes = alloy_primitives::hex::decode_to_array(KEYS[index])?;
    Key::from_bytes(&bytes).ok_or_else(|| anyhow::anyhow!("well-known keys are keys"))
}

fn over(urls: &[&str]) -> Result<Rpc> {
    Ok(Rpc::over(urls, 61, TIMEOUT, MAX_LAG)?)
}

#[tokio::test]
async fn when_the_first_node_is_gone_the_second_answers_and_later_the_first_again() -> Result<()> {
    let chain = Anvil::start().await?;
    let (first, second) = (Liar::start(&chain.url()).await?, Liar::start(&chain.url()).await?);
    let rpc = over(&[&first.url(), &second.url()])?;
    rpc.head().await?;
    assert_eq!(second.calls("eth_getBlockByNumber"), 0, "the first is enough");
    for gone in [Lie::Http(502), Lie::Error(429, "too many requests".to_owned()), Lie::Hang] {
        first.tell("", gone);
        let start = Instant::now();
        rpc.head().await?;
        assert!(start.elapsed() < TIMEOUT * 2, "{:?}", start.elapsed());
        first.be_honest();
    }
    let asked = first.calls("eth_getBlockByNumber");
    rpc.head().await?;
    assert_eq!(first.calls("eth_getBlockByNumber"), asked, "it is left alone for a while");
    second.tell("", Lie::Http(502));
    rpc.head().await?;
    assert!(first.calls("eth_getBlockByNumber") > asked, "but asked when no other answers");
    Ok(())
}

#[tokio::test]
async fn a_node_of_another_chain_is_never_believed_and_refused_at_the_start() -> Result<()> {
    let chain = Anvil::start().await?;
    let other = Anvil::start_with(Options { chain_id: 62, ..Options::default() }).await?;
    other.mine(7).await?;
    let rpc = over(&[&other.url(), &chain.url()])?;
    let refused = rpc.refuse_other_chains().await;
    assert!(matches!(refused, Err(EvmError::WrongChain { expected: 61, got: 62 })), "{refused:?}");
    assert_eq!(rpc.head().await?.number, 0);
    over(&["http://127.0.0.1:1", &chain.url()])?.refuse_other_chains().await?;

    let liar = Liar::start(&chain.url()).await?;
    let rpc = over(&[&liar.url(), &chain.url()])?;
    rpc.head().await?;
    liar.speak_for(&other.url());
    liar.tell_times(1, "", Lie::Http(502)); // it was restarted
    assert_eq!(rpc.head().await?.number, 0);
    let rpc = over(&[&liar.url()])?;
    assert!(matches!(rpc.head().await, Err(EvmError::WrongChain { expected: 61, got: 62 })));
    Ok(())
}

#[tokio::test]
async fn a_node_that_lags_is_avoided_until_it_has_caught_up() -> Result<()> {
    let chain = Anvil::start().await?;
    chain.mine(20).await?;
    let first = Liar::start(&chain.url()).await?;
    let rpc = over(&[&first.url(), &chain.url()])?;
    first.tell("", Lie::Lag(MAX_LAG));
    rpc.compare().await;
    assert_eq!(rpc.head().await?.number, 20 - MAX_LAG, "so much is nothing unusual");
    first.tell("", Lie::Lag(MAX_LAG));
    first.be_honest();
    first.tell("", Lie::Lag(MAX_LAG + 1));
    rpc.compare().await;
    assert_eq!(rpc.head().await?.number, 20);
    first.be_honest();
    rpc.compare().await;
    let asked = first.calls("eth_getBlockByNumber");
    rpc.head().await?;
    assert_eq!(first.calls("eth_getBlockByNumber"), asked + 1);
    Ok(())
}

#[tokio::test]
async fn a_node_on_another_fork_is_not_believed_even_when_no_other_answers() -> Result<()> {
    let chain = Anvil::start().await?;
    let fork = Anvil::start_with(Options { genesis_time: Some(1_700_000_000), ..Options::default() }).await?;
    let (good, bad) = (Liar::start(&chain.url()).await?, Liar::start(&chain.url()).await?);
    let rpc = over(&[&bad.url(), &good.url(), &chain.url()])?;
    let truth = rpc.head().await?;
    bad.speak_for(&fork.url());
    fork.mine(1).await?;
    rpc.compare().await;
    assert_eq!(rpc.head().await?, truth, "two believe each other");

    let rpc = over(&[&good.url(), &fork.url()])?;
    rpc.compare().await;
    assert_eq!(rpc.head().await?, truth, "of two, the first is believed");
    good.tell("", Lie::Http(502));
    rpc.compare().await;
    assert!(matches!(rpc.head().await, Err(EvmError::Transport(_))), "nobody is left to vouch for the other");
    good.be_honest();
    rpc.compare().await;
    assert_eq!(rpc.head().await?, truth);
    Ok(())
}

#[tokio::test]
async fn a_transaction_is_handed_to_every_node_so_that_one_that_forgets_it_does_no_harm() -> Result<()> {
    let chain = Anvil::start().await?;
    let first = Liar::start(&chain.url()).await?;
    let rpc = over(&[&first.url(), &chain.url()])?;
    first.tell_times(1, "eth_sendRawTransaction", Lie::DropTransaction);
    let account = Account::new(rpc.clone(), key(0)?);
    assert!(account.send(Some(account.address()), Default::default(), U256::ZERO).await?.succeeded);

    chain.set_automine(false).await?;
    let transaction = Transaction {
        chain_id: 61,
        nonce: 1,
        to: Some(account.address()),
        data: Default::default(),
        value: U256::ZERO,
        gas: 21_000,
        fees: rpc.fees().await?,
    };
    let signed = sign_transaction(account.key(), &transaction);
    assert_eq!(Transaction::decode(&signed.raw)?, transaction);
    first.tell_times(1, "eth_sendRawTransaction", Lie::Error(-32000, "nonce too low".to_owned()));
    assert_eq!(rpc.submit(&signed.raw).await, Submission::Taken);
    assert_eq!(rpc.submit(&signed.raw).await, Submission::Taken, "each has it already");
    let other = sign_transaction(account.key(), &Transaction { value: U256::from(1), ..transaction.clone() });
    assert_eq!(rpc.submit(&other.raw).await, Submission::ReplacementUnderpriced);
    let old = sign_transaction(account.key(), &Transaction { nonce: 0, ..transaction });
    assert_eq!(rpc.submit(&old.raw).await, Submission::NonceTooLow);
    Ok(())
}
