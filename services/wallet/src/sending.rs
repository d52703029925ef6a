use ledger::{Job, JobKind};

use crate::challenge::Challenging;
use crate::close;
use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::{Verdict, Work};

/// The jobs that send transactions. One is done after the other, so no two of them send one for the same channel.
#[derive(Default)]
pub(crate) struct Sending {
    pub(crate) challenging: Challenging,
}

impl Work for Sending {
    const KINDS: &'static [JobKind] = &[JobKind::Challenge, JobKind::Close];

    async fn attempt(&self, desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
        match job.job.kind {
            JobKind::Close => close::attempt(desk, job).await,
            _ => self.challenging.attempt(desk, job).await,
        }
    }
}
