//! Where the records come from.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::Context;
use ledger::{Ledger, Record};
use tokio::sync::mpsc::{self, Receiver};

use crate::database::Cluster;

/// Records that wait to be looked at.
const AHEAD: usize = 1_000;
/// The longest line: a channel with the epochs of decades.
const LINE_MAX: u64 = 16 * 1024 * 1024;

/// The ledger as it is now.
pub(super) async fn ledger(cluster: &Cluster) -> anyhow::Result<Receiver<anyhow::Result<Record>>> {
    let ledger = Ledger::connect(&cluster.database).await.context("cannot use the ledger")?;
    let (sender, records) = mpsc::channel(AHEAD);
    let mut trail = ledger.trail(None);
    tokio::spawn(async move {
        while let Some(record) = trail.recv().await {
            if sender.send(record.context("the ledger cannot be read")).await.is_err() {
                return;
            }
        }
    });
    Ok(records)
}

/// An export.
pub(super) fn file(path: PathBuf) -> anyhow::Result<Receiver<anyhow::Result<Record>>> {
    let mut lines = BufReader::new(File::open(&path).with_context(|| format!("cannot read {}", path.display()))?);
    let (sender, records) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for number in 1_u64.. {
            let read = line(&mut lines).with_context(|| format!("{}, line {number}", path.display()));
            let Some(record) = read.transpose() else { return };
            let ended = record.is_err();
            if sender.blocking_send(record).is_err() || ended {
                return;
            }
        }
    });
    Ok(records)
}

fn line(lines: &mut impl BufRead) -> anyhow::Result<Option<Record>> {
    let mut line = Vec::new();
    let mut limited = std::io::Read::take(lines, LINE_MAX);
    limited.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).context("it is no record of an audit trail")
}
