//! To countersign the end of a channel.
//!
//! The front holds no key. It checks what it can, leaves a `sign` job to the wallet and waits for it, bounded. The wallet
//! closes the channel in the ledger first and signs then; the same question gets the same signature for ever.

use alloy_primitives::{U256, hex};
use channel::{Amount, ChannelId, CloseRefusal, Signature, agree_close};
use contracts::Opening;
use ledger::{JobKind, JobOutcome, NewJob};
use protocols::{Answer, Reply};
use serde::Deserialize;

use super::Window;
use crate::fault::Fault;
use crate::front::Front;
use crate::till::Till;

pub(super) async fn answer(window: &Window<'_>, opening: &Opening, amount: U256) -> Result<Answer, Fault> {
    // More than the ledger can hold is more than was ever authorised.
    let amount = Amount::try_from(amount).unwrap_or(Amount::MAX);
    let outcome = close(window, opening, amount).await?;
    Ok(window.reply(&Reply::Closed(outcome.as_ref())))
}

async fn close(
    window: &Window<'_>,
    opening: &Opening,
    amount: Amount,
) -> Result<Result<Signature, CloseRefusal>, Fault> {
    let Some((till, mut channel, epoch)) = window.find(opening).await? else { return Ok(Err(CloseRefusal::NotOpen)) };
    let front = window.front;
    if let Some((signed, signature)) = front.ledger.closing(channel.id).await?
        && signed == amount
    {
        return Ok(Ok(signature));
    }
    // The ledger decides this once more, under lock. Asked here, a bad question costs no job.
    if let Err(refusal) = agree_close(&mut channel, &epoch, amount) {
        return Ok(Err(refusal));
    }
    ask_the_wallet(front, till, channel.id, amount).await
}

async fn ask_the_wallet(
    front: &Front,
    till: &Till,
    channel: ChannelId,
    amount: Amount,
) -> Result<Result<Signature, CloseRefusal>, Fault> {
    let _place = front.desk.signing.try_acquire().map_err(|_| Fault::Overloaded)?;
    let job = NewJob {
        kind: JobKind::Sign,
        key: format!("{channel} {amount}"),
        deployment: till.name.to_string(),
        channel: Some(channel),
        amount: Some(amount),
    };
    let job = front.ledger.enqueue(&job).await?;
    let outcome = front.ledger.wait(job, front.timeouts.close).await?;
    let Some(JobOutcome::Done(outcome)) = outcome else { return Err(Fault::WalletUnavailable) };
    let outcome = serde_json::from_value(outcome).map_err(|error| {
        tracing::error!(%error, channel.id = %channel, "the wallet's outcome makes no sense");
        Fault::Internal
    })?;
    match outcome {
        Outcome::Signed { signature } => {
            let signature = hex::decode(signature).ok().and_then(|bytes| Signature::parse(&bytes).ok());
            signature.map(Ok).ok_or(Fault::Internal)
        }
        Outcome::Refused(refused) => Ok(Err(refused.into())),
    }
}

/// What the wallet says about a `sign` job.
#[derive(Deserialize)]
#[serde(untagged)]
enum Outcome {
    Signed { signature: String },
    Refused(WalletRefusal),
}

#[derive(Deserialize)]
#[serde(tag = "refused", rename_all = "snake_case")]
enum WalletRefusal {
    NotOpen,
    AgreedOtherwise { agreed: Amount },
    Amount { least: Amount, most: Amount },
}

impl From<WalletRefusal> for CloseRefusal {
    fn from(refusal: WalletRefusal) -> CloseRefusal {
        match refusal {
            WalletRefusal::NotOpen => CloseRefusal::NotOpen,
            WalletRefusal::AgreedOtherwise { agreed } => CloseRefusal::AgreedOtherwise { agreed },
            WalletRefusal::Amount { least, most } => CloseRefusal::Amount { least, most },
        }
    }
}
