//! The spending log: one JSON object a line, appended and synced before the money it tells of can leave.
//!
//! The sum of `paid` minus that of `returned` is what was signed away.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use channel::Amount;
use serde::Serialize;

use crate::error::PayerError;
use crate::state::ChannelKey;
use crate::store::private;

/// Seconds in a day.
const DAY_S: u64 = 86_400;

/// A line of the log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// When, in seconds since 1970.
    pub(crate) at_s: u64,
    #[serde(flatten)]
    pub(crate) what: What,
    pub(crate) channel: ChannelKey,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum What {
    /// A voucher is about to be sent, adding `amount` to `balance`. The address is without its query.
    Paid { amount: Amount, balance: Amount, resource: String },
    /// The server proved that it holds only `balance`: `amount` was never taken.
    Returned { amount: Amount, balance: Amount },
    /// The channel was opened.
    Opened { deposit: Amount, transaction: B256 },
    /// The channel got more deposit.
    ToppedUp { added: Amount, transaction: B256 },
    /// The payer asked to close alone.
    CloseRequested { balance: Amount, transaction: B256 },
    /// The channel is closed and paid out.
    Closed { balance: Amount, transaction: B256 },
}

impl Entry {
    pub(crate) fn now(channel: ChannelKey, what: What) -> Entry {
        Entry { at_s: now_s(), what, channel }
    }
}

/// Seconds since 1970, by this machine's clock.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Days since 1970 (UTC), by this machine's clock.
pub(crate) fn today() -> u64 {
    now_s() / DAY_S
}

pub(crate) struct SpendingLog {
    path: PathBuf,
    file: File,
}

impl SpendingLog {
    pub(crate) fn open(path: &Path) -> Result<SpendingLog, PayerError> {
        let file = private().append(true).read(true).create(true).open(path).map_err(PayerError::disk(path))?;
        let mut log = SpendingLog { path: path.to_owned(), file };
        log.mend().map_err(PayerError::disk(path))?;
        Ok(log)
    }

    /// Ends a line that a crash cut short, so that the next one is whole.
    fn mend(&mut self) -> io::Result<()> {
        let mut last = [b'\n'];
        if self.file.metadata()?.len() > 0 {
            self.file.seek(SeekFrom::End(-1))?;
            self.file.read_exact(&mut last)?;
        }
        if last == [b'\n'] { Ok(()) } else { self.file.write_all(b"\n") }
    }

    pub(crate) fn append(&mut self, entry: &Entry) -> Result<(), PayerError> {
        let mut line =
            serde_json::to_vec(entry).map_err(|_| PayerError::corrupt(&self.path, "a line has no JSON form"))?;
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(PayerError::disk(&self.path))
    }
}
