use ledger::{Job, JobKind};

use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::{Verdict, Work};
use crate::{claim, close, refill, settle};

/// The jobs that send what can wait. One is done after the other, so no two of them send one for the same channel. Answers
/// to dishonest closes do not wait for them.
pub(crate) struct Sending;

impl Work for Sending {
    const KINDS: &'static [JobKind] = &[JobKind::Close, JobKind::Settle, JobKind::Claim, JobKind::Refill];

    async fn attempt(&self, desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
        match job.job.kind {
            JobKind::Claim => claim::attempt(desk, job).await,
            JobKind::Settle => settle::attempt(desk, job).await,
            JobKind::Refill => refill::attempt(desk, job).await,
            _ => close::attempt(desk, job).await,
        }
    }
}
