use bytes::Bytes;
use http::Request;
use payer::{Payer, PayerError, Verdict};

use super::{Finding, Patient};
use crate::report::Usage;

/// Asks the server what it thinks of the channel.
pub(super) async fn examine(
    payer: &Payer,
    patient: &Patient,
    url: &str,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let request = || Request::get(url).body(Bytes::new()).map_err(|_| Usage(format!("{url:?} is no address")));
    let bad = |says: String, next: &str| Finding::bad("server", says, next);
    let finding = match payer.quote(request()?).await {
        Ok(None) => bad("what it was asked for costs nothing".to_owned(), "name something that it sells"),
        Err(error) => bad(error.to_string(), "check the address, and that the server runs"),
        Ok(Some(offer)) if (offer.contract, offer.receiver) != (patient.key.contract, patient.key.receiver) => bad(
            format!("it is paid as {} in {}: this channel is not for it", offer.receiver, offer.contract),
            "pay again: a channel to that receiver is found or opened",
        ),
        Ok(Some(_)) => match payer.probe(&patient.key, request()?).await {
            Ok(probe) => judge(probe.verdict),
            Err(PayerError::Channel(why)) => bad(why, "see what the chain says"),
            Err(error) => bad(error.to_string(), "tell its operator"),
        },
    };
    findings.push(finding);
    Ok(())
}

fn judge(verdict: Verdict) -> Finding {
    let bad = |says: &str, next: &str| Finding::bad("server", says, next);
    match verdict {
        Verdict::Known { balance, .. } => {
            Finding::good("server", format!("takes vouchers of it, and holds one over {balance}"))
        }
        Verdict::NoChannel => bad(
            "knows no such open channel",
            "if the chain has it: wait for the server's watcher, or tell its operator; if a close was agreed: close it",
        ),
        Verdict::Unconfirmed => bad("waits for confirmations of the opening", "wait some blocks"),
        Verdict::BadProof => bad("does not take our signature", "check that the key is the channel's sender"),
        Verdict::Unclear { status: 503 } => bad(
            "answers 503: its view of the chain is too old, or its database is away",
            "try again later, or tell its operator",
        ),
        Verdict::Unclear { status } => bad(
            &format!("answers {status}, and says nothing of the channel"),
            "check that the address is for sale, and that no proxy removes the RDN headers",
        ),
    }
}
