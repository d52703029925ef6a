//! A channel against itself: its counters, the signatures, and the facts that follow from its events.

use alloy_primitives::Address;
use channel::{Amount, Event, Signature, facts};
use contracts::Opening;
use ledger::{ChannelRecord, EpochRecord, SignedAmount};

use super::Findings;
use super::audit::Audited;

pub(super) fn check(channel: &ChannelRecord, events: &[Event], deployment: &Audited, findings: &mut Findings) {
    for epoch in &channel.epochs {
        counters(channel, epoch, findings);
    }
    vouchers(channel, deployment, findings);
    closing(channel, deployment, findings);
    let folded = facts(events, deployment.record.confirmed.unwrap_or_default());
    if folded != channel.facts {
        findings
            .differs(format!("channel {}: its facts are {:?}, its events say {folded:?}", channel.id, channel.facts));
    }
}

fn counters(channel: &ChannelRecord, epoch: &EpochRecord, findings: &mut Findings) {
    let EpochRecord { authorised, spent, held, .. } = *epoch;
    if spent.checked_add(held).is_none_or(|used| used > authorised) {
        findings.differs(format!(
            "channel {}: {spent} spent and {held} held are more than {authorised} authorised",
            channel.id
        ));
    }
}

/// What is authorised rests on the voucher, or on a claim.
fn vouchers(channel: &ChannelRecord, deployment: &Audited, findings: &mut Findings) {
    let (contracts, opening) = (&deployment.contracts, opening(channel));
    for epoch in &channel.epochs {
        let signed = epoch.voucher.as_ref().map_or(Amount::ZERO, |voucher| voucher.amount);
        let covered = signed.max(channel.facts.claimed);
        if epoch.authorised > covered {
            findings.differs(format!(
                "channel {}: {} is authorised, the voucher is over {signed} and {} was claimed",
                channel.id, epoch.authorised, channel.facts.claimed
            ));
        }
        let Some(voucher) = &epoch.voucher else { continue };
        let digest = contracts.kind.contract().digest(contracts, &opening, voucher.amount);
        if let Err(why) = signed_by(voucher, digest, channel.payer) {
            findings.differs(format!("channel {}: the voucher over {}: {why}", channel.id, voucher.amount));
        }
    }
}

fn closing(channel: &ChannelRecord, deployment: &Audited, findings: &mut Findings) {
    let Some(closing) = &channel.closing else { return };
    let contracts = &deployment.contracts;
    let digest = contracts.kind.contract().closing_digest(contracts, &opening(channel), closing.amount);
    if let Err(why) = signed_by(closing, digest, deployment.record.payee) {
        findings.differs(format!("channel {}: the closing signature over {}: {why}", channel.id, closing.amount));
    }
    if channel.agreed_close != Some(closing.amount) {
        let agreed = channel.agreed_close.map_or_else(|| "nothing".to_owned(), |agreed| agreed.to_string());
        findings
            .differs(format!("channel {}: a close at {} was signed, {agreed} was agreed", channel.id, closing.amount));
    }
}

fn signed_by(signed: &SignedAmount, digest: alloy_primitives::B256, signer: Address) -> Result<(), String> {
    let signature = Signature::parse(&signed.signature).map_err(|error| error.to_string())?;
    signature.verify(digest, signer).map_err(|error| error.to_string())
}

pub(super) fn opening(channel: &ChannelRecord) -> Opening {
    Opening { payer: channel.payer, params: channel.params.clone() }
}
