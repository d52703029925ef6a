use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use channel::{ChannelId, Deadline};

use crate::desk::Desk;
use crate::metric;

/// How much of the challenge period is left, of each close that waits for our answer. Operators are shown the least;
/// infinity when none waits, and in a wallet that is not active.
#[derive(Default)]
pub(crate) struct Margins(Mutex<HashMap<ChannelId, Margin>>);

/// A close that waits for our answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Until when we may answer,
    pub(crate) deadline: Deadline,
    /// and how long that was when the payer asked, in blocks or seconds as the deadline.
    pub(crate) period: u64,
    /// Whether our answer is in the chain; the watcher has not seen it yet.
    pub(crate) is_mined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Margin {
    /// `None` where the contract counts seconds.
    blocks: Option<u64>,
    seconds: u64,
    /// A quarter of the period is over and our answer is not mined: somebody should look.
    is_late: bool,
}

impl Margins {
    /// Notes how much is left when the newest block has this number and time.
    pub(crate) fn note(&self, desk: &Desk, channel: ChannelId, waiting: &Waiting, newest: (u64, u64)) {
        let margin = margin(waiting, newest, desk.block_s);
        let before = self.margins().insert(channel, margin);
        if margin.is_late && before.is_none_or(|before| !before.is_late) {
            tracing::error!(
                channel.id = %channel,
                seconds = margin.seconds,
                "a close below what is owed has waited a quarter of its challenge period and no answer is mined"
            );
        }
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
        let late = margins.values().filter(|margin| margin.is_late).count();
        let show = |least: Option<u64>| least.map_or(f64::INFINITY, metric::number);
        let chain = desk.chain_id.to_string();
        metrics::gauge!("challenge_margin_blocks", "chain" => chain.clone()).set(show(blocks));
        metrics::gauge!("challenge_margin_seconds", "chain" => chain.clone()).set(show(seconds));
        metrics::gauge!("wallet_challenges_late", "chain" => chain).set(metric::number(late));
    }

    fn margins(&self) -> MutexGuard<'_, HashMap<ChannelId, Margin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn margin(waiting: &Waiting, (number, time): (u64, u64), block_s: u64) -> Margin {
    let (left, blocks, seconds) = match waiting.deadline {
        Deadline::Block(last) => {
            let left = last.saturating_sub(number);
            (left, Some(left), left.saturating_mul(block_s))
        }
        Deadline::Time(last) => {
            let left = last.saturating_sub(time);
            (left, None, left)
        }
    };
    let quarter = waiting.period.div_ceil(4);
    Margin { blocks, seconds, is_late: !waiting.is_mined && left.saturating_add(quarter) <= waiting.period }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_late_when_a_quarter_of_the_period_is_over_and_it_is_not_mined() {
        let waiting = Waiting { deadline: Deadline::Block(1_500), period: 500, is_mined: false };
        let early = Margin { blocks: Some(376), seconds: 752, is_late: false };
        assert_eq!(margin(&waiting, (1_124, 0), 2), early);
        assert_eq!(margin(&waiting, (1_125, 0), 2), Margin { blocks: Some(375), seconds: 750, is_late: true });
        assert!(!margin(&Waiting { is_mined: true, ..waiting }, (1_499, 0), 2).is_late);
        let by_time = Waiting { deadline: Deadline::Time(9_000), period: 4_000, ..waiting };
        assert_eq!(margin(&by_time, (0, 6_000), 2), Margin { blocks: None, seconds: 3_000, is_late: true });
        assert!(margin(&waiting, (9_999, 0), 2).is_late, "nothing is left at all");
    }
}
