//! Sign, journal, broadcast: in this order, whatever is sent.

use std::time::Instant;

use alloy_primitives::{Address, B256, Bytes, U256};
use channel::Key;
use evm::{Fees, Submission, Transaction, sign_transaction};
use ledger::{IntentId, IntentState, NewIntent, NewTransaction};
use runtime::trace::{Kind, Span};

use super::with_margin;
use crate::desk::Desk;
use crate::error::WalletError;
use crate::points::reach;

/// A transaction in the journal.
pub(super) struct Journalled {
    pub(super) intent: IntentId,
    /// Whether the ledger does not know yet that it was sent.
    pub(super) is_new: bool,
    pub(super) hash: B256,
    pub(super) raw: Bytes,
}

impl Journalled {
    /// Says in a trace which one it is.
    pub(super) fn describe(&self, span: &Span, chain_id: u64, nonce: u64) {
        for (key, value) in [("tx.chain", chain_id), ("tx.nonce", nonce)] {
            span.note(key, value.to_string());
        }
        span.note("tx.hash", self.hash.to_string());
    }
}

/// Signs the first transaction of an intent, and journals both.
pub(super) async fn open(
    desk: &Desk,
    key: &Key,
    intent: &NewIntent,
    transaction: &Transaction,
    number: u32,
    noop: bool,
) -> Result<Journalled, WalletError> {
    let entry = sign(desk, key, transaction, number, noop);
    let intent = desk.ledger.journal(&desk.fence, intent, &entry).await?;
    desk.count(IntentState::Prepared.as_str());
    if number > 0 {
        // What its nonce was to be used for before.
        desk.count(IntentState::Replaced.as_str());
    }
    reach("after_store_before_send");
    Ok(Journalled { intent, is_new: true, hash: entry.hash, raw: entry.raw })
}

/// Signs another transaction for an intent, and journals it.
pub(super) async fn again(
    desk: &Desk,
    key: &Key,
    intent: IntentId,
    transaction: &Transaction,
    number: u32,
    noop: bool,
) -> Result<Journalled, WalletError> {
    let entry = sign(desk, key, transaction, number, noop);
    desk.ledger.journal_again(&desk.fence, intent, &entry).await?;
    reach("after_raise_before_send");
    Ok(Journalled { intent, is_new: true, hash: entry.hash, raw: entry.raw })
}

fn sign(desk: &Desk, key: &Key, transaction: &Transaction, number: u32, noop: bool) -> NewTransaction {
    let signed = sign_transaction(key, transaction);
    reach("after_sign_before_store");
    NewTransaction {
        hash: signed.hash,
        chain_id: desk.chain_id,
        account: key.address(),
        nonce: transaction.nonce,
        number,
        noop,
        raw: signed.raw,
    }
}

/// A transaction that does nothing but use a nonce up.
pub(super) async fn noop(desk: &Desk, account: Address, nonce: u64, fees: Fees) -> Result<Transaction, WalletError> {
    let gas = desk.rpc.estimate(account, Some(account), U256::ZERO, Bytes::new()).await?;
    let (chain_id, gas) = (desk.chain_id, with_margin(gas));
    Ok(Transaction { chain_id, nonce, to: Some(account), data: Bytes::new(), value: U256::ZERO, gas, fees })
}

/// Hands a journalled transaction to the nodes. What they say is remembered; whether they took it, the chain will show.
pub(super) async fn broadcast(desk: &Desk, journalled: &Journalled) -> Result<(), WalletError> {
    let Journalled { intent, is_new, hash, ref raw } = *journalled;
    let span = Span::current().child(Kind::Client, "broadcast");
    let said = desk.rpc.submit(raw).await;
    if !matches!(said, Submission::Taken) {
        span.failed();
    }
    drop(span);
    reach("after_send_before_mark");
    match &said {
        Submission::Taken if is_new => {
            if desk.ledger.mark_sent(&desk.fence, intent).await? {
                desk.count(IntentState::Broadcast.as_str());
            }
        }
        Submission::Taken => {}
        Submission::NonceTooLow => tracing::debug!(tx.hash = %hash, "the nonce is used up already"),
        said => tracing::warn!(tx.hash = %hash, ?said, "the nodes did not take a transaction"),
    }
    desk.memory().sent(hash, said, Instant::now());
    Ok(())
}
