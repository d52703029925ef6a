use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use channel::{ChannelId, Deadline};
use evm::Block;

use crate::desk::Desk;
use crate::metric;

/// How much of the challenge period is left, of each close that waits for our answer. Operators are shown the least;
/// infinity when none waits, and in a wallet that is not active.
#[derive(Default)]
pub(crate) struct Margins(Mutex<HashMap<ChannelId, Margin>>);

#[derive(Clone, Copy)]
struct Margin {
    /// `None` where the contract counts seconds.
    blocks: Option<u64>,
    seconds: u64,
}

impl Margins {
    /// Notes how much is left at this head.
    pub(crate) fn note(&self, desk: &Desk, channel: ChannelId, deadline: Deadline, head: &Block) {
        let margin = match deadline {
            Deadline::Block(last) => {
                let blocks = last.saturating_sub(head.number);
                Margin { blocks: Some(blocks), seconds: blocks.saturating_mul(desk.block_s) }
            }
            Deadline::Time(last) => Margin { blocks: None, seconds: last.saturating_sub(head.time) },
        };
        self.margins().insert(channel, margin);
        self.show(desk);
    }

    /// This one waits no longer.
    pub(crate) fn forget(&self, desk: &Desk, channel: ChannelId) {
        self.margins().remove(&channel);
        self.show(desk);
    }

    /// None waits for us any more.
    pub(crate) fn clear(&self, desk: &Desk) {
        self.margins().clear();
        self.show(desk);
    }

    fn show(&self, desk: &Desk) {
        let margins = self.margins();
        let blocks = margins.values().filter_map(|margin| margin.blocks).min();
        let seconds = margins.values().map(|margin| margin.seconds).min();
        let show = |least: Option<u64>| least.map_or(f64::INFINITY, metric::number);
        let chain = desk.chain_id.to_string();
        metrics::gauge!("challenge_margin_blocks", "chain" => chain.clone()).set(show(blocks));
        metrics::gauge!("challenge_margin_seconds", "chain" => chain).set(show(seconds));
    }

    fn margins(&self) -> MutexGuard<'_, HashMap<ChannelId, Margin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
