//! Several nodes of one chain agree, or it is found out which of them is wrong.
//!
//! Heads differ a little all the time, and so do the newest blocks: only what is `max_lag` blocks apart or deep counts. First
//! all nodes are asked for the block that deep below the lowest head. The larger party is believed; of two as large, the one
//! with the node that is named first. The others are *forked*. Of those believed, one whose head is more than `max_lag`
//! behind the highest is *lagging*. The rest is compared once more, that deep below the lowest head among them.

use std::time::Duration;

use alloy_primitives::B256;
use futures::future::join_all;
use serde_json::Value;

use crate::chain::{Block, Header};
use crate::classify::classify;
use crate::node::{Node, Standing};
use crate::{EvmError, Rpc};

/// How often nodes are compared.
const INTERVAL: Duration = Duration::from_secs(3);

impl Rpc {
    /// Compares the nodes for as long as it is polled. To be run beside whoever asks them.
    pub async fn compare_for_ever(&self) {
        if self.nodes.len() < 2 {
            return std::future::pending().await;
        }
        loop {
            self.compare().await;
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Compares the nodes once. One that does not answer keeps the standing it had.
    pub async fn compare(&self) {
        let latest = Value::from("latest");
        let heads: Vec<_> = self.blocks(&latest).await.into_iter().map(|head| head.map(|head| head.number)).collect();
        let low = deep(heads.iter().flatten().copied(), self.max_lag);
        let at_low = self.hashes(low).await;
        let near = near(&heads, &at_low, self.max_lag);
        let high = deep(near.iter().flatten().copied(), self.max_lag);
        let at_high = if high == low { at_low.clone() } else { self.hashes(high).await };
        for (node, standing) in self.nodes.iter().zip(standings(&heads, &at_low, &near, &at_high)) {
            if let Some(standing) = standing {
                self.note(node, standing);
            }
        }
        let (highest, lowest) = (heads.iter().flatten().max(), heads.iter().flatten().min());
        let apart = highest.zip(lowest).map_or(0, |(highest, lowest)| highest - lowest);
        metrics::gauge!("evm_heads_apart_blocks", "chain" => self.chain_id().to_string())
            .set(u32::try_from(apart).map_or(f64::MAX, f64::from));
    }

    /// A block of each node; `None` where it does not answer, or does not have it.
    async fn blocks(&self, which: &Value) -> Vec<Option<Block>> {
        let block = async |node: &Node| {
            let answer: Result<Option<Header>, EvmError> =
                node.ask("eth_getBlockByNumber", (which.clone(), false), classify).await;
            answer.ok().flatten().map(Block::from)
        };
        join_all(self.nodes.iter().map(block)).await
    }

    async fn hashes(&self, height: u64) -> Vec<Option<B256>> {
        let blocks = self.blocks(&Value::from(format!("{height:#x}"))).await;
        blocks.into_iter().map(|block| block.map(|block| block.hash)).collect()
    }

    fn note(&self, node: &Node, standing: Standing) {
        let (chain, index) = (self.chain_id(), node.index);
        let labels = [("chain", chain.to_string()), ("node", index.to_string())];
        metrics::gauge!("evm_node_avoided", &labels).set(f64::from(u8::from(standing != Standing::Good)));
        let before = node.stands(standing);
        match standing {
            _ if standing == before => {}
            Standing::Good => tracing::info!(chain, node = index, "a node agrees with the others again"),
            Standing::Lagging => tracing::warn!(chain, node = index, "a node lags behind the others and is avoided"),
            Standing::Forked => tracing::error!(chain, node = index, "a node is on another fork and is not believed"),
        }
    }
}

/// A height that all of these heads are well above.
fn deep(heads: impl Iterator<Item = u64>, max_lag: u64) -> u64 {
    heads.min().map_or(0, |lowest| lowest.saturating_sub(max_lag))
}

/// The block that most nodes have at a height; of two that as many have, the one of the node that is named first.
fn believed(hashes: &[Option<B256>]) -> Option<B256> {
    let party = |hash: &B256| hashes.iter().flatten().filter(|other| *other == hash).count();
    let mut believed: Option<(B256, usize)> = None;
    for hash in hashes.iter().flatten() {
        let members = party(hash);
        if believed.is_none_or(|(_, most)| members > most) {
            believed = Some((*hash, members));
        }
    }
    believed.map(|(hash, _)| hash)
}

/// The heads of the nodes that are believed and do not lag.
fn near(heads: &[Option<u64>], at_low: &[Option<B256>], max_lag: u64) -> Vec<Option<u64>> {
    let believed = believed(at_low);
    let follows = |(head, hash): (&Option<u64>, &Option<B256>)| head.filter(|_| hash.is_some() && *hash == believed);
    let heads: Vec<Option<u64>> = heads.iter().zip(at_low).map(follows).collect();
    let highest = heads.iter().flatten().max().copied().unwrap_or(0);
    heads.into_iter().map(|head| head.filter(|head| highest - head <= max_lag)).collect()
}

/// How the nodes compare; `None` for one that did not say, and for one that there is nothing to compare with: it is not
/// cleared by the silence of those it disagreed with.
fn standings(
    heads: &[Option<u64>],
    at_low: &[Option<B256>],
    near: &[Option<u64>],
    at_high: &[Option<B256>],
) -> Vec<Option<Standing>> {
    if at_low.iter().flatten().count() < 2 {
        return vec![None; heads.len()];
    }
    let of_near: Vec<Option<B256>> = at_high.iter().zip(near).map(|(hash, head)| head.and(*hash)).collect();
    let (low, high) = (believed(at_low), believed(&of_near));
    let standing = |node: usize| match (at_low[node], near[node], of_near[node]) {
        (None, ..) => None,
        (hash, ..) if hash != low => Some(Standing::Forked),
        (_, None, _) => Some(Standing::Lagging),
        (_, Some(_), None) => None,
        (_, Some(_), hash) if hash != high => Some(Standing::Forked),
        (_, Some(_), Some(_)) => Some(Standing::Good),
    };
    (0..heads.len()).map(standing).collect()
}

#[cfg(test)]
mod tests {
    use super::Standing::{Forked, Good, Lagging};
    use super::*;

    /// Each node by its head, and the height from which on it is on a fork of its own.
    fn judged(nodes: &[(u64, Option<u64>)]) -> Vec<Option<Standing>> {
        let heads: Vec<_> = nodes.iter().map(|(head, _)| Some(*head)).collect();
        let hashes = |height: u64| -> Vec<Option<B256>> {
            let hash = |node: &(u64, Option<u64>)| {
                let fork = node.1.filter(|from| *from <= height).unwrap_or(0);
                (node.0 >= height).then(|| B256::from(alloy_primitives::U256::from(fork << 32 | height)))
            };
            nodes.iter().map(hash).collect()
        };
        let at_low = hashes(deep(heads.iter().flatten().copied(), 3));
        let near = near(&heads, &at_low, 3);
        let at_high = hashes(deep(near.iter().flatten().copied(), 3));
        standings(&heads, &at_low, &near, &at_high)
    }

    #[test]
    fn a_node_lags_when_it_is_too_far_behind_the_highest() {
        assert_eq!(judged(&[(97, None), (100, None)]), [Some(Good), Some(Good)]);
        assert_eq!(judged(&[(96, None), (100, None)]), [Some(Lagging), Some(Good)]);
        assert_eq!(judged(&[(3, None), (100, None), (4, None)]), [Some(Lagging), Some(Good), Some(Lagging)]);
    }

    #[test]
    fn the_larger_party_is_believed_and_of_two_as_large_the_first() {
        let fork = Some(50);
        assert_eq!(judged(&[(100, None), (101, fork)]), [Some(Good), Some(Forked)]);
        assert_eq!(judged(&[(100, None), (101, fork), (99, fork)]), [Some(Forked), Some(Good), Some(Good)]);
        assert_eq!(judged(&[(100, None), (900, fork), (100, None)]), [Some(Good), Some(Forked), Some(Good)]);
    }

    #[test]
    fn a_fork_is_found_although_a_third_node_is_far_behind() {
        let (fork, fresh) = (Some(50), Some(98));
        assert_eq!(judged(&[(100, None), (100, fork), (7, None)]), [Some(Good), Some(Forked), Some(Lagging)]);
        assert_eq!(judged(&[(100, None), (100, fresh), (7, None)]), [Some(Good), Some(Good), Some(Lagging)]);
    }

    #[test]
    fn a_node_that_does_not_say_or_stands_alone_is_not_judged() {
        let hash = Some(B256::ZERO);
        let alone = standings(&[None, Some(9)], &[None, hash], &[None, Some(9)], &[None, hash]);
        assert_eq!(alone, [None, None]);
        let silent = standings(&[Some(9); 3], &[hash; 3], &[Some(9); 3], &[hash, None, hash]);
        assert_eq!(silent, [Some(Good), None, Some(Good)]);
    }
}
