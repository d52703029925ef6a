//! Between the ledger's rows and the machine's words.

use alloy_primitives::B256;
use evm::{EvmError, Transaction};
use ledger::{Intent, IntentState, Lane, Mark, Signed, Slot};

use super::line::Waiting;
use super::machine::{By, Ours, Outcome};

/// What was signed last for a nonce, and for which intent: that one is to be brought about.
pub(crate) fn newest(slot: &Slot) -> Result<(&Signed, &Intent), EvmError> {
    let empty = || EvmError::Malformed(format!("nothing was signed for nonce {}", slot.nonce));
    let signed = slot.signed.last().ok_or_else(empty)?;
    let intent = slot.intents.iter().find(|intent| intent.id == signed.intent).ok_or_else(empty)?;
    Ok((signed, intent))
}

/// A nonce as the machine has it. `urgent_behind`: something urgent waits for it.
pub(crate) fn ours(slot: &Slot, urgent_behind: bool) -> Result<Ours, EvmError> {
    let (signed, intent) = newest(slot)?;
    let strangers = slot.intents.iter().all(|intent| intent.state == IntentState::Replaced);
    Ok(Ours {
        nonce: slot.nonce,
        lane: if urgent_behind { Lane::Urgent } else { intent.lane },
        wanted: intent.wanted,
        fees: Transaction::decode(&signed.raw)?.fees,
        noop: signed.noop,
        age: signed.age,
        strangers_since: intent.block.filter(|_| strangers),
    })
}

/// A nonce as a place in the line.
pub(crate) fn waiting(slot: &Slot) -> Result<Waiting, EvmError> {
    let (signed, intent) = newest(slot)?;
    Ok(Waiting {
        nonce: slot.nonce,
        lane: if signed.noop || !intent.wanted { Lane::Normal } else { intent.lane },
        signed: signed.number.saturating_add(1),
        fees: Transaction::decode(&signed.raw)?.fees,
    })
}

/// The last nonce that something urgent waits for. What is in front of it holds it up.
pub(crate) fn last_urgent(slots: &[Slot]) -> Option<u64> {
    let is_urgent = |slot: &&Slot| waiting(slot).is_ok_and(|waiting| waiting.lane == Lane::Urgent);
    slots.iter().rev().find(is_urgent).map(|slot| slot.nonce)
}

/// What a mined transaction of ours was for.
pub(crate) fn used_by(slot: &Slot, hash: B256, succeeded: bool) -> Option<By> {
    let signed = slot.signed.iter().find(|signed| signed.hash == hash)?;
    Some(if signed.noop { By::Noop(signed.intent) } else { By::Intent { id: signed.intent, succeeded } })
}

/// What changes in the ledger when this became of a nonce.
pub(crate) fn marks(slot: &Slot, outcome: &Outcome) -> Vec<Mark> {
    let newest = slot.signed.last().map(|signed| signed.intent);
    let mut marks = Vec::new();
    for intent in &slot.intents {
        let (state, block, confirmed) = match *outcome {
            Outcome::Free if intent.state == IntentState::Prepared => continue,
            Outcome::Free if newest == Some(intent.id) && intent.wanted => (IntentState::Broadcast, None, false),
            Outcome::Free if intent.state == IntentState::Broadcast => continue,
            // Its job has another one by now, for good: that one would be in the way.
            Outcome::Free if !intent.wanted && intent.lane == Lane::Normal => continue,
            Outcome::Free => (IntentState::Replaced, None, false),
            // A reorganisation too deep to be reckoned with: again, its job went on without it.
            Outcome::Used { by, block, confirmed } => {
                let went_on = !intent.wanted && intent.lane == Lane::Normal;
                (state_after(intent, by), Some(block), confirmed || went_on)
            }
        };
        if (state, block, confirmed) != (intent.state, intent.block, intent.confirmed) {
            marks.push(Mark { intent: intent.id, state, block, confirmed, reason: None });
        }
    }
    marks
}

fn state_after(intent: &Intent, by: By) -> IntentState {
    match by {
        By::Intent { id, succeeded: true } if id == intent.id => IntentState::Mined,
        By::Intent { id, succeeded: false } if id == intent.id => IntentState::Reverted,
        By::Noop(id) if id == intent.id => IntentState::Cancelled,
        By::Intent { .. } | By::Noop(_) | By::Stranger => IntentState::Replaced,
    }
}
