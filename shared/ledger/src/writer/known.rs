//! Channels as they were read last. What the chain says of a channel changes a few times in its life, its counters with every
//! payment; so each change of its row is counted beside the counters (`epochs.revision`, by a trigger), and whoever has locked
//! those knows whether the row must be read again.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use channel::{Channel, ChannelId, Epoch};
use lru::LruCache;

/// Channels that a connection keeps, of those that paid last: about half a kilobyte each.
const AT_MOST: NonZeroUsize = NonZeroUsize::new(1 << 16).unwrap();

/// What a connection has read of channels. It ends with the connection: the next one may be to another server, that has
/// another past.
pub(super) struct Known(LruCache<ChannelId, Version>);

/// A channel, and at which revision it was read.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) channel: Arc<Channel>,
    pub(super) revision: i64,
}

/// The counters of a channel, locked, and the revision of its row.
pub(super) struct Locked {
    pub(super) epoch: Epoch,
    pub(super) revision: i64,
}

impl Known {
    pub(super) fn nothing() -> Known {
        Known(LruCache::new(AT_MOST))
    }

    /// What is known of these.
    pub(super) fn of<'a>(&mut self, channels: impl Iterator<Item = &'a ChannelId>) -> HashMap<ChannelId, Version> {
        channels.filter_map(|id| Some((*id, self.0.get(id)?.clone()))).collect()
    }

    /// Keeps what was read under the lock of its counters.
    pub(super) fn keep(&mut self, version: Version) {
        self.0.put(version.channel.id, version);
    }
}
