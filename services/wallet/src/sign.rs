//! The job `sign`: our signature under the final amount of a cooperative close.

use alloy_primitives::hex;
use channel::CloseRefusal;
use ledger::{Job, JobKind, NewJob};
use runtime::trace::{Kind, Span};
use serde_json::{Value, json};

use crate::desk::Desk;
use crate::error::WalletError;
use crate::jobs::{Verdict, Work};

pub(crate) struct Signing;

impl Work for Signing {
    const KINDS: &'static [JobKind] = &[JobKind::Sign];

    /// The ledger first: once it agreed nothing is sold any more, so the amount stays what is owed. A wallet that dies
    /// in between leaves an agreement, and the next attempt signs the same digest.
    async fn attempt(&self, desk: &Desk, job: &Job) -> Result<Verdict, WalletError> {
        let NewJob { channel, amount, deployment, .. } = &job.job;
        let (&Some(id), &Some(amount), Some(purse)) = (channel, amount, desk.purses.get(deployment)) else {
            return Ok(Verdict::Failed("a closing signature needs a channel and an amount".to_owned()));
        };
        let channel = match desk.ledger.agree_close(id, amount).await? {
            Ok((channel, _)) => channel,
            Err(refusal) => {
                tracing::info!(channel.id = %id, %amount, %refusal, "a cooperative close was refused");
                return Ok(Verdict::Done(refused(&refusal)));
            }
        };
        let _span = Span::current().child(Kind::Internal, "sign closing");
        let signature = desk.ledger.store_closing(id, amount, purse.closing_signature(&channel, amount)).await?;
        tracing::info!(channel.id = %id, %amount, "a cooperative close was signed");
        Ok(Verdict::Done(json!({ "signature": hex::encode_prefixed(signature.as_bytes()) })))
    }
}

/// In values; the front words them.
fn refused(refusal: &CloseRefusal) -> Value {
    match refusal {
        CloseRefusal::NotOpen => json!({ "refused": "not_open" }),
        CloseRefusal::AgreedOtherwise { agreed } => json!({ "refused": "agreed_otherwise", "agreed": agreed }),
        CloseRefusal::Amount { least, most } => json!({ "refused": "amount", "least": least, "most": most }),
    }
}
