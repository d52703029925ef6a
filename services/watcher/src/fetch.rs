//! Reads the logs of blocks so that they belong together: of one chain, without a gap, each block the parent of the next.
//!
//! Nodes lie by accident. Behind one address there may be several of them with different heads, and a reorganisation may
//! happen between two questions. So:
//! * the last [`NEAR`] blocks are walked from the head down by parent hash, and their logs asked for by block hash: a node
//!   without such a block says so, where a query by numbers would be answered with less;
//! * older blocks are asked for by number, in ranges the provider accepts, and afterwards the first and the last block
//!   of the range must still be the ones they were before, and each block that has logs must be part of the chain.
//!
//! What does not fit together is [`Trouble::Moved`], and the round begins again.

use alloy_primitives::B256;
use channel::BlockRef;
use contracts::{Log, LogFilter};
use evm::{Block, EvmError, Rpc};
use futures::future::try_join_all;

use crate::Trouble;
use crate::range::Range;

/// How many blocks below the head are asked for one by one. Reorganisations and lagging nodes live there: behind one
/// address, a node may lag this far behind the others without a log getting lost.
const NEAR: u64 = 32;
/// How many questions about blocks may be under way at once.
const AT_ONCE: usize = 4;

/// The logs of consecutive blocks.
#[derive(Debug)]
pub(crate) struct Batch {
    /// In the chain's order.
    pub(crate) logs: Vec<Log>,
    /// The last block of them.
    pub(crate) last: Block,
}

/// Reads from block `from` towards `head`, as far as one query goes. `parent` is the hash of the block before `from`;
/// `None` when nothing was read before.
///
/// # Errors
/// [`Trouble::Moved`] when the chain changes meanwhile; [`Trouble::Node`] when the node does not answer.
pub(crate) async fn fetch(
    rpc: &Rpc,
    filter: &LogFilter,
    range: &mut Range,
    (from, parent): (u64, Option<B256>),
    head: &Block,
) -> Result<Batch, Trouble> {
    let near = from.max((head.number + 1).saturating_sub(NEAR));
    let mut batch = None;
    if from < near {
        let far = far(rpc, filter, range, (from, parent), near - 1).await?;
        if far.last.number + 1 < near {
            return Ok(far);
        }
        batch = Some(far);
    }
    let parent = batch.as_ref().map(|far| far.last.hash).or(parent);
    let blocks = walk_down(rpc, head, near, parent).await?;
    let mut logs = batch.map(|far| far.logs).unwrap_or_default();
    for some in blocks.chunks(AT_ONCE) {
        let answers = try_join_all(some.iter().map(|block| rpc.logs_of(filter, block.reference()))).await?;
        logs.extend(answers.into_iter().flatten());
    }
    Ok(Batch { logs, last: *head })
}

/// The blocks from `lowest` up to `head`, each the parent of the next, found from the head down.
async fn walk_down(rpc: &Rpc, head: &Block, lowest: u64, parent: Option<B256>) -> Result<Vec<Block>, Trouble> {
    let mut blocks = vec![*head];
    let mut last = *head;
    while last.number > lowest {
        let below = rpc.block_by_hash(last.parent).await?.ok_or(Trouble::Moved)?;
        if below.hash != last.parent || below.number + 1 != last.number {
            return Err(EvmError::Malformed(format!("block {} is not the one asked for", below.number)).into());
        }
        blocks.push(below);
        last = below;
    }
    match parent {
        Some(parent) if last.parent != parent => Err(Trouble::Moved),
        _ => {
            blocks.reverse();
            Ok(blocks)
        }
    }
}

/// The logs of the blocks from `from` to at most `end`, as many as the provider serves at once.
async fn far(
    rpc: &Rpc,
    filter: &LogFilter,
    range: &mut Range,
    (from, parent): (u64, Option<B256>),
    end: u64,
) -> Result<Batch, Trouble> {
    loop {
        let to = range.last(from, end);
        let asked = to - from + 1;
        let last = rpc.block(to).await?.ok_or(Trouble::Moved)?;
        let logs = match rpc.logs(filter, from, to).await {
            Ok(logs) => logs,
            Err(EvmError::RangeTooLarge(reason)) if range.shrink(asked) => {
                tracing::info!(asked, blocks = range.blocks(), reason, "the node wants smaller queries for logs");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        range.grow(asked);
        still_there(rpc, last.number, last.hash).await?;
        if let (Some(parent), Some(before)) = (parent, from.checked_sub(1)) {
            still_there(rpc, before, parent).await?;
        }
        all_there(rpc, &logs).await?;
        return Ok(Batch { logs, last });
    }
}

/// Makes sure that the blocks of these logs are canonical: a node may have kept logs of blocks that are gone.
async fn all_there(rpc: &Rpc, logs: &[Log]) -> Result<(), Trouble> {
    let mut blocks: Vec<BlockRef> = logs.iter().map(|log| log.block).collect();
    blocks.dedup();
    for some in blocks.chunks(AT_ONCE) {
        try_join_all(some.iter().map(|block| still_there(rpc, block.number, block.hash))).await?;
    }
    Ok(())
}

/// Makes sure that the canonical block of a height is (still) this one.
pub(crate) async fn still_there(rpc: &Rpc, number: u64, hash: B256) -> Result<(), Trouble> {
    match rpc.block(number).await? {
        Some(block) if block.hash == hash => Ok(()),
        _ => Err(Trouble::Moved),
    }
}
