//! What payers ask of the payee beside what is for sale: to countersign the end of a channel.
//!
//! The front holds no key. It checks what it can, leaves a `sign` job to the wallet and waits for it, bounded. The wallet
//! closes the channel in the ledger first and signs then; the same question gets the same signature for ever.

use std::sync::Arc;

use alloy_primitives::hex;
use bytes::Bytes;
use channel::{Amount, ChannelId, CloseRefusal, Signature, agree_close};
use contracts::Opening;
use http::Response;
use http::request::Parts;
use ledger::{JobKind, JobOutcome, NewJob};
use protocols::{Command, Protocol};
use serde::Deserialize;

use crate::body::Body;
use crate::fault::Fault;
use crate::front::Front;
use crate::paywall::whole;
use crate::shop::Shop;
use crate::till::Till;

/// The answer to a request at a path of the protocol's own.
pub(crate) async fn answer(
    front: &Front,
    shop: &Shop,
    protocol: &'static dyn Protocol,
    head: &Parts,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Fault> {
    let body = match body.take() {
        Some(body) => front.bounds().read(body).await?,
        None => Bytes::new(),
    };
    match protocol.command(head, &body) {
        Ok(Command::Close { opening, amount }) => {
            // More than the ledger can hold is more than was ever authorised.
            let amount = Amount::try_from(amount).unwrap_or(Amount::MAX);
            let outcome = close(front, shop, protocol, &opening, amount).await?;
            Ok(whole(protocol.closed(outcome.as_ref())))
        }
        Err(malformed) => Ok(whole(protocol.malformed(&malformed))),
    }
}

async fn close(
    front: &Front,
    shop: &Shop,
    protocol: &'static dyn Protocol,
    opening: &Opening,
    amount: Amount,
) -> Result<Result<Signature, CloseRefusal>, Fault> {
    for till in shop.tills.iter().filter(|till| till.protocol.name() == protocol.name()) {
        let id = till.channel(opening);
        let Some((mut channel, epoch)) = front.ledger.view(id).await? else { continue };
        if let Some((signed, signature)) = front.ledger.closing(id).await?
            && signed == amount
        {
            return Ok(Ok(signature));
        }
        // The ledger decides this once more, under lock. Asked here, a bad question costs no job.
        if let Err(refusal) = agree_close(&mut channel, &epoch, amount) {
            return Ok(Err(refusal));
        }
        return ask_the_wallet(front, till, id, amount).await;
    }
    Ok(Err(CloseRefusal::NotOpen))
}

async fn ask_the_wallet(
    front: &Front,
    till: &Arc<Till>,
    channel: ChannelId,
    amount: Amount,
) -> Result<Result<Signature, CloseRefusal>, Fault> {
    let _place = front.signing.try_acquire().map_err(|_| Fault::Overloaded)?;
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
