//! The payer's memory on disk.
//!
//! One directory a payer and chain, `CHAIN-ADDRESS/`, mode 0700: `state` (JSON and its checksum), `lock`, `spending.jsonl`.
//! A change is on disk (temporary file, fsync, rename, fsync of the directory) before [`Store::update`] returns. One process
//! at a time holds the lock.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::{Address, keccak256};

use crate::error::PayerError;
use crate::log::{Entry, SpendingLog};
use crate::state::State;

/// More than any state can grow to: channels are few, quotes and hosts bounded.
const STATE_BYTES_MAX: u64 = 64 << 20;
/// How often a held lock is tried again.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// A payer's memory, shared by its tasks.
#[derive(Clone)]
pub(crate) struct Store(Arc<Mutex<Inner>>);

struct Inner {
    state: State,
    unsaved: bool,
    path: PathBuf,
    log: SpendingLog,
    _lock: File,
}

impl Store {
    /// Opens the memory of `payer` on a chain, or begins one. Waits at most `patience` for another process to finish.
    pub(crate) async fn open(
        dir: &Path,
        chain_id: u64,
        payer: Address,
        patience: Duration,
    ) -> Result<Store, PayerError> {
        let dir = dir.join(format!("{chain_id}-{payer:#x}"));
        blocking(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(PayerError::disk(&dir))?;
            let lock = lock(&dir.join("lock"), patience)?;
            let path = dir.join("state");
            let state = read(&path)?.unwrap_or_else(|| State::new(chain_id, payer));
            if (state.chain_id, state.payer) != (chain_id, payer) {
                return Err(PayerError::corrupt(&path, "it belongs to another payer or chain"));
            }
            let log = SpendingLog::open(&dir.join("spending.jsonl"))?;
            Ok(Store(Arc::new(Mutex::new(Inner { state, unsaved: false, path, log, _lock: lock }))))
        })
        .await
    }

    /// Looks at the state.
    pub(crate) async fn read<R: Send + 'static>(&self, look: impl FnOnce(&State) -> R + Send + 'static) -> R {
        self.with(|inner| look(&inner.state)).await
    }

    /// Changes the state, and logs. On disk when it returns; on an error nothing changed.
    ///
    /// Runs to its end even if the caller is cancelled, so memory and disk never differ.
    pub(crate) async fn update<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut State) -> Result<(R, Option<Entry>), PayerError> + Send + 'static,
    ) -> Result<R, PayerError> {
        self.with(|inner| {
            let mut state = inner.state.clone();
            let (result, entry) = change(&mut state)?;
            write(&inner.path, &state)?;
            inner.state = state;
            inner.unsaved = false;
            if let Some(entry) = entry {
                inner.log.append(&entry)?;
            }
            Ok(result)
        })
        .await
    }

    /// Notes what is safe to forget: it reaches the disk with the next update, or when the payer is dropped.
    pub(crate) async fn note(&self, change: impl FnOnce(&mut State) + Send + 'static) {
        self.with(|inner| {
            change(&mut inner.state);
            inner.unsaved = true;
        })
        .await;
    }

    /// Writes what was noted.
    pub(crate) async fn flush(&self) -> Result<(), PayerError> {
        self.with(Inner::save).await
    }

    async fn with<R: Send + 'static>(&self, work: impl FnOnce(&mut Inner) -> R + Send + 'static) -> R {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&mut inner.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

impl Inner {
    fn save(&mut self) -> Result<(), PayerError> {
        if self.unsaved {
            write(&self.path, &self.state)?;
            self.unsaved = false;
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.save() {
            tracing::warn!(%error, "what the last answers said was not saved; the server will be asked again");
        }
    }
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
    }
}

fn lock(path: &Path, patience: Duration) -> Result<File, PayerError> {
    let file = private().write(true).create(true).truncate(false).open(path).map_err(PayerError::disk(path))?;
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => return Err(PayerError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(PayerError::disk(path)(source)),
        }
    }
}

/// The state at `path`; `None` when there is none yet.
fn read(path: &Path) -> Result<Option<State>, PayerError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PayerError::disk(path)(error)),
    };
    let meta = file.metadata().map_err(PayerError::disk(path))?;
    if meta.mode() & 0o077 != 0 {
        return Err(PayerError::corrupt(path, "others may read or write it: chmod 600"));
    }
    let mut text = String::new();
    file.take(STATE_BYTES_MAX).read_to_string(&mut text).map_err(PayerError::disk(path))?;
    let corrupt = |why| PayerError::corrupt(path, why);
    let (json, sum) = text.trim_end().rsplit_once('\n').ok_or_else(|| corrupt("it is cut short"))?;
    if sum != checksum(json) {
        return Err(corrupt("its checksum does not fit"));
    }
    serde_json::from_str(json).map(Some).map_err(|_| corrupt("it was written by another version"))
}

fn write(path: &Path, state: &State) -> Result<(), PayerError> {
    let json =
        serde_json::to_string_pretty(state).map_err(|_| PayerError::corrupt(path, "it cannot be written as JSON"))?;
    let text = format!("{json}\n{}\n", checksum(&json));
    replace(path, text.as_bytes()).map_err(PayerError::disk(path))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private().write(true).create(true).truncate(true).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn checksum(json: &str) -> String {
    format!("keccak256 {:x}", keccak256(json))
}

/// Options for a file that nobody else may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}
