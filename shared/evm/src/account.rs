use std::time::Duration;

use alloy_primitives::{Address, Bytes, U256};
use channel::Key;

use crate::{EvmError, Receipt, Rpc, Transaction, sign_transaction};

/// How long a transaction may wait to be mined before the sender is told.
const PATIENCE: Duration = Duration::from_secs(180);

/// A key on a chain, for the paying side: numbers its transactions as the chain says, one at a time.
///
/// Not for the wallet: it remembers nothing, so two of them on one key, or one that is killed, may send twice.
#[derive(Clone, Debug)]
pub struct Account {
    rpc: Rpc,
    key: Key,
}

impl Account {
    /// The account that `key` speaks for, on the chain of `rpc`.
    pub const fn new(rpc: Rpc, key: Key) -> Account {
        Account { rpc, key }
    }

    /// Its address.
    pub const fn address(&self) -> Address {
        self.key.address()
    }

    /// Its key.
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Its node.
    pub const fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Sends a transaction (`to: None` makes a contract) and waits until it is mined.
    ///
    /// # Errors
    /// [`EvmError::Revert`] when it would fail (then nothing was sent), [`EvmError::Failed`] when it was mined and failed,
    /// [`EvmError::Timeout`] when it is not mined within three minutes; else as [`Rpc::send_raw`].
    pub async fn send(&self, to: Option<Address>, data: Bytes, value: U256) -> Result<Receipt, EvmError> {
        let gas = self.rpc.estimate(self.address(), to, value, data.clone()).await?;
        let transaction = Transaction {
            chain_id: self.rpc.chain_id(),
            nonce: self.rpc.nonce(self.address()).await?,
            to,
            data,
            value,
            // What is there when the transaction is mined may differ a little from what is there now.
            gas: gas.saturating_add(gas / 4),
            fees: self.rpc.fees().await?,
        };
        let signed = sign_transaction(&self.key, &transaction);
        match self.rpc.send_raw(&signed.raw).await {
            Ok(_) => {}
            // The node may have taken it; whether it did, the chain will show.
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, tx.hash = %signed.hash, "sent, but the node did not say so");
            }
            Err(error) => return Err(error),
        }
        let receipt = self.rpc.wait_mined(signed.hash, PATIENCE).await?;
        if receipt.succeeded { Ok(receipt) } else { Err(EvmError::Failed { hash: signed.hash }) }
    }

    /// Makes a contract of `code` (its arguments appended) and returns its address.
    ///
    /// # Errors
    /// As [`Account::send`].
    pub async fn deploy(&self, code: Bytes) -> Result<(Address, Receipt), EvmError> {
        let receipt = self.send(None, code, U256::ZERO).await?;
        let contract = receipt.contract;
        let contract = contract.ok_or_else(|| EvmError::Malformed("no contract in the receipt".to_owned()))?;
        Ok((contract, receipt))
    }
}
