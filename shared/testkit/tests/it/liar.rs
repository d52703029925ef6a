use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use testkit::anvil::Anvil;
use testkit::liar::{Liar, Lie};
use testkit::rpc;
use tokio::time::timeout;

async fn ask(liar: &Liar, method: &str, params: Value) -> Result<Value> {
    rpc::call(&liar.url(), method, params).await
}

async fn head(liar: &Liar) -> Result<Value> {
    ask(liar, "eth_blockNumber", json!([])).await
}

async fn chain() -> Result<(Anvil, Liar)> {
    let chain = Anvil::start().await?;
    chain.mine(20).await?;
    let liar = Liar::start(&chain.url()).await?;
    Ok((chain, liar))
}

#[tokio::test]
async fn a_node_errs_as_often_as_it_was_told_and_recovers() -> Result<()> {
    let (_chain, liar) = chain().await?;
    liar.tell_times(1, "eth_blockNumber", Lie::Error(-32000, "header not found".into()));
    liar.tell_times(1, "eth_blockNumber", Lie::Http(429));
    let first = head(&liar).await.expect_err("an error was told");
    assert!(format!("{first:#}").contains("header not found"), "{first:#}");
    assert!(head(&liar).await.is_ok(), "both lies were used up by one call");
    liar.tell("", Lie::Hang);
    assert!(timeout(Duration::from_millis(300), head(&liar)).await.is_err(), "a hanging node answered");
    liar.be_honest();
    assert_eq!(head(&liar).await?, "0x14");
    assert_eq!(liar.calls("eth_blockNumber"), 4);
    Ok(())
}

#[tokio::test]
async fn wide_log_queries_are_refused_and_narrow_ones_answered() -> Result<()> {
    let (_chain, liar) = chain().await?;
    liar.tell("eth_getLogs", Lie::MaxRange(10));
    let logs = |from: &'static str| json!([{"fromBlock": from, "toBlock": "latest"}]);
    assert!(ask(&liar, "eth_getLogs", logs("0x1")).await.is_err());
    assert_eq!(ask(&liar, "eth_getLogs", logs("0xb")).await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn a_lagging_node_knows_no_newer_block() -> Result<()> {
    let (_chain, liar) = chain().await?;
    liar.tell("", Lie::Lag(5));
    assert_eq!(head(&liar).await?, "0xf");
    assert_eq!(ask(&liar, "eth_getBlockByNumber", json!(["latest", false])).await?["number"], "0xf");
    assert_eq!(ask(&liar, "eth_getBlockByNumber", json!(["0x10", false])).await?, Value::Null);
    Ok(())
}

#[tokio::test]
async fn a_dropped_transaction_gets_a_hash_and_no_block() -> Result<()> {
    let (chain, liar) = chain().await?;
    liar.tell("eth_sendRawTransaction", Lie::DropTransaction);
    let hash = ask(&liar, "eth_sendRawTransaction", json!(["0x02c0"])).await?;
    assert_eq!(hash.as_str().map(str::len), Some(66));
    assert_eq!(chain.head().await?, 20);
    Ok(())
}

#[tokio::test]
async fn missing_blocks_are_null_and_the_others_are_not() -> Result<()> {
    let (_chain, liar) = chain().await?;
    liar.tell("", Lie::Missing(3..=4));
    assert_eq!(ask(&liar, "eth_getBlockByNumber", json!(["0x4", false])).await?, Value::Null);
    assert_eq!(ask(&liar, "eth_getBlockByNumber", json!(["0x5", false])).await?["number"], "0x5");
    Ok(())
}

#[tokio::test]
async fn a_frozen_node_stays_where_it_was_and_a_flickering_one_is_there_every_other_time() -> Result<()> {
    let (chain, liar) = chain().await?;
    liar.tell("", Lie::Frozen(18));
    chain.mine(3).await?;
    assert_eq!(head(&liar).await?, "0x12");
    liar.be_honest();
    liar.tell("", Lie::Flicker(4));
    let heads = [head(&liar).await?, head(&liar).await?];
    assert!(heads.contains(&json!("0x13")) && heads.contains(&json!("0x17")), "{heads:?}");
    Ok(())
}

#[tokio::test]
async fn logs_that_are_not_there_are_found_where_they_would_be() -> Result<()> {
    let (_chain, liar) = chain().await?;
    let log = json!({"blockNumber": "0x5", "data": "0x"});
    liar.tell("eth_getLogs", Lie::AlsoLogs(vec![log.clone()]));
    let logs = |from: &'static str| json!([{"fromBlock": from, "toBlock": "0x7"}]);
    assert_eq!(ask(&liar, "eth_getLogs", logs("0x2")).await?, json!([log]));
    assert_eq!(ask(&liar, "eth_getLogs", logs("0x6")).await?, json!([]));
    Ok(())
}
