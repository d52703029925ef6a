//! Sends the payer's transactions, one at a time.
//!
//! A transaction is stored before it is broadcast, and what was left unfinished is finished before the next one: a crash
//! in the middle of an opening ends in one channel, not in two.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes, U256};
use evm::{EvmError, Receipt, Rpc, Transaction, sign_transaction};
use tokio::sync::Mutex;

use crate::error::PayerError;
use crate::settings::Settings;
use crate::state::SentTransaction;
use crate::store::Store;

pub(crate) struct Outbox {
    rpc: Rpc,
    key: channel::Key,
    store: Store,
    settings: Arc<Settings>,
    sending: Mutex<()>,
}

impl Outbox {
    pub(crate) fn new(rpc: Rpc, key: channel::Key, store: Store, settings: Arc<Settings>) -> Outbox {
        Outbox { rpc, key, store, settings, sending: Mutex::new(()) }
    }

    /// Sends a call and waits until it is mined.
    ///
    /// # Errors
    /// [`PayerError::Limit`] or [`PayerError::Chain`] when nothing was sent; [`PayerError::Reverted`] when it failed.
    pub(crate) async fn send(&self, to: Address, data: Bytes) -> Result<Receipt, PayerError> {
        let _one_at_a_time = self.sending.lock().await;
        self.finish_rest().await?;
        self.settings.limits.check_chain(self.rpc.chain_id())?;
        let transaction = self.prepare(to, data).await.map_err(PayerError::chain("preparing a transaction"))?;
        let gas_wei = u128::from(transaction.gas).saturating_mul(transaction.fees.max_fee);
        self.settings.limits.check_gas(gas_wei)?;
        let signed = sign_transaction(&self.key, &transaction);
        let sent = SentTransaction { nonce: transaction.nonce, hash: signed.hash, raw: signed.raw };
        self.remember(sent.clone()).await?;
        let receipt = self.broadcast(&sent).await?;
        if receipt.succeeded { Ok(receipt) } else { Err(PayerError::Reverted { hash: receipt.hash }) }
    }

    /// Finishes what a crash or an impatient caller left unfinished.
    ///
    /// # Errors
    /// [`PayerError::Chain`] when the node does not say what became of it.
    pub(crate) async fn finish(&self) -> Result<(), PayerError> {
        let _one_at_a_time = self.sending.lock().await;
        self.finish_rest().await
    }

    async fn prepare(&self, to: Address, data: Bytes) -> Result<Transaction, EvmError> {
        let gas = self.rpc.estimate(self.key.address(), Some(to), U256::ZERO, data.clone()).await?;
        Ok(Transaction {
            chain_id: self.rpc.chain_id(),
            nonce: self.rpc.nonce(self.key.address()).await?,
            to: Some(to),
            data,
            value: U256::ZERO,
            // What is there when the transaction is mined may differ a little from what is there now.
            gas: gas.saturating_add(gas / 4),
            fees: self.rpc.fees().await?,
        })
    }

    async fn broadcast(&self, sent: &SentTransaction) -> Result<Receipt, PayerError> {
        match self.rpc.send_raw(&sent.raw).await {
            Ok(_) => {}
            // The node may have taken it; whether it did, the chain will show.
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, tx.hash = %sent.hash, "sent, but the node did not say so");
            }
            Err(error) if is_known(&error) => {}
            Err(error) => {
                self.forget(sent).await?;
                return Err(PayerError::chain("sending a transaction")(error));
            }
        }
        let receipt = self.rpc.wait_mined(sent.hash, self.settings.patience.mined).await;
        let receipt = receipt.map_err(PayerError::chain("waiting for a transaction to be mined"))?;
        self.forget(sent).await?;
        Ok(receipt)
    }

    async fn finish_rest(&self) -> Result<(), PayerError> {
        for sent in self.store.read(|state| state.transactions.clone()).await {
            let mined = self.rpc.mined_nonce(self.key.address()).await;
            if sent.nonce < mined.map_err(PayerError::chain("looking for an unfinished transaction"))? {
                // It was mined, or another took its place: either way it is over, and the chain shows what it did.
                self.forget(&sent).await?;
                continue;
            }
            tracing::info!(tx.hash = %sent.hash, "sending an unfinished transaction again");
            self.broadcast(&sent).await?;
        }
        Ok(())
    }

    async fn remember(&self, sent: SentTransaction) -> Result<(), PayerError> {
        self.store
            .update(|state| {
                state.transactions.push(sent);
                Ok(((), None))
            })
            .await
    }

    async fn forget(&self, sent: &SentTransaction) -> Result<(), PayerError> {
        let hash = sent.hash;
        self.store
            .update(move |state| {
                state.transactions.retain(|other| other.hash != hash);
                Ok(((), None))
            })
            .await
    }
}

/// Whether a node refuses a transaction because it has it. There is no code for it; these are geth's, erigon's and anvil's words.
fn is_known(error: &EvmError) -> bool {
    let EvmError::Rejected { message, .. } = error else { return false };
    let message = message.to_lowercase();
    ["already known", "already imported", "known transaction"].iter().any(|words| message.contains(words))
}
