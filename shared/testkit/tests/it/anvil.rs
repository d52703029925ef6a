use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use testkit::anvil::{Anvil, Options};
use tokio::time::timeout;

async fn send_ether(chain: &Anvil) -> Result<Value> {
    let accounts = chain.rpc("eth_accounts", json!([])).await?;
    let transaction = json!({"from": accounts[0], "to": accounts[1], "value": "0x1"});
    chain.rpc("eth_sendTransaction", json!([transaction])).await
}

#[tokio::test]
async fn the_chain_goes_on_where_it_stopped() -> Result<()> {
    let mut chain = Anvil::start().await?;
    let hash = send_ether(&chain).await?;
    chain.mine(3).await?;
    let block = |chain: &Anvil| rpc_block(chain.url(), 1);
    let (head, first) = (chain.head().await?, block(&chain).await?);
    chain.stop().await?;
    assert!(chain.head().await.is_err(), "a stopped chain answers");
    chain.start_again().await?;
    assert_eq!(chain.head().await?, head);
    assert_eq!(block(&chain).await?["hash"], first["hash"]);
    let receipt = chain.rpc("eth_getTransactionReceipt", json!([hash])).await?;
    assert_eq!(receipt["blockNumber"], "0x1");
    Ok(())
}

async fn rpc_block(url: String, number: u64) -> Result<Value> {
    testkit::rpc::call(&url, "eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await
}

#[tokio::test]
async fn a_reorg_replaces_blocks_and_forgets_their_transactions() -> Result<()> {
    let chain = Anvil::start().await?;
    chain.mine(5).await?;
    let hash = send_ether(&chain).await?;
    chain.mine(1).await?;
    let (head, before) = (chain.head().await?, rpc_block(chain.url(), 6).await?);
    let kept = rpc_block(chain.url(), 5).await?;
    chain.reorg(2).await?;
    assert_eq!(chain.head().await?, head);
    assert_ne!(rpc_block(chain.url(), 6).await?["hash"], before["hash"]);
    assert_eq!(rpc_block(chain.url(), 5).await?["hash"], kept["hash"]);
    assert_eq!(chain.rpc("eth_getTransactionReceipt", json!([hash])).await?, Value::Null);
    Ok(())
}

#[tokio::test]
async fn with_a_block_time_blocks_come_by_themselves_and_a_paused_node_hangs() -> Result<()> {
    let chain = Anvil::start_with(Options { block_time: Some(1), ..Options::default() }).await?;
    let head = chain.head().await?;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(chain.head().await? > head);
    chain.process()?.pause()?;
    let answer = timeout(Duration::from_millis(500), chain.head()).await;
    chain.process()?.resume()?;
    assert!(answer.is_err(), "a paused node answered");
    chain.head().await?;
    Ok(())
}

#[tokio::test]
async fn the_next_block_asks_the_fee_it_was_told() -> Result<()> {
    let chain = Anvil::start().await?;
    chain.set_next_base_fee(77_000_000_000).await?;
    chain.mine(1).await?;
    assert_eq!(rpc_block(chain.url(), 1).await?["baseFeePerGas"], json!(format!("{:#x}", 77_000_000_000_u64)));
    Ok(())
}
