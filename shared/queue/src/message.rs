//! A ring as a message: `{"job": 17}`. What is to be done stands in the ledger.

use ledger::JobId;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    job: i64,
}

pub(crate) fn write(job: JobId) -> Vec<u8> {
    serde_json::to_vec(&Message { job: job.0 }).expect("a number is JSON")
}

/// `None` when it is none of ours.
pub(crate) fn read(body: &[u8]) -> Option<JobId> {
    serde_json::from_slice::<Message>(body).ok().map(|message| JobId(message.job))
}
