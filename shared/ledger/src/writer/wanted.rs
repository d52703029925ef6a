//! What a batch asks the database for, as arrays of parameters.

use std::collections::{HashMap, HashSet};

use channel::{ChannelId, RequestHash, Step};
use uuid::Uuid;

use super::entry::Entry;
use super::known::{Locked, Version};
use crate::{Order, rows};

/// What the entries of a batch need read.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    /// The channels, and how many sales there are on each.
    pub(super) sales: HashMap<ChannelId, usize>,
    /// Those whose payers may owe only so much in all.
    limited: HashSet<ChannelId>,
    deployments: HashSet<&'a str>,
    holds: Vec<Uuid>,
    requests: HashSet<(ChannelId, &'a str)>,
}

impl<'a> Wanted<'a> {
    pub(super) fn by(entries: &'a [Entry]) -> Wanted<'a> {
        let mut wanted = Wanted::default();
        for entry in entries {
            let channel = entry.channel();
            let sales = wanted.sales.entry(channel).or_default();
            match entry {
                Entry::Sell(ask) => {
                    *sales += 1;
                    let order = &ask.question;
                    wanted.deployments.insert(&*order.deployment);
                    if order.terms.limits_payers() {
                        wanted.limited.insert(channel);
                    }
                    wanted.requests.extend(order.request.id.as_deref().map(|request| (channel, request)));
                }
                Entry::Settle(ask) => wanted.holds.push(rows::uuid(ask.question.hold)),
                Entry::Agree(_) | Entry::Publish(_) => {}
            }
        }
        wanted
    }
}

/// The same as arrays.
pub(super) struct Columns<'a> {
    pub(super) channels: Vec<&'a [u8]>,
    /// Those that are not known.
    pub(super) unknown: Vec<&'a [u8]>,
    pub(super) limited: Vec<&'a [u8]>,
    pub(super) deployments: Vec<&'a str>,
    pub(super) holds: &'a [Uuid],
    pub(super) requests: (Vec<&'a [u8]>, Vec<&'a str>),
}

impl<'a> Columns<'a> {
    pub(super) fn of(wanted: &'a Wanted<'a>, known: &HashMap<ChannelId, Version>) -> Columns<'a> {
        let unknown = wanted.sales.keys().filter(|id| !known.contains_key(*id));
        Columns {
            channels: wanted.sales.keys().map(|id| id.0.as_slice()).collect(),
            unknown: unknown.map(|id| id.0.as_slice()).collect(),
            limited: wanted.limited.iter().map(|id| id.0.as_slice()).collect(),
            deployments: wanted.deployments.iter().copied().collect(),
            holds: &wanted.holds,
            requests: wanted.requests.iter().map(|(id, request)| (id.0.as_slice(), *request)).unzip(),
        }
    }
}

/// Sales that may repeat a released one of the same content. Vouchers that step exactly are nearly all new, and then there is
/// nothing to look for.
#[derive(Default)]
pub(super) struct Retries<'a> {
    pub(super) channels: Vec<&'a [u8]>,
    pub(super) hashes: Vec<&'a [u8]>,
    /// How many ask for the same: each may repeat another one.
    pub(super) counts: Vec<i64>,
}

impl<'a> Retries<'a> {
    pub(super) fn among(
        entries: &'a [Entry],
        sales: &HashMap<ChannelId, usize>,
        locked: &HashMap<ChannelId, Locked>,
    ) -> Retries<'a> {
        let mut counts: HashMap<(&ChannelId, &RequestHash), i64> = HashMap::new();
        for entry in entries {
            let Entry::Sell(ask) = entry else { continue };
            let Order { voucher, request, terms, .. } = &ask.question;
            // Another sale of this batch may be what makes the voucher one that was seen before.
            let seen = |locked: &Locked| voucher.amount <= locked.epoch.authorised || sales[&voucher.channel] > 1;
            if request.id.is_none() && terms.step != Step::Any && locked.get(&voucher.channel).is_some_and(seen) {
                *counts.entry((&voucher.channel, &request.hash)).or_default() += 1;
            }
        }
        let mut retries = Retries::default();
        for ((channel, hash), count) in counts {
            retries.channels.push(channel.0.as_slice());
            retries.hashes.push(hash.0.as_slice());
            retries.counts.push(count);
        }
        retries
    }
}
