//! The holds of one batch in memory: those it names, those it may repeat, those it makes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use channel::{Amount, ChannelId, Hold, HoldId, HoldState, RequestHash, Step};

use crate::payments::Order;

/// Holds, by what they are asked for by.
#[derive(Default)]
pub(super) struct Holds {
    lines: HashMap<HoldId, Line>,
    /// The newest hold of each request that has a name.
    by_request: HashMap<(ChannelId, String), HoldId>,
    /// Holds of the same content, oldest first.
    by_hash: HashMap<(ChannelId, RequestHash), Vec<HoldId>>,
}

/// A hold, and where it comes from.
pub(super) struct Line {
    pub(super) hold: Hold,
    /// What it is for.
    pub(super) route: Arc<str>,
    /// `None` for one that this batch makes.
    pub(super) stored: Option<Stored>,
    pub(super) touched: bool,
}

/// What only a stored hold has.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) created_at: SystemTime,
    pub(super) expired: bool,
}

impl Holds {
    /// Stored holds, in any order, some perhaps twice.
    pub(super) fn read(mut stored: Vec<(Hold, Arc<str>, Stored)>) -> Holds {
        stored.sort_by_key(|(hold, _, stored)| (stored.created_at, hold.id));
        stored.dedup_by_key(|(hold, ..)| hold.id);
        let mut holds = Holds::default();
        for (hold, route, stored) in stored {
            holds.enter(hold, route, Some(stored));
        }
        holds
    }

    /// A hold that this batch makes.
    pub(super) fn add(&mut self, hold: Hold, route: Arc<str>) {
        self.enter(hold, route, None);
    }

    fn enter(&mut self, hold: Hold, route: Arc<str>, stored: Option<Stored>) {
        if let Some(request) = &hold.request.id {
            self.by_request.insert((hold.channel, request.clone()), hold.id);
        }
        self.by_hash.entry((hold.channel, hold.request.hash)).or_default().push(hold.id);
        self.lines.insert(hold.id, Line { hold, route, touched: stored.is_none(), stored });
    }

    pub(super) fn get_mut(&mut self, id: HoldId) -> Option<&mut Line> {
        self.lines.get_mut(&id)
    }

    /// The newest hold of the same request: by its name; or, where it has none and comes with a voucher that was seen
    /// before and must step exactly, the newest released one of the same content.
    pub(super) fn prior(&self, order: &Order, authorised: Amount) -> Option<&Hold> {
        let channel = order.voucher.channel;
        let hold = |id: &HoldId| self.lines.get(id).map(|line| &line.hold);
        match &order.request.id {
            Some(request) => self.by_request.get(&(channel, request.clone())).and_then(hold),
            None if order.terms.step == Step::Any || order.voucher.amount > authorised => None,
            None => {
                let alike = self.by_hash.get(&(channel, order.request.hash))?;
                alike.iter().rev().filter_map(hold).find(|hold| hold.state == HoldState::Released)
            }
        }
    }

    /// Those that are no longer as they were read.
    pub(super) fn touched(&self) -> impl Iterator<Item = &Line> {
        self.lines.values().filter(|line| line.touched)
    }
}
