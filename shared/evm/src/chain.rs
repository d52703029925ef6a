use alloy::rpc::types::{Filter, FilterBlockOption, Log as NodeLog};
use alloy_primitives::{B256, U64};
use channel::BlockRef;
use contracts::{Log, LogFilter};
use serde::Deserialize;

use crate::classify::classify_logs;
use crate::{EvmError, Rpc};

/// A block, as far as anybody here cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of the block before it.
    pub parent: B256,
    /// When it was made, by its maker's clock: seconds since 1970.
    pub time: u64,
    /// What a unit of gas costs at least, in wei; `None` before EIP-1559.
    pub base_fee: Option<u128>,
}

impl Block {
    /// Its number and hash.
    pub const fn reference(&self) -> BlockRef {
        BlockRef { number: self.number, hash: self.hash }
    }
}

/// The few fields of a header that every EVM chain has. Anything stricter would stop at the first chain with its own ideas.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    base_fee_per_gas: Option<alloy_primitives::U128>,
}

impl From<Header> for Block {
    fn from(header: Header) -> Block {
        Block {
            number: header.number.to(),
            hash: header.hash,
            parent: header.parent_hash,
            time: header.timestamp.to(),
            base_fee: header.base_fee_per_gas.map(|fee| fee.to()),
        }
    }
}

impl Rpc {
    /// The newest block.
    ///
    /// # Errors
    /// As any read: [`EvmError::Transport`], [`EvmError::Timeout`], [`EvmError::WrongChain`], [`EvmError::Rejected`].
    pub async fn head(&self) -> Result<Block, EvmError> {
        let head = self.tagged("latest").await?;
        head.ok_or_else(|| EvmError::Malformed("the node knows no latest block".to_owned()))
    }

    /// The newest block that the chain's own consensus calls final; `None` where a node knows no such thing.
    ///
    /// # Errors
    /// As [`Rpc::head`], except that a node that refuses to say is one that does not know.
    pub async fn finalized(&self) -> Result<Option<Block>, EvmError> {
        match self.tagged("finalized").await {
            Err(EvmError::Rejected { .. } | EvmError::Malformed(_)) => Ok(None),
            other => other,
        }
    }

    /// The canonical block of a height; `None` above the head.
    ///
    /// # Errors
    /// As [`Rpc::head`].
    pub async fn block(&self, number: u64) -> Result<Option<Block>, EvmError> {
        let header: Option<Header> = self.read("eth_getBlockByNumber", (U64::from(number), false)).await?;
        Ok(header.map(Block::from))
    }

    /// A block by its hash, canonical or not; `None` when the node does not have it.
    ///
    /// # Errors
    /// As [`Rpc::head`].
    pub async fn block_by_hash(&self, hash: B256) -> Result<Option<Block>, EvmError> {
        let header: Option<Header> = self.read("eth_getBlockByHash", (hash, false)).await?;
        Ok(header.map(Block::from))
    }

    /// The logs of the canonical blocks `from ..= to` that pass `filter`, in the chain's order.
    ///
    /// # Errors
    /// [`EvmError::RangeTooLarge`] when the provider serves no such range at once; [`EvmError::Malformed`] when a log is
    /// outside of the range, marked as removed, or lacks its place in the chain; else as [`Rpc::head`].
    pub async fn logs(&self, filter: &LogFilter, from: u64, to: u64) -> Result<Vec<Log>, EvmError> {
        let logs =
            self.query(filter, FilterBlockOption::Range { from_block: Some(from.into()), to_block: Some(to.into()) });
        let logs = logs.await?;
        match logs.iter().find(|log| !(from..=to).contains(&log.block.number)) {
            Some(log) => Err(EvmError::Malformed(format!("a log of block {} among {from} to {to}", log.block.number))),
            None => Ok(logs),
        }
    }

    /// The logs of one block, by its hash: a node that does not have this very block says so instead of answering about
    /// another one, which makes this the query for blocks near the head.
    ///
    /// # Errors
    /// As [`Rpc::logs`]; an unknown block is [`EvmError::Rejected`].
    pub async fn logs_of(&self, filter: &LogFilter, block: BlockRef) -> Result<Vec<Log>, EvmError> {
        let logs = self.query(filter, FilterBlockOption::AtBlockHash(block.hash)).await?;
        match logs.iter().find(|log| log.block != block) {
            Some(log) => Err(EvmError::Malformed(format!("a log of block {} for {}", log.block.hash, block.hash))),
            None => Ok(logs),
        }
    }

    async fn tagged(&self, tag: &'static str) -> Result<Option<Block>, EvmError> {
        let header: Option<Header> = self.read("eth_getBlockByNumber", (tag, false)).await?;
        Ok(header.map(Block::from))
    }

    async fn query(&self, filter: &LogFilter, blocks: FilterBlockOption) -> Result<Vec<Log>, EvmError> {
        let mut query = Filter::new().select(blocks).address(filter.address);
        for (wanted, topics) in query.topics.iter_mut().zip(&filter.topics) {
            *wanted = topics.clone().into();
        }
        let logs: Vec<NodeLog> = self.read_with("eth_getLogs", (query,), classify_logs).await?;
        let mut logs = logs.into_iter().map(|log| located(log, filter)).collect::<Result<Vec<_>, _>>()?;
        logs.sort_by_key(|log| (log.block.number, log.log_index));
        Ok(logs)
    }
}

/// A log with its place in the chain. One without is of a pending block; one that is removed or foreign was not asked for.
fn located(log: NodeLog, filter: &LogFilter) -> Result<Log, EvmError> {
    if log.address() != filter.address {
        return Err(EvmError::Malformed(format!("a log of {} for {}", log.address(), filter.address)));
    }
    place(log).ok_or_else(|| EvmError::Malformed("a log that is removed or has no place in the chain".to_owned()))
}

/// The log in our words; `None` for one that is removed or not yet in a block.
pub(crate) fn place(log: NodeLog) -> Option<Log> {
    if log.removed {
        return None;
    }
    Some(Log {
        address: log.address(),
        topics: log.topics().to_vec(),
        block: BlockRef { number: log.block_number?, hash: log.block_hash? },
        tx_hash: log.transaction_hash?,
        log_index: log.log_index?,
        data: log.inner.data.data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(change: impl FnOnce(&mut serde_json::Value)) -> NodeLog {
        let word = B256::repeat_byte(1);
        let mut log = serde_json::json!({
            "address": alloy_primitives::Address::repeat_byte(2), "topics": [word], "data": "0x05", "blockHash": word,
            "blockNumber": "0x7", "transactionHash": word, "transactionIndex": "0x0", "logIndex": "0x3", "removed": false,
        });
        change(&mut log);
        serde_json::from_value(log).expect("a log as nodes write it")
    }

    #[test]
    fn a_log_has_a_place_in_the_chain_or_is_refused() {
        let placed = place(log(|_| {})).expect("it has a place");
        assert_eq!((placed.block.number, placed.log_index), (7, 3));
        for field in ["blockHash", "blockNumber", "transactionHash", "logIndex"] {
            assert_eq!(place(log(|log| log[field] = serde_json::Value::Null)), None, "{field}");
        }
        assert_eq!(place(log(|log| log["removed"] = true.into())), None);
    }
}
